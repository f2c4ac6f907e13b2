// A sighting's whole picture with the person's box over it, and its clip, over which the box goes along. Boxes are
// drawn here and are in no file. Nothing plays by itself.
export default {
  template: `
    <div class="tp-footage" :class="{ 'tp-footage-one': !clip }">
      <figure v-if="scene">
        <div class="tp-scene" ref="scene" :style="shape('scene')">
          <img :src="scene.src" :alt="scene.alt" @load="sized('scene', $event.target.naturalWidth, $event.target.naturalHeight)"
               @error="lost.scene = true">
          <svg v-if="sizes.scene" :viewBox="'0 0 ' + sizes.scene" aria-hidden="true">
            <rect v-bind="rect('scene', scene.box)" class="tp-scene-under"></rect><rect v-bind="rect('scene', scene.box)"></rect>
          </svg>
          <p v-if="lost.scene" class="tp-scene-lost">{{ strings.lost }}</p>
          <button v-else type="button" class="tp-act tp-enlarge" :aria-label="strings.enlarge" :title="strings.enlarge"
                  @click="enlarge"><q-icon name="fullscreen"></q-icon></button>
        </div>
        <figcaption>{{ scene.caption }}</figcaption>
      </figure>
      <figure v-if="clip">
        <div class="tp-scene" :style="shape('clip')">
          <video ref="video" :src="clip.src" controls muted playsinline preload="metadata" controlslist="nodownload" disablepictureinpicture
                 :aria-label="clip.label" @play="follow" @seeked="place" @error="lost.clip = true"
                 @loadedmetadata="sized('clip', $event.target.videoWidth, $event.target.videoHeight)"></video>
          <svg v-if="sizes.clip && at" :viewBox="'0 0 ' + sizes.clip" aria-hidden="true">
            <rect v-bind="rect('clip', at)" class="tp-scene-under"></rect><rect v-bind="rect('clip', at)"></rect>
          </svg>
          <p v-if="lost.clip" class="tp-scene-lost">{{ strings.lost }}</p>
        </div>
        <figcaption>{{ clip.caption }}</figcaption>
      </figure>
    </div>`,
  props: { scene: Object, clip: Object, strings: Object },
  data() {
    return { sizes: {}, lost: {}, at: this.clip ? this.clip.boxes[0].box : null };
  },
  beforeUnmount() {
    cancelAnimationFrame(this.frame);
  },
  methods: {
    sized(which, width, height) {
      this.sizes[which] = `${width} ${height}`;
    },
    // As wide as the picture is at the height there is for it.
    shape(which) {
      const [w, h] = (this.sizes[which] || "16 9").split(" ").map(Number);
      return { aspectRatio: `${w} / ${h}`, maxWidth: `calc(44vh * ${w / h})` };
    },
    rect(which, [x1, y1, x2, y2]) {
      const [w, h] = this.sizes[which].split(" ").map(Number);
      return { x: x1 * w, y: y1 * h, width: (x2 - x1) * w, height: (y2 - y1) * h, rx: 2 };
    },
    follow() {
      cancelAnimationFrame(this.frame);
      const step = () => {
        this.place();
        const video = this.$refs.video;
        if (video && !video.paused && !video.ended) this.frame = requestAnimationFrame(step);
      };
      step();
    },
    // Between two known places people go straight.
    place() {
      const now = this.$refs.video?.currentTime ?? 0, boxes = this.clip.boxes;
      const next = boxes.findIndex(box => box.at_s > now);
      if (next <= 0) {
        this.at = boxes[next === 0 ? 0 : boxes.length - 1].box;
        return;
      }
      const a = boxes[next - 1], b = boxes[next], share = (now - a.at_s) / (b.at_s - a.at_s);
      this.at = a.box.map((side, i) => side + (b.box[i] - side) * share);
    },
    enlarge() {
      document.fullscreenElement ? document.exitFullscreen() : this.$refs.scene.requestFullscreen();
    },
  },
};
