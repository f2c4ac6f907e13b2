// A floor to scale: its picture or a grid, the cameras on it, the ways that somebody went. Who may can move cameras:
// by dragging, or with the keys. While a timeline plays, a mark moves along (the event tp-here, from timeline_chart.js).
export default {
  template: `
    <div class="tp-floor" :class="{ 'tp-floor-edit': editable }">
      <div ref="stage" class="tp-stage" role="group" :aria-label="strings.title.replace('{plan}', floor.name)"
           :style="{ aspectRatio: floor.width_m / floor.height_m, maxWidth: 'calc((' + room + ') * ' + floor.width_m / floor.height_m + ')' }">
        <img v-if="floor.picture" :src="floor.picture.src" :alt="strings.picture.replace('{plan}', floor.name)" draggable="false"
             :style="{ left: part(floor.picture.left), top: part(floor.picture.top), width: part(floor.picture.width), height: part(floor.picture.height) }">
        <svg :viewBox="[floor.left_m, floor.top_m, floor.width_m, floor.height_m].join(' ')" aria-hidden="true">
          <g v-if="!floor.picture" class="tp-floor-grid">
            <line v-for="x in lines(floor.left_m, floor.width_m)" :x1="x" :x2="x" :y1="floor.top_m" :y2="floor.top_m + floor.height_m"></line>
            <line v-for="y in lines(floor.top_m, floor.height_m)" :y1="y" :y2="y" :x1="floor.left_m" :x2="floor.left_m + floor.width_m"></line>
          </g>
          <g v-for="(way, i) in drawn" :key="i" :class="way.impossible ? 'tp-floor-bad' : 'tp-floor-way'">
            <path class="tp-floor-under" :d="way.path"></path>
            <path :d="way.path"></path>
            <path v-if="!way.impossible" class="tp-floor-arrow" d="M-1-.8 1 0-1 .8z" :transform="way.arrow"></path>
          </g>
        </svg>
        <b v-for="(way, i) in bad" :key="'bad' + i" class="tp-floor-mark" :title="way.told" :style="place(way.middle)">!</b>
        <i v-if="walker" class="tp-floor-walker" :style="place(walker)"></i>
        <component :is="editable ? 'button' : 'span'" v-for="c in shown" :key="c.id" :type="editable ? 'button' : null"
            class="tp-pin" :class="['tp-state-' + c.state, { 'tp-pin-left': side(c), 'tp-pin-seen': c.seen, 'tp-pin-here': here === c.id, 'tp-pin-held': held && held.id === c.id }]"
            :data-camera="c.id" :style="place([c.x, c.y])" :aria-label="editable ? told(c) : null" :title="c.state_text"
            @pointerdown="editable && hold($event, c)" @pointermove="move" @pointerup="drop" @pointercancel="giveUp"
            @keydown="editable && press($event, c)" @blur="editable && send(c.id)">
          <i></i><span>{{ c.name }}</span><span v-if="!editable && c.state_text" class="tp-hidden">, {{ c.state_text }}</span>
        </component>
        <span class="tp-scale" :style="{ width: part(bar / floor.width_m) }">{{ +bar.toFixed(2) }} m</span>
      </div>
      <div v-if="listed" class="tp-floor-side">
        <template v-if="editable">
          <h3>{{ strings.unplaced }}</h3>
          <p v-if="!spare.length" class="tp-quiet">{{ strings.all_placed }}</p>
          <ul v-else class="tp-floor-list">
            <li v-for="c in spare" :key="c.id">
              <button type="button" class="tp-spare" :data-spare="c.id" :aria-label="strings.put.replace('{camera}', c.name)" :title="strings.put.replace('{camera}', c.name)"
                      @pointerdown="hold($event, c)" @pointermove="move" @pointerup="drop" @pointercancel="giveUp" @click="put(c)">
                <q-icon name="drag_indicator"></q-icon><span>{{ c.name }}</span></button></li>
          </ul>
        </template>
        <h3>{{ strings.placed }}</h3>
        <p v-if="!shown.length" class="tp-quiet">{{ strings.nobody }}</p>
        <ul v-else class="tp-floor-list">
          <li v-for="c in shown" :key="c.id"><span class="tp-floor-row">
            <span class="tp-ellipsis" :title="c.name">{{ c.name }}</span>
            <span class="tp-state" :class="'tp-state-' + c.state"><i></i>{{ c.state_text }}</span>
            <span class="tp-quiet">{{ written(c) }}</span></span>
            <button v-if="editable" type="button" class="tp-tool" :aria-label="strings.take.replace('{camera}', c.name)"
                    :title="strings.take.replace('{camera}', c.name)" @click="take(c)"><q-icon name="close"></q-icon></button></li>
        </ul>
        <template v-if="editable">
          <div class="tp-line">
            <q-btn flat no-caps dense class="tp-flat" icon="undo" :label="strings.undo" :disable="!past.length" @click="undo"></q-btn>
            <span class="tp-quiet" role="status">{{ error ? "" : saved ? strings.saved : "" }}</span>
          </div>
          <p class="tp-error" role="alert">{{ error }}</p>
          <p class="tp-note">{{ strings.hint.replace('{step}', metres(floor.step_m)).replace('{far}', metres(floor.grid_m)) }}</p>
        </template>
      </div>
      <span v-if="held && held.outside" class="tp-pin tp-ghost" :style="{ left: held.x + 'px', top: held.y + 'px' }"><i></i><span>{{ held.name }}</span></span>
    </div>`,
  props: { floor: Object, cameras: Array, unplaced: Array, ways: Array, editable: Boolean, listed: Boolean, room: String,
           answered: Number, error: String, strings: Object },
  data() {
    return { moved: {}, held: null, past: [], here: null, asked: 0, saved: false, waiting: null };
  },
  computed: {
    shown() {
      const there = this.cameras.map(c => ({ ...c, ...this.moved[c.id] }));
      const coming = this.unplaced.filter(c => this.moved[c.id]).map(c => ({ ...c, ...this.moved[c.id] }));
      return [...there, ...coming].filter(c => c.x !== null).sort(byName);
    },
    spare() {
      const gone = this.cameras.filter(c => this.moved[c.id] && this.moved[c.id].x === null);
      const held = this.held && this.held.fresh ? this.held.id : null; // whose button must stay while it is dragged
      return [...this.unplaced.filter(c => !this.moved[c.id] || c.id === held), ...gone].sort(byName);
    },
    drawn() {
      return (this.ways || []).map(way => this.curve(way)).filter(Boolean);
    },
    bad() {
      return this.drawn.filter(way => way.impossible);
    },
    walker() {
      const camera = this.here && this.cameras.find(c => c.id === this.here);
      return camera && [camera.x, camera.y];
    },
    bar() {
      return this.floor.grid_m * 2;
    },
  },
  watch: {
    answered(count) {
      for (const [id, at] of Object.entries(this.moved)) if (at.asked <= count) delete this.moved[id];
      this.saved = !this.error;
    },
  },
  mounted() {
    this.play = event => (this.here = event.detail);
    this.escape = event => event.key === "Escape" && this.held && this.giveUp();
    window.addEventListener("tp-here", this.play);
    window.addEventListener("keydown", this.escape);
  },
  beforeUnmount() {
    window.removeEventListener("tp-here", this.play);
    window.removeEventListener("keydown", this.escape);
    clearTimeout(this.timer);
  },
  methods: {
    part(share) {
      return `${(share * 100).toFixed(3)}%`;
    },
    place([x, y]) {
      return { left: this.part((x - this.floor.left_m) / this.floor.width_m), top: this.part((y - this.floor.top_m) / this.floor.height_m) };
    },
    side(c) {
      return c.x - this.floor.left_m > this.floor.width_m * 0.72;
    },
    lines(from, length) {
      const grid = this.floor.grid_m, found = [];
      for (let at = Math.ceil(from / grid) * grid; at <= from + length; at += grid) found.push(at);
      return found;
    },
    metres(value) {
      return `${+value.toFixed(2)} m`;
    },
    written(c) {
      return this.strings.at.replace("{x}", +c.x.toFixed(2)).replace("{y}", +c.y.toFixed(2));
    },
    told(c) {
      return [c.name, c.state_text, this.written(c)].filter(Boolean).join(", ");
    },
    // A way there bends to one side and the way back to the other, and one that cannot be still more: all can be seen.
    curve(way) {
      const [x1, y1, x2, y2] = way.line, length = Math.hypot(x2 - x1, y2 - y1);
      if (!length) return null;
      const bend = way.impossible ? 0.2 : 0.12, cx = (x1 + x2) / 2 - (y2 - y1) * bend * 2, cy = (y1 + y2) / 2 + (x2 - x1) * bend * 2;
      const middle = [(x1 + 2 * cx + x2) / 4, (y1 + 2 * cy + y2) / 4];
      const turn = Math.atan2(y2 - y1, x2 - x1) * 180 / Math.PI, size = this.floor.width_m / 85;
      return { ...way, middle, path: `M${x1} ${y1}Q${cx} ${cy} ${x2} ${y2}`,
               arrow: `translate(${middle[0]} ${middle[1]}) rotate(${turn}) scale(${size})` };
    },
    within(x, y) {
      const f = this.floor, round = v => Math.round(v * 100) / 100;
      return { x: round(Math.min(f.left_m + f.width_m, Math.max(f.left_m, x))), y: round(Math.min(f.top_m + f.height_m, Math.max(f.top_m, y))) };
    },
    hold(event, c) {
      if (event.button) return;
      const pin = event.currentTarget.getBoundingClientRect(), fresh = !this.shown.some(one => one.id === c.id);
      event.currentTarget.setPointerCapture(event.pointerId);
      // A pin keeps where it was taken; its point lies in its left end, or its right one.
      const end = 0.75 * parseFloat(getComputedStyle(document.documentElement).fontSize);
      const at = this.side(c) ? pin.right - end : pin.left + end;
      this.held = { id: c.id, name: c.name, fresh, before: fresh ? null : { x: c.x, y: c.y }, begun: [event.clientX, event.clientY],
                    off: fresh ? [0, 0] : [event.clientX - at, event.clientY - (pin.top + pin.bottom) / 2], going: false, outside: false };
    },
    move(event) {
      const held = this.held;
      if (!held || (!held.going && Math.hypot(event.clientX - held.begun[0], event.clientY - held.begun[1]) < 4)) return;
      held.going = true;
      const box = this.$refs.stage.getBoundingClientRect(), x = event.clientX - held.off[0], y = event.clientY - held.off[1];
      const on = x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
      Object.assign(held, { x: event.clientX, y: event.clientY, outside: held.fresh && !on });
      if (held.outside) delete this.moved[held.id];
      else this.set(held.id, this.within(this.floor.left_m + (x - box.left) / box.width * this.floor.width_m,
                                         this.floor.top_m + (y - box.top) / box.height * this.floor.height_m));
    },
    drop() {
      const held = this.held;
      if (!held) return;
      this.held = null;
      this.dragged = held.going;
      if (!held.going || !this.moved[held.id]) return;
      this.past.push({ id: held.id, before: held.before });
      this.send(held.id, true);
      if (held.fresh) this.focus(held.id);
    },
    giveUp() {
      const held = this.held;
      this.held = null;
      if (!held || !held.going) return;
      this.dragged = true;
      if (held.before) this.set(held.id, held.before);
      else delete this.moved[held.id];
    },
    put(c) {
      if (this.dragged) return void (this.dragged = false); // the click that ends a drag
      const f = this.floor;
      this.past.push({ id: c.id, before: null });
      this.set(c.id, this.within(f.left_m + f.width_m / 2, f.top_m + f.height_m / 2));
      this.send(c.id, true);
      this.focus(c.id);
    },
    press(event, c) {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Delete" || event.key === "Backspace") this.take(c);
      else if (event.key === "Enter") this.send(c.id);
      else if (by) {
        if (this.waiting !== c.id) {
          this.send(this.waiting);
          this.past.push({ id: c.id, before: { x: c.x, y: c.y } });
        }
        const step = event.shiftKey ? this.floor.grid_m : this.floor.step_m;
        this.set(c.id, this.within(c.x + by[0] * step, c.y + by[1] * step));
        this.waiting = c.id;
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.send(c.id), 700);
      } else return;
      event.preventDefault();
      event.stopPropagation();
    },
    take(c) {
      this.past.push({ id: c.id, before: { x: c.x, y: c.y } });
      this.set(c.id, { x: null, y: null });
      this.send(c.id, true);
      this.$nextTick(() => this.focus(c.id));
    },
    undo() {
      const { id, before } = this.past.pop();
      if (this.waiting === id) this.waiting = null;
      this.set(id, before || { x: null, y: null });
      this.send(id, true);
    },
    set(id, at) {
      this.saved = false;
      this.moved[id] = { ...at, asked: Infinity };
    },
    send(id, now) {
      if (!id || (!now && this.waiting !== id)) return;
      clearTimeout(this.timer);
      this.waiting = null;
      const at = this.moved[id];
      if (!at) return;
      at.asked = ++this.asked;
      this.$emit(at.x === null ? "take" : "place", { id, x_m: at.x, y_m: at.y, asked: at.asked });
    },
    focus(id) {
      this.$nextTick(() => {
        const found = this.$el.querySelector(`[data-camera="${id}"]`) || this.$el.querySelector(`[data-spare="${id}"]`);
        if (found) found.focus();
      });
    },
  },
};

// Always in one order: what is put elsewhere in a list loses the focus.
function byName(one, other) {
  return one.name.localeCompare(other.name) || one.id.localeCompare(other.id);
}
