// The right end of the header: light or dark, the keyboard's map, and the keys themselves. Nothing here asks the
// server; the choice of light is kept in this browser only.
export default {
  template: `
    <div class="tp-tools">
      <button type="button" class="tp-tool" :aria-label="dark ? strings.to_light : strings.to_dark"
              :title="dark ? strings.to_light : strings.to_dark" @click="turn(!dark)">
        <q-icon :name="dark ? 'light_mode' : 'dark_mode'"></q-icon></button>
      <button type="button" class="tp-tool" :aria-label="strings.title" :title="strings.title + ' (?)'"
              @click="help = true"><q-icon name="keyboard"></q-icon></button>
      <q-dialog v-model="help" :aria-label="strings.title">
        <div class="tp-dialog tp-keys">
          <div class="tp-line">
            <h2>{{ strings.title }}</h2><span class="tp-grow"></span>
            <button type="button" class="tp-tool" :aria-label="strings.close" @click="help = false" autofocus>
              <q-icon name="close"></q-icon></button>
          </div>
          <section v-for="group in strings.groups" :key="group.title">
            <h3>{{ group.title }}</h3>
            <dl>
              <template v-for="key in group.keys" :key="key[0]">
                <dt><kbd v-for="part in key[0].split(' ')" :key="part">{{ part }}</kbd></dt><dd>{{ key[1] }}</dd>
              </template>
            </dl>
          </section>
          <label class="tp-check"><input type="checkbox" :checked="on" @change="allow($event.target.checked)">
            {{ strings.single_keys }}</label>
        </div>
      </q-dialog>
    </div>`,
  props: { strings: Object, places: Object },
  data() {
    return { help: false, dark: document.documentElement.dataset.theme !== "light", on: read("keys") !== "off" };
  },
  mounted() {
    this.$q.dark.set(this.dark);
    this.onKey = event => this.press(event);
    window.addEventListener("keydown", this.onKey, true);
  },
  beforeUnmount() {
    window.removeEventListener("keydown", this.onKey, true);
  },
  methods: {
    turn(dark) {
      this.dark = dark;
      keep("theme", dark ? "dark" : "light");
      document.documentElement.dataset.theme = dark ? "dark" : "light";
      this.$q.dark.set(dark);
    },
    allow(on) {
      this.on = on;
      keep("keys", on ? "on" : "off");
    },
    press(event) {
      if (!this.on || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest && event.target.closest("input, textarea, select, [contenteditable=true]")) return;
      const going = Date.now() - (this.asked || 0) < 1500;
      this.asked = 0;
      if (event.key === "?") this.help = !this.help;
      else if (this.help) return;
      else if (going && this.places[event.key]) this.go(this.places[event.key]);
      else if (event.key === "g") this.asked = Date.now();
      else return;
      event.preventDefault();
      event.stopPropagation();
    },
    go(path) {
      const link = document.querySelector(`.tp-head a[href="${path}"]`);
      if (link) link.click();
    },
  },
};

function read(name) {
  try {
    return localStorage.getItem("tapetum-" + name);
  } catch {
    return null; // storage can be forbidden; then every page begins as the system likes it
  }
}

function keep(name, value) {
  try {
    localStorage.setItem("tapetum-" + name, value);
  } catch {
    return;
  }
}
