// Cameras by their coordinates, with the ways that somebody went. Without the address of a tile server nothing is asked
// of anybody: the map is empty but for its scale.
import { leaflet as L } from "nicegui-leaflet";
import { loadResource } from "../../static/utils/resources.js";

const TURN = 24; // points of a bent way

export default {
  template: `<div class="tp-globe" role="group" :aria-label="strings.title"></div>`,
  props: { cameras: Array, ways: Array, tiles: String, attribution: String, resourcePath: String, strings: Object },
  async mounted() {
    await this.$nextTick(); // wait for window.path_prefix to be set
    await loadResource(window.path_prefix + `${this.resourcePath}/leaflet.css`);
    if (!this.$el.isConnected) return;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const map = (this.map = L.map(this.$el, { zoomAnimation: !still, fadeAnimation: !still, attributionControl: !!this.tiles,
      scrollWheelZoom: false, maxZoom: 20, minZoom: 2, zoomSnap: this.tiles ? 1 : 0.25 }));
    map.zoomControl.remove();
    L.control.zoom({ zoomInTitle: this.strings.closer, zoomOutTitle: this.strings.farther }).addTo(map);
    L.control.scale({ imperial: false, maxWidth: 140 }).addTo(map);
    if (this.tiles) {
      map.attributionControl.setPrefix(false);
      L.tileLayer(this.tiles, { maxZoom: 20, attribution: escaped(this.attribution) }).addTo(map);
    }
    map.fitBounds(L.latLngBounds(this.cameras.map(c => c.at)).pad(0.25), { maxZoom: 18, animate: false });
    for (const way of this.ways) {
      const points = bent(way.line, way.impossible ? 0.4 : 0.24);
      const className = way.impossible ? "tp-globe-bad" : "tp-globe-way";
      L.polyline(points, { className, interactive: false, smoothFactor: 0 }).addTo(map);
      this.mark(points[TURN / 2], way.impossible ? `<b class="tp-floor-mark" title="${escaped(way.told)}">!</b>`
        : `<svg class="tp-globe-arrow" viewBox="-1 -1 2 2"><path d="M-1-.8 1 0-1 .8z" transform="rotate(${this.turn(points)})"/></svg>`);
    }
    for (const c of this.cameras)
      this.mark(c.at, `<span class="tp-pin${c.seen ? " tp-pin-seen" : ""}" data-camera="${c.id}"><i></i><span>${escaped(c.name)}</span></span>`);
    this.play = event => this.go(event.detail);
    window.addEventListener("tp-here", this.play);
  },
  unmounted() {
    window.removeEventListener("tp-here", this.play);
    if (this.map) this.map.remove();
  },
  methods: {
    turn(points) {
      const [from, to] = [points[TURN / 2 - 1], points[TURN / 2 + 1]].map(at => this.map.project(at));
      return Math.atan2(to.y - from.y, to.x - from.x) * 180 / Math.PI;
    },
    mark(at, html) {
      const icon = L.divIcon({ html, className: "tp-globe-mark", iconSize: [0, 0] });
      return L.marker(at, { icon, interactive: false, keyboard: false }).addTo(this.map);
    },
    go(id) {
      for (const pin of this.$el.querySelectorAll(".tp-pin")) pin.classList.toggle("tp-pin-here", pin.dataset.camera === id);
      const camera = this.cameras.find(c => c.id === id);
      if (!camera) {
        if (this.walker) this.walker.remove();
        this.walker = null;
      } else if (this.walker) {
        const mark = this.walker.getElement();
        mark.classList.add("tp-globe-goes"); // only now: while the map is zoomed it stays where it is
        clearTimeout(this.timer);
        this.timer = setTimeout(() => mark.classList.remove("tp-globe-goes"), 1000);
        this.walker.setLatLng(camera.at);
      } else this.walker = this.mark(camera.at, `<i class="tp-floor-walker"></i>`);
    },
  },
};

// There to one side and back to the other, so that both can be seen.
function bent([lat1, lng1, lat2, lng2], bend) {
  const narrow = Math.cos((lat1 + lat2) * Math.PI / 360), east = (lng2 - lng1) * narrow, north = lat2 - lat1;
  const lat = (lat1 + lat2) / 2 - east * bend, lng = (lng1 + lng2) / 2 + (north * bend) / narrow;
  return Array.from({ length: TURN + 1 }, (_, n) => {
    const t = n / TURN, mix = (a, b, c) => (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t * t * c;
    return [mix(lat1, lat, lat2), mix(lng1, lng, lng2)];
  });
}

function escaped(text) {
  const box = document.createElement("span");
  box.textContent = text || "";
  return box.innerHTML.replaceAll('"', "&quot;");
}
