// Drop, paste or choose a photo; show who was found; let the operator choose. The photo goes to the API and
// is not kept there; what is shown here is the small upright picture that came back.
export default {
  template: `
    <section class="tp-photo" :class="{ 'tp-photo-over': over }" :aria-label="strings.title">
      <input ref="file" type="file" class="tp-hidden" :accept="accept" tabindex="-1" :aria-label="strings.choose"
             @change="take($event.target.files); $event.target.value = ''">
      <button v-if="state === 'idle' || state === 'error'" type="button" class="tp-drop" @click="$refs.file.click()">
        <q-icon name="add_photo_alternate" size="24px"></q-icon>
        <span>{{ strings.drop }}</span>
      </button>
      <div v-if="state === 'busy'" class="tp-photo-busy" role="status">
        <q-spinner size="24px"></q-spinner><span>{{ strings.busy }}</span>
      </div>
      <p v-if="state === 'error'" class="tp-photo-error" role="alert">{{ error }}</p>
      <div v-if="state === 'found'" class="tp-photo-found">
        <p role="status">{{ message }}</p>
        <div class="tp-photo-picture" :style="{ aspectRatio: photo.width_px + ' / ' + photo.height_px,
                                                maxWidth: 'min(100%, calc(340px * ' + ratio + '))' }">
          <img :src="preview" :alt="strings.title">
          <button v-for="p in photo.persons" :key="p.index" type="button" class="tp-photo-box" :style="place(p.box)"
                  :aria-label="strings.person.replace('{number}', p.index + 1)" @click="choose(p)">
            <span v-if="photo.persons.length > 1">{{ p.index + 1 }}</span>
          </button>
        </div>
        <div class="tp-photo-actions">
          <button v-if="!photo.persons.length" type="button" class="tp-link" @click="send(last, true)">
            {{ strings.whole }}</button>
          <button type="button" class="tp-link" @click="state = 'idle'">{{ strings.close }}</button>
        </div>
      </div>
    </section>`,
  props: { strings: Object, accept: String, upload_path: String, max_bytes: Number },
  data() {
    return { state: "idle", over: false, error: "", photo: null, preview: "", message: "", last: null };
  },
  computed: {
    ratio() {
      return this.photo ? this.photo.width_px / this.photo.height_px : 1;
    },
  },
  mounted() {
    this.handlers = {
      dragover: e => { if (this.hasFile(e)) { e.preventDefault(); this.over = true; } },
      dragleave: e => { if (!e.relatedTarget) this.over = false; },
      drop: e => { if (this.hasFile(e)) { e.preventDefault(); this.over = false; this.take(e.dataTransfer.files); } },
      paste: e => { if (e.clipboardData && e.clipboardData.files.length) this.take(e.clipboardData.files); },
    };
    for (const [name, handler] of Object.entries(this.handlers)) window.addEventListener(name, handler);
  },
  beforeUnmount() {
    for (const [name, handler] of Object.entries(this.handlers)) window.removeEventListener(name, handler);
  },
  methods: {
    hasFile(event) {
      return event.dataTransfer && [...event.dataTransfer.types].includes("Files");
    },
    take(files) {
      if (files.length) this.send(files[0], false);
    },
    async send(file, whole) {
      if (file.size > this.max_bytes) return this.fail(this.strings.too_large);
      this.last = file;
      this.state = "busy";
      const form = new FormData();
      form.append("photo", file);
      form.append("preview", "true");
      form.append("whole", String(whole));
      try {
        const answer = await fetch(this.upload_path, {
          method: "POST", body: form, headers: { "X-Tapetum-Request": "1" },
        });
        const document = await answer.json();
        if (!answer.ok) return this.fail(document.detail);
        this.show(document);
      } catch {
        this.fail(this.strings.unreachable);
      }
    },
    fail(reason) {
      this.error = reason;
      this.state = "error";
    },
    show(photo) {
      this.photo = photo;
      this.preview = "data:image/jpeg;base64," + photo.preview_jpeg;
      const n = photo.persons.length;
      this.message = n === 0 ? this.strings.nobody
        : photo.persons[0].whole_image ? this.strings.whole_image
        : n === 1 ? this.strings.one : this.strings.many.replace("{count}", n);
      this.state = "found";
      if (n === 1) this.choose(photo.persons[0]);
    },
    place(box) {
      const percent = v => (v * 100).toFixed(2) + "%";
      return { left: percent(box[0]), top: percent(box[1]),
               width: percent(box[2] - box[0]), height: percent(box[3] - box[1]) };
    },
    async choose(person) {
      const picture = new Image();
      picture.src = this.preview;
      await picture.decode();
      const [x1, y1, x2, y2] = person.box;
      const w = (x2 - x1) * picture.naturalWidth, h = (y2 - y1) * picture.naturalHeight;
      const scale = Math.min(1, 256 / h, 160 / w);
      const canvas = document.createElement("canvas");
      canvas.width = Math.max(1, Math.round(w * scale));
      canvas.height = Math.max(1, Math.round(h * scale));
      canvas.getContext("2d").drawImage(
        picture, x1 * picture.naturalWidth, y1 * picture.naturalHeight, w, h, 0, 0, canvas.width, canvas.height);
      this.$emit("choose", { photo_id: this.photo.id, person: person.index, modality: this.photo.modality,
                             thumbnail: canvas.toDataURL("image/jpeg", 0.8) });
      if (this.photo.persons.length === 1) this.state = "idle";
    },
  },
};
