// A button that takes a picture for a floor plan and sends it to where plans are.
export default {
  template: `
    <span class="tp-line-part">
      <q-btn outline no-caps dense class="tp-plain" icon="image" :label="busy ? strings.busy : strings.choose" :disable="busy"
             @click="$refs.file.click()"></q-btn>
      <input ref="file" type="file" accept="image/jpeg,image/png" class="tp-hidden" tabindex="-1" aria-hidden="true"
             @change="send($event.target.files[0])">
    </span>`,
  props: { path: String, max_bytes: Number, strings: Object },
  data() {
    return { busy: false };
  },
  methods: {
    async send(file) {
      this.$refs.file.value = "";
      if (!file) return;
      if (file.size > this.max_bytes) return this.$emit("sent", { error: this.strings.too_large });
      const form = new FormData();
      form.append("image", file);
      this.busy = true;
      try {
        const answer = await fetch(this.path, { method: "PUT", body: form, headers: { "X-Tapetum-Request": "1" } });
        this.$emit("sent", { error: answer.ok ? "" : (await answer.json()).detail });
      } catch {
        this.$emit("sent", { error: this.strings.unreachable });
      } finally {
        this.busy = false;
      }
    },
  },
};
