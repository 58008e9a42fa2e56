// Every attempt at one tile, and how to take it once more.
import { length, number, time } from "./words.js";

const FIELDS = [
  ["place", (each) => `${number(each.actual_x_um, 3)}, ${number(each.actual_y_um, 3)} µm`],
  ["off target", (each) => (each.actual_x_um === null ? "–" : length(Math.hypot(each.actual_x_um - each.target_x_um, each.actual_y_um - each.target_y_um)))],
  ["force", (each) => (each.force_nn === null ? "–" : `${number(each.force_nn, 0)} nN`)],
  ["sharpness", (each) => (each.focus_score === null ? "–" : Number(each.focus_score.toPrecision(3)))],
  ["mean, sd", (each) => (each.mean === null ? "–" : `${number(each.mean, 0)}, ${number(each.sd, 0)}`)],
  ["took", (each) => `${number(each.total_s, 2)} s`],
];

export default {
  template: `
    <aside class="card history" :aria-label="'Tile ' + tile.tile">
      <h2>Tile {{ tile.tile }} <small>row {{ last.row }}, column {{ last.col }}</small><button class="plain" aria-label="Close" @click="$emit('close')">×</button></h2>
      <ol>
        <li v-for="each in tile.attempts" :key="each.attempt" :class="each.verdict">
          <p><strong>{{ each.verdict }}</strong> at {{ time(each.started_at) }}</p>
          <p v-if="each.reason" class="reason">{{ each.reason }}</p>
          <dl><div v-for="[name, of] in fields" :key="name"><dt>{{ name }}</dt><dd>{{ of(each) }}</dd></div></dl>
        </li>
      </ol>
      <p class="hint">A run takes tiles again that are not good enough, as its plan says (<code>quality</code>). To take this one once more, scan its field as a run of its own.</p>
      <button @click="$emit('again')">Plan this field again</button>
    </aside>`,
  props: { tile: Object },
  emits: ["close", "again"],
  data: () => ({ fields: FIELDS }),
  computed: {
    last() {
      return this.tile.attempts.at(-1);
    },
  },
  methods: { time },
};
