// Regions drawn on a picture of the camera. A click adds a corner, dragging moves one; every region is a line of
// numbers too, in per cent of the picture, which is the way without a mouse.
export default {
  template: `
    <div class="tp-regions">
      <div ref="frame" class="tp-region-frame" @click="add" @pointerdown="moved = false" @pointermove="move" @pointerup="moving = null"
           :style="{ aspectRatio: ratio, maxWidth: 'calc(44vh * (' + ratio + '))' }">
        <img v-if="picture" :src="picture" :alt="strings.picture" @load="measure" draggable="false">
        <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
          <polygon v-for="region in regions" :points="drawn(region.points)" :class="'tp-region-' + region.kind"></polygon>
          <polyline :points="drawn(draft)" :class="'tp-region-' + kind"></polyline>
        </svg>
        <b v-for="(region, n) in regions" class="tp-region-number" :style="place(region.points[0])">{{ n + 1 }}</b>
        <template v-for="(points, n) in [...regions.map(r => r.points), draft]">
          <i v-for="(point, at) in points" class="tp-corner" :style="place(point)"
             @pointerdown.prevent="hold(n, at)" @click.stop="corner(n, at)"></i>
        </template>
      </div>
      <div class="tp-line">
        <div class="tp-segments" role="group" :aria-label="strings.draw">
          <button v-for="(title, name) in strings.kinds" type="button" :aria-pressed="String(kind === name)"
                  @click="kind = name">{{ title }}</button>
        </div>
        <q-btn flat no-caps dense class="tp-flat" icon="check" :label="strings.finish" :disable="draft.length < 3"
               @click="finish"></q-btn>
        <q-btn flat no-caps dense class="tp-flat" icon="undo" :label="strings.undo" :disable="!past.length"
               @click="undo"></q-btn>
        <q-btn flat no-caps dense class="tp-flat" icon="clear_all" :label="strings.clear"
               :disable="!regions.length && !draft.length" @click="clear"></q-btn>
        <q-btn flat no-caps dense class="tp-flat" icon="format_list_numbered" :label="strings.by_numbers" @click="byNumbers"></q-btn>
      </div>
      <p v-if="!regions.length && !draft.length" class="tp-quiet">{{ strings.hint }}</p>
      <ol class="tp-region-list">
        <li v-for="(region, n) in regions" :key="n">
          <select :aria-label="strings.kind.replace('{number}', n + 1)" :value="region.kind"
                  @change="keep(); region.kind = $event.target.value">
            <option v-for="(title, name) in strings.kinds" :value="name">{{ title }}</option>
          </select>
          <input type="text" :aria-label="strings.corners.replace('{number}', n + 1)" :value="region.text ?? written(region.points)"
                 :aria-invalid="String(region.text !== undefined)"
                 @change="read(region, $event.target.value)">
          <button type="button" class="tp-tool" :aria-label="strings.remove.replace('{number}', n + 1)"
                  :title="strings.remove.replace('{number}', n + 1)" @click="keep(); regions.splice(n, 1)">
            <q-icon name="delete_outline"></q-icon></button>
        </li>
      </ol>
      <p class="tp-error" role="alert">{{ told }}</p>
      <div class="tp-line">
        <q-btn unelevated no-caps dense class="tp-primary" icon="check" :label="strings.save" @click="save"></q-btn>
      </div>
    </div>`,
  props: { strings: Object, picture: String, error: String, include: Array, exclude: Array },
  data() {
    const of = (kind, polygons) => polygons.map(points => ({ kind, points: points.map(p => [...p]) }));
    return {
      regions: [...of("include", this.include), ...of("exclude", this.exclude)],
      draft: [], kind: "include", past: [], moving: null, open: false, ratio: "16 / 9",
    };
  },
  computed: {
    told() {
      const unread = this.regions.findIndex(region => region.text !== undefined);
      if (unread >= 0) return this.strings.wrong.replace("{number}", unread + 1);
      return this.open && this.draft.length ? this.strings.open : this.error;
    },
  },
  methods: {
    measure(event) {
      this.ratio = `${event.target.naturalWidth} / ${event.target.naturalHeight}`;
    },
    keep() {
      this.open = false;
      this.past.push(JSON.stringify([this.regions, this.draft]));
    },
    undo() {
      [this.regions, this.draft] = JSON.parse(this.past.pop());
    },
    clear() {
      this.keep();
      [this.regions, this.draft] = [[], []];
    },
    at(event) {
      const frame = this.$refs.frame.getBoundingClientRect();
      const part = (v, from, length) => Math.round(1e4 * Math.min(1, Math.max(0, (v - from) / length))) / 1e4;
      return [part(event.clientX, frame.left, frame.width), part(event.clientY, frame.top, frame.height)];
    },
    add(event) {
      if (this.moved) return; // the click that ends a drag; a finger's drag ends without one
      this.keep();
      this.draft.push(this.at(event));
    },
    corner(n, at) {
      if (!this.moved && n === this.regions.length && at === 0 && this.draft.length > 2) this.finish();
    },
    finish() {
      this.keep();
      this.regions.push({ kind: this.kind, points: this.draft });
      this.draft = [];
    },
    hold(n, at) {
      this.moving = [n, at];
    },
    move(event) {
      if (!this.moving) return;
      if (!event.buttons) return void (this.moving = null); // let go outside the picture
      if (!this.moved) this.keep();
      this.moved = true;
      const [n, at] = this.moving;
      if (n < this.regions.length) delete this.regions[n].text;
      (n < this.regions.length ? this.regions[n].points : this.draft)[at] = this.at(event);
    },
    byNumbers() {
      this.keep();
      this.regions.push({ kind: this.kind, points: [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]] });
      this.$nextTick(() => this.$el.querySelector("li:last-child input").focus());
    },
    written(points) {
      return points.map(([x, y]) => `${+(x * 100).toFixed(2)} ${+(y * 100).toFixed(2)}`).join("; ");
    },
    read(region, text) {
      this.keep();
      const points = text.split(";").map(part => part.trim()).filter(Boolean)
        .map(part => part.split(/\s+/).map(v => Math.round(Number(v) * 100) / 1e4));
      if (points.length < 3 || points.some(p => p.length !== 2 || !p.every(v => v >= 0 && v <= 1)))
        return void (region.text = text); // stays as it was typed
      delete region.text;
      region.points = points;
    },
    drawn(points) {
      return points.map(([x, y]) => `${x * 100},${y * 100}`).join(" ");
    },
    place([x, y]) {
      return { left: `${x * 100}%`, top: `${y * 100}%` };
    },
    save() {
      this.open = true;
      if (this.draft.length || this.regions.some(region => region.text !== undefined)) return;
      const of = kind => this.regions.filter(r => r.kind === kind).map(r => r.points);
      this.$emit("save", { include: of("include"), exclude: of("exclude") });
    },
  },
};
