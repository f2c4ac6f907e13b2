// Sightings as cards: rank, picture, camera, time, day or night, similarity.
export default {
  template: `
    <ol class="tp-grid" :aria-label="label">
      <li v-for="item in items" :key="item.id">
        <button type="button" class="tp-card" :data-tracklet="item.id" @click="$emit('open', { id: item.id })"
                :aria-label="describe(item)">
          <span class="tp-card-picture">
            <img :src="item.thumbnail" alt="" loading="lazy" @error="$event.target.classList.add('tp-gone')">
            <span v-if="item.rank" class="tp-rank">{{ item.rank }}</span>
            <span v-if="item.in_view" class="tp-now">{{ strings.in_view }}</span>
          </span>
          <span class="tp-card-camera" :title="item.camera">{{ item.camera }}</span>
          <span class="tp-card-time" :title="item.when_long"><span>{{ item.day }}</span>&ensp;<span>{{ item.time }}</span></span>
          <span class="tp-card-row">
            <span class="tp-badge" :class="'tp-' + item.modality">
              <q-icon :name="item.modality === 'visible' ? 'light_mode' : 'dark_mode'"></q-icon>
              {{ item.modality === 'visible' ? strings.day : strings.night }}
            </span>
            <span v-if="item.score" class="tp-score" :title="strings.cosine_title">{{ item.score }}</span>
          </span>
          <span v-if="item.band" class="tp-band" :class="'tp-band-' + item.band">{{ item.band_text }}</span>
        </button>
        <button type="button" class="tp-again" :aria-label="strings.search_this" :title="strings.search_this"
                @click="$emit('search', { id: item.id })"><q-icon name="person_search"></q-icon></button>
      </li>
    </ol>`,
  props: { items: Array, strings: Object, label: String },
  methods: {
    describe(item) {
      const night = item.modality === "visible" ? this.strings.day : this.strings.night;
      const parts = [item.rank ? `${item.rank}.` : "", item.camera, item.when_long, night,
                     item.score ? `${this.strings.similarity} ${item.score}` : "", item.band_text || ""];
      return parts.filter(Boolean).join(", ");
    },
  },
};
