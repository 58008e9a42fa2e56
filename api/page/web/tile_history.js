// Every attempt at one tile, and how to take it once more.
import { attempt } from "./notices.js";
import { askNow, mayCommand, now } from "./now.js";
import { post } from "./rest.js";
import { length, number, time } from "./words.js";

const LONGER = [1, 2, 4, 8]; // times the exposure of the plan

const FIELDS = [
  ["place", (each) => `${number(each.actual_x_um)}, ${number(each.actual_y_um)} µm`],
  ["off target", (each) => (each.actual_x_um === null ? "–" : length(Math.hypot(each.actual_x_um - each.target_x_um, each.actual_y_um - each.target_y_um)))],
  ["force", (each) => (each.force_nn === null ? "–" : `${number(each.force_nn, 0)} nN`)],
  ["sharpness", (each) => (each.focus_score === null ? "–" : Number(each.focus_score.toPrecision(3)))],
  ["mean, sd", (each) => (each.mean === null ? "–" : `${number(each.mean, 0)}, ${number(each.sd, 0)}`)],
  ["exposed", (each) => `${number(1000 * each.exposure_s, 1)} ms`],
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
      <template v-if="grows && isTaken">
        <p v-if="isWanted" class="hint" role="status">It is taken again before the run ends. If that gives no good frame, the one before stays.</p>
        <label>Exposure <select v-model.number="times"><option v-for="each in longer" :key="each" :value="each">{{ each === 1 ? "as planned" : each + " times as long" }}</option></select></label>
        <button :disabled="!may" @click="takeAgain">Take again</button>
      </template>
      <template v-else>
        <p class="hint">A run takes tiles again that are not good enough, as its plan says (<code>quality</code>), and others while it goes on. To take this one once more, scan its field as a run of its own.</p>
        <button @click="$emit('again')">Plan this field again</button>
      </template>
    </aside>`,
  props: { tile: Object, grows: Boolean },
  emits: ["close", "again"],
  data: () => ({ fields: FIELDS, longer: LONGER, times: 1 }),
  computed: {
    last() {
      return this.tile.attempts.at(-1);
    },
    isTaken() {
      return this.tile.attempts.some((each) => each.verdict === "ok");
    },
    isWanted() {
      return now.status?.retakes?.includes(this.tile.tile) ?? false;
    },
    may: () => mayCommand() && now.status.state !== "finishing" && !now.status.ending,
  },
  methods: {
    time,
    async takeAgain() {
      const wanted = { tile: this.tile.tile, exposure_factor: this.times };
      await attempt(() => post(`/jobs/${now.status.job.id}/retake`, wanted));
      askNow();
    },
  },
};
