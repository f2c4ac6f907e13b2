// Where somebody was when: a lane for each camera, or the cameras on their plan; ways that cannot be are marked. It
// can be played: one sighting after the other, with its picture.
export default {
  template: `
    <div class="tp-time">
      <div class="tp-line">
        <button type="button" class="tp-tool" :aria-label="playing ? strings.stop : strings.play"
                :title="playing ? strings.stop : strings.play" @click="toggle">
          <q-icon :name="playing ? 'pause' : 'play_arrow'"></q-icon></button>
        <span class="tp-quiet" role="status">{{ here ? here.told : strings.hint }}</span>
      </div>
      <div class="tp-time-body">
        <div class="tp-lanes" role="group" :aria-label="strings.title">
          <div v-for="lane in lanes" :key="lane.id" class="tp-lane">
            <span class="tp-lane-name" :title="lane.name">{{ lane.name }}</span>
            <span class="tp-lane-track">
              <button v-for="s in of(lane.id)" :key="s.id" type="button" class="tp-span"
                      :class="['tp-span-' + s.modality, { 'tp-span-here': here && here.id === s.id }]"
                      :style="{ left: s.from * 100 + '%', width: Math.max((s.to - s.from) * 100, .6) + '%' }"
                      :aria-label="s.told" :title="s.told" @click="choose(s)"></button>
            </span>
          </div>
          <svg class="tp-ways" viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">
            <line v-for="(w, i) in ways" :key="i" :x1="w.from * 1000" :x2="w.to * 1000" :y1="middle(w.a)" :y2="middle(w.b)"
                  :class="{ 'tp-way-bad': w.impossible }"></line>
          </svg>
          <div class="tp-ticks"><span v-for="t in ticks" :key="t.at" :style="{ left: t.at * 100 + '%' }">{{ t.text }}</span></div>
        </div>
        <figure v-if="here" class="tp-here"><img :src="here.picture" :alt="here.told"></figure>
      </div>
      <svg v-if="plan" class="tp-plan" :viewBox="plan.view" role="img" :aria-label="strings.plan">
        <line v-for="(w, i) in plan.ways" :key="i" :x1="w.x1" :y1="w.y1" :x2="w.x2" :y2="w.y2"
              :class="{ 'tp-way-bad': w.impossible }"></line>
        <g v-for="c in plan.cameras" :key="c.id" :class="{ 'tp-plan-here': here && here.lane === c.id, 'tp-plan-seen': c.seen }">
          <circle :cx="c.x" :cy="c.y" :r="plan.unit"></circle>
          <text :x="c.x" :y="c.y + plan.unit * 2.6" text-anchor="middle" :font-size="plan.unit * 1.7">{{ c.name }}</text>
        </g>
      </svg>
    </div>`,
  props: { lanes: Array, spans: Array, ways: Array, ticks: Array, plan: Object, strings: Object },
  data() {
    return { place: -1, playing: false };
  },
  computed: {
    here() {
      return this.spans[this.place];
    },
  },
  beforeUnmount() {
    clearInterval(this.timer);
  },
  methods: {
    of(lane) {
      return this.spans.filter(s => s.lane === lane);
    },
    middle(lane) {
      const n = this.lanes.length;
      return ((this.lanes.findIndex(l => l.id === lane) + 0.5) / n) * 1000;
    },
    choose(span) {
      this.stop();
      this.place = this.spans.indexOf(span);
    },
    toggle() {
      if (this.playing) return this.stop();
      if (this.place >= this.spans.length - 1) this.place = -1;
      this.playing = true;
      this.step();
      this.timer = setInterval(() => this.step(), 1200);
    },
    step() {
      this.place += 1;
      if (this.place >= this.spans.length - 1) this.stop();
    },
    stop() {
      clearInterval(this.timer);
      this.playing = false;
    },
  },
};
