// Where somebody was when: a lane for each camera; ways that cannot be are marked. It can be played: one sighting after
// the other, with its picture, and plans and maps on the page are told on which camera (the event tp-here).
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
    </div>`,
  props: { lanes: Array, spans: Array, ways: Array, ticks: Array, strings: Object },
  data() {
    return { place: -1, playing: false };
  },
  computed: {
    here() {
      return this.spans[this.place];
    },
  },
  watch: {
    here(span) {
      window.dispatchEvent(new CustomEvent("tp-here", { detail: span ? span.lane : null }));
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
