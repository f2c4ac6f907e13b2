// The live wall: one socket for all visible tiles; picture and boxes of a tile are drawn together.
// A message is: uint32 header length (big endian), JSON header, JPEG. A canvas takes the decoded picture over as it is,
// and only the tile that has a new one is rendered again.
export default {
  template: `
    <div class="tp-wall" :style="{ '--tp-columns': columns, '--tp-rows': Math.ceil(cameras.length / columns) }">
      <article v-for="camera in cameras" :key="camera.id" class="tp-tile" :data-camera="camera.id"
               v-memo="[camera, live[camera.id], hasPicture(camera), columns]"
               :class="{ 'tp-tile-dim': !hasPicture(camera) }" :aria-label="camera.name" :ref="observe">
        <div class="tp-picture" :style="{ aspectRatio: aspect(camera.id) }">
          <canvas :ref="el => canvases[camera.id] = el" aria-hidden="true"></canvas>
          <svg v-if="live[camera.id]" :viewBox="'0 0 ' + live[camera.id].w + ' ' + live[camera.id].h"
               role="group" :aria-label="strings.people_in.replace('{camera}', camera.name)">
            <g v-for="person in live[camera.id].persons" :key="person.track_id" class="tp-box" role="button"
               tabindex="0" :class="{ 'tp-box-ready': person.tracklet_id }" :aria-label="label(person, camera)"
               :data-tracklet="person.tracklet_id" @click="pick(camera, person)"
               @keydown.enter.prevent="pick(camera, person)" @keydown.space.prevent="pick(camera, person)">
              <title>{{ label(person, camera) }}</title>
              <rect :x="person.x" :y="person.y" :width="person.w" :height="person.h" rx="3"></rect>
            </g>
          </svg>
          <div v-if="!hasPicture(camera)" class="tp-tile-message" role="status">
            <q-icon :name="camera.icon" size="28px"></q-icon>
            <strong>{{ camera.state === 'live' ? strings.first_picture : camera.state_text }}</strong>
            <span v-if="camera.reason">{{ camera.reason }}</span>
          </div>
          <button type="button" class="tp-act tp-enlarge" :aria-label="strings.full_screen.replace('{camera}', camera.name)"
                  :title="strings.full_screen.replace('{camera}', camera.name)" @click="enlarge">
            <q-icon name="fullscreen"></q-icon></button>
        </div>
        <footer class="tp-tile-bar">
          <span class="tp-tile-name" :title="camera.name">{{ camera.name }}</span>
          <span v-if="modality(camera)" class="tp-badge" :class="'tp-' + modality(camera)">
            <q-icon :name="modality(camera) === 'visible' ? 'light_mode' : 'dark_mode'"></q-icon>
            {{ modality(camera) === 'visible' ? strings.day : strings.night }}
          </span>
          <span v-if="columns < 3 && hasPicture(camera) && camera.fps" class="tp-quiet">{{ camera.fps }}</span>
          <span class="tp-state" :class="'tp-state-' + camera.state"><i></i>{{ camera.state_text }}</span>
        </footer>
      </article>
    </div>`,
  props: { cameras: Array, strings: Object, socket_path: String, every_s: Number },
  data() {
    return { live: {}, canvases: {}, visible: new Set(), now: Date.now() };
  },
  computed: {
    columns() {
      const n = this.cameras.length;
      return n <= 1 ? 1 : n <= 4 ? 2 : n <= 9 ? 3 : 4;
    },
  },
  mounted() {
    this.closing = false;
    this.retry_ms = 500;
    this.observer = new IntersectionObserver(entries => {
      for (const entry of entries) {
        const id = entry.target.dataset.camera;
        entry.isIntersecting ? this.visible.add(id) : this.visible.delete(id);
      }
      this.watch();
    }, { threshold: 0.05 });
    this.$el.querySelectorAll(".tp-tile").forEach(tile => this.observer.observe(tile));
    this.onVisibility = () => this.watch();
    document.addEventListener("visibilitychange", this.onVisibility);
    this.clock = setInterval(() => (this.now = Date.now()), 1000);
    this.connect();
  },
  beforeUnmount() {
    this.closing = true;
    this.observer.disconnect();
    document.removeEventListener("visibilitychange", this.onVisibility);
    clearInterval(this.clock);
    if (this.socket) this.socket.close();
  },
  watch: {
    every_s() {
      this.$nextTick(() => this.watch());
    },
    cameras() {
      const known = new Set(this.cameras.map(c => c.id));
      for (const id of Object.keys(this.live)) if (!known.has(id)) delete this.live[id];
      for (const id of [...this.visible]) if (!known.has(id)) this.visible.delete(id);
    },
  },
  methods: {
    observe(tile) {
      if (tile && this.observer) this.observer.observe(tile);
    },
    connect() {
      const scheme = location.protocol === "https:" ? "wss:" : "ws:";
      const socket = new WebSocket(`${scheme}//${location.host}${this.socket_path}`);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        this.retry_ms = 500;
        this.watched = "";
        this.watch();
      };
      socket.onmessage = event => this.show(event.data);
      socket.onclose = () => {
        if (this.closing) return;
        setTimeout(() => this.closing || this.connect(), this.retry_ms);
        this.retry_ms = Math.min(this.retry_ms * 2, 10000);
      };
      this.socket = socket;
    },
    watch() {
      if (!this.socket || this.socket.readyState !== WebSocket.OPEN) return;
      const ids = document.hidden ? [] : [...this.visible].sort();
      const message = JSON.stringify({ watch: ids, every_s: this.every_s });
      if (message !== this.watched) this.socket.send((this.watched = message));
    },
    async show(data) {
      const length = new DataView(data).getUint32(0);
      const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
      const picture = await createImageBitmap(new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
      const canvas = this.canvases[header.camera_id];
      if (!canvas) return picture.close();
      const w = picture.width, h = picture.height;
      if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h }); // its shape
      canvas.getContext("bitmaprenderer").transferFromImageBitmap(picture);
      const persons = header.persons.map(p => ({
        track_id: p.track_id,
        tracklet_id: p.tracklet_id,
        x: p.box[0] * w, y: p.box[1] * h,
        w: Math.max((p.box[2] - p.box[0]) * w, 4), h: Math.max((p.box[3] - p.box[1]) * h, 4),
      }));
      this.live[header.camera_id] = { w, h, persons, modality: header.modality, at: Date.now() };
    },
    hasPicture(camera) {
      const live = this.live[camera.id];
      return Boolean(live) && this.now - live.at < 10000;
    },
    modality(camera) {
      const live = this.live[camera.id];
      return (live && live.modality) || camera.modality;
    },
    aspect(id) {
      const live = this.live[id];
      return live ? `${live.w} / ${live.h}` : "16 / 9";
    },
    enlarge(event) {
      document.fullscreenElement ? document.exitFullscreen() : event.target.closest(".tp-tile").requestFullscreen();
    },
    label(person, camera) {
      const text = person.tracklet_id ? this.strings.search_person : this.strings.not_yet;
      return text.replace("{number}", person.track_id).replace("{camera}", camera.name);
    },
    pick(camera, person) {
      this.$emit("person", { camera_id: camera.id, track_id: person.track_id, tracklet_id: person.tracklet_id });
    },
  },
};
