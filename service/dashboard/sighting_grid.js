// Sightings as cards in one or several groups: picture, camera, time, day or night, how likely. Hovering plays a
// sighting; with a card in focus, arrows go on and single keys judge. What is judged goes, and focus goes on.
// Icons are plain elements: components of their own would be most of what sixty cards cost to draw. In one long
// list, cards far below the window, and their pictures, wait until somebody comes near.
const VERDICTS = ["confirm", "reject", "unsure"];
const AT_ONCE = 24;
const NEAR_PX = 400;

export default {
  template: `
    <div class="tp-groups" @keydown="press">
      <section v-for="group in drawn" :key="group.key" :aria-label="group.title || label">
        <h3 v-if="group.title" class="tp-group">{{ group.title }} <span>{{ group.note }}</span></h3>
        <ol class="tp-grid" :aria-label="group.title || label">
          <li v-for="item in group.items" :key="item.id" @mouseenter="play(item)" @mouseleave="still"
              :class="{ 'tp-marked': marked.includes(item.id) }">
            <button type="button" class="tp-card" :data-tracklet="item.id" @click="$emit('open', { id: item.id })"
                    :aria-label="describe(item)">
              <span class="tp-card-picture">
                <img :src="picture(item)" alt="" loading="lazy" @error="$event.target.classList.add('tp-gone')"
                     @load="$event.target.classList.remove('tp-gone')">
                <span v-if="item.rank" class="tp-rank">{{ item.rank }}</span>
                <span v-if="item.verdict" class="tp-verdict">{{ strings.verdicts[item.verdict] }}</span>
                <span v-else-if="item.in_view" class="tp-now">{{ strings.in_view }}</span>
              </span>
              <span class="tp-card-camera" :title="item.camera">{{ item.camera }}</span>
              <span class="tp-card-time" :title="item.when_long"><span>{{ item.day }}</span>&ensp;<span>{{ item.time }}</span></span>
              <span class="tp-card-row">
                <span class="tp-badge" :class="'tp-' + item.modality">
                  <i class="q-icon material-icons" aria-hidden="true">{{ item.modality === 'visible' ? 'light_mode' : 'dark_mode' }}</i>
                  {{ item.modality === 'visible' ? strings.day : strings.night }}
                </span>
                <span v-if="item.score" class="tp-score" :title="item.band ? '' : strings.cosine_title">{{ item.score }}</span>
              </span>
              <span v-if="item.pair" class="tp-card-row">
                <span class="tp-band" :class="'tp-band-' + item.band">{{ item.band_text }}</span>
                <span class="tp-pair" :title="item.pair_title">{{ item.pair }}</span>
              </span>
            </button>
            <span class="tp-card-acts">
              <button v-for="act in acts" :key="act.name" type="button" tabindex="-1" :class="'tp-act tp-act-' + act.name"
                      :aria-label="act.title" :title="act.title + (act.key ? ' (' + act.key + ')' : '')"
                      :aria-pressed="act.name === 'mark' ? String(marked.includes(item.id)) : null"
                      @click="act_on(act.name, item.id)"><i class="q-icon material-icons" aria-hidden="true">{{ act.icon }}</i></button>
            </span>
          </li>
        </ol>
      </section>
      <div ref="end" class="tp-grid-end"></div>
    </div>`,
  props: { groups: Array, strings: Object, label: String, acts: Array, marked: Array },
  data() {
    return { playing: null, frame: 0, room: AT_ONCE };
  },
  computed: {
    waiting() {
      return this.groups.length === 1 && this.groups[0].items.length > this.room;
    },
    drawn() {
      return this.waiting ? [{ ...this.groups[0], items: this.groups[0].items.slice(0, this.room) }] : this.groups;
    },
  },
  watch: {
    groups() {
      this.look();
      this.judged.clear();
      if (this.place === undefined) return;
      this.$nextTick(() => {
        const cards = this.cards();
        if (cards.length && !this.$el.contains(document.activeElement))
          cards[Math.min(this.place, cards.length - 1)].focus({ preventScroll: false });
        this.place = undefined;
      });
    },
  },
  created() {
    this.judged = new Set(); // sightings whose verdict is on its way
  },
  mounted() {
    this.observer = new IntersectionObserver(
      entries => entries.at(-1).isIntersecting && this.waiting && this.grow(),
      { rootMargin: `0px 0px ${NEAR_PX}px`, scrollMargin: `0px 0px ${NEAR_PX}px` },
    );
    this.observer.observe(this.$refs.end);
  },
  beforeUnmount() {
    this.observer.disconnect();
    this.still();
  },
  methods: {
    grow() {
      this.room += AT_ONCE;
      this.look();
    },
    look() {
      // Observing anew tells where the end is now, which may still be near.
      this.$nextTick(() => {
        this.observer.unobserve(this.$refs.end);
        this.observer.observe(this.$refs.end);
      });
    },
    cards() {
      return [...this.$el.querySelectorAll(".tp-card")];
    },
    picture(item) {
      return this.playing === item.id ? `/api/v1/tracklets/${item.id}/crops/${this.frame}` : item.thumbnail;
    },
    play(item) {
      this.still();
      if (item.frames < 2 || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
      this.timer = setInterval(() => {
        this.frame = this.playing === item.id ? (this.frame + 1) % item.frames : 0;
        this.playing = item.id;
      }, 450);
    },
    still() {
      clearInterval(this.timer);
      this.playing = null;
    },
    press(event) {
      const card = event.target.closest(".tp-card");
      if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
      const cards = this.cards(), here = cards.indexOf(card);
      const act = this.acts.find(a => a.key === event.key);
      if (act && single()) this.act_on(act.name, card.dataset.tracklet);
      else if (event.key === "ArrowRight" && cards[here + 1]) cards[here + 1].focus();
      else if (event.key === "ArrowLeft" && cards[here - 1]) cards[here - 1].focus();
      else if (event.key === "ArrowDown") this.below(cards, card, 1);
      else if (event.key === "ArrowUp") this.below(cards, card, -1);
      else return;
      event.preventDefault();
      event.stopPropagation();
    },
    below(cards, card, step) {
      const here = card.getBoundingClientRect();
      const rows = cards.filter(c => (c.getBoundingClientRect().top - here.top) * step > 8);
      const away = c => {
        const box = c.getBoundingClientRect();
        return Math.abs(box.top - here.top) * 4 + Math.abs(box.left - here.left);
      };
      rows.sort((a, b) => away(a) - away(b));
      if (rows.length) rows[0].focus();
    },
    act_on(name, id) {
      this.place = this.cards().findIndex(c => c.dataset.tracklet === id);
      if (VERDICTS.includes(name)) {
        // The same again takes a verdict back; a quick second key, while the first is on its way, does not mean that.
        if (this.judged.has(id)) return;
        this.judged.add(id);
        setTimeout(() => this.judged.delete(id), 3000); // it may have been refused
      }
      this.$emit("act", { name, id });
    },
    describe(item) {
      const night = item.modality === "visible" ? this.strings.day : this.strings.night;
      const parts = [item.rank ? `${item.rank}.` : "", item.camera, item.when_long, night,
                     item.score ? `${item.band ? this.strings.probability : this.strings.similarity} ${item.score}` : "",
                     item.band_text || "", item.verdict ? this.strings.verdicts[item.verdict] : ""];
      return parts.filter(Boolean).join(", ");
    },
  },
};

function single() {
  try {
    return localStorage.getItem("tapetum-keys") !== "off";
  } catch {
    return true;
  }
}
