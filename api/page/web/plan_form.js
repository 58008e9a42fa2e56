// What is to be taken, how, and what that amounts to; from here a scan is started.
import { get, post } from "./rest.js";
import { askNow, isRunning, mayCommand, now, otherInControl } from "./now.js";
import { attempt, say } from "./notices.js";
import { around, cornersOf, draft, isWhole, planOf } from "./draft.js";
import { bytes, duration, number, percent, plural } from "./words.js";

const ROOMY_PX = 760;
const WAIT_MS = 300; // after the last change, before it is looked over

/** Of a line such as `20, 30.5`; what is missing is no number. */
const corner = (line) => {
  const [x, y] = line.trim().split(/[\s,;]+/);
  return [Number(x), Number(y ?? NaN)];
};

export default {
  template: `
    <form class="card plan" @submit.prevent="start">
      <h2>Plan</h2>
      <label class="wide">Name <input v-model.trim="draft.name" required maxlength="200"></label>
      <fieldset>
        <legend>Region, µm</legend>
        <p v-if="!draft.region" class="hint">Draw it on the map with <b>Draw region</b> or <b>Draw polygon</b>, or <button type="button" class="plain" @click="$emit('some')">begin with numbers</button>.</p>
        <template v-else-if="draft.region.polygon">
          <textarea v-model.lazy="corners" :rows="Math.min(draft.region.polygon.length, 3)" aria-label="Corners, x and y in each line" spellcheck="false"></textarea>
          <button type="button" class="plain" @click="draft.region = around(draft.region)">The rectangle around it</button>
        </template>
        <div v-else class="numbers">
          <template v-for="axis in ['x', 'y']" :key="axis">
            <span>{{ axis }}</span>
            <input type="number" step="any" v-model.number="draft.region[axis][0]" :aria-label="axis + ' from'" required>
            <span>to</span>
            <input type="number" step="any" v-model.number="draft.region[axis][1]" :aria-label="axis + ' to'" required>
          </template>
          <button type="button" class="plain corners" @click="draft.region = { polygon: cornersOf(draft.region) }">Give corners</button>
        </div>
      </fieldset>
      <div class="pair">
        <label>Overlap, % <input type="number" min="0" max="90" step="any" v-model.number="overlap" required></label>
        <label>Exposure, ms <input type="number" min="0.01" max="60000" step="any" v-model.number="draft.exposureMs" required></label>
      </div>
      <details :open="isOpen" @toggle="isOpen = $event.target.open">
        <summary>Order, focus, probe, restoration, start</summary>
        <div class="pair">
          <label>Order <select v-model="draft.order"><option>serpentine</option><option>raster</option><option>spiral</option></select></label>
          <label>Focus <select v-model="draft.focus"><option value="none">leave as it is</option><option value="once">once, at the start</option><option value="row">each row</option><option value="tile">each tile</option><option value="map">map first</option></select></label>
          <label>Probe <select v-model="draft.force"><option value="none">stays off</option><option value="hover">touches each tile</option><option value="contact">stays in contact</option></select></label>
          <label>Restored with <select v-model="draft.model"><option v-for="model in models" :key="model">{{ model }}</option></select></label>
          <label v-if="draft.force !== 'none'">Set-point, nN <input type="number" min="0.1" step="any" v-model.number="draft.setPointNn"></label>
          <label v-if="draft.force !== 'none'">Limit, nN <input type="number" min="0.1" step="any" v-model.number="draft.limitNn"></label>
        </div>
        <label class="wide">Not before <input type="datetime-local" v-model="draft.startAt"></label>
      </details>
      <div class="preview" aria-live="polite">
        <template v-if="found">
          <dl v-if="found.tiles !== undefined">
            <div><dt>Tiles</dt><dd>{{ found.tiles }}<small>{{ found.columns }} × {{ found.rows }}</small></dd></div>
            <div><dt>About</dt><dd>{{ duration(found.duration_s) }}</dd></div>
            <div><dt>Disk</dt><dd>{{ bytes(found.disk_bytes) }}</dd></div>
            <div><dt>Overlap</dt><dd>{{ found.overlap.map(percent).join(" / ") }}</dd></div>
          </dl>
          <ul v-if="found.problems.length" class="problems" aria-label="What stands in the way"><li v-for="line in found.problems" :key="line">{{ line }}</li></ul>
          <ul v-if="found.warnings.length" class="warnings" aria-label="What is doubtful"><li v-for="line in found.warnings" :key="line">{{ line }}</li></ul>
        </template>
        <p v-else-if="wrong" class="problems">{{ wrong }}</p>
        <p v-else class="hint">Tiles, time and disk show here as soon as there is a region.</p>
      </div>
      <button class="primary" :disabled="!isGood || !mayCommand() || isSending">{{ draft.startAt ? "Add to the queue" : isRunning() ? "Queue this scan" : "Start scan" }}</button>
      <p v-if="otherInControl()" class="hint">{{ otherInControl() }} is in control; wait, or ask for it.</p>
      <p v-else-if="!mayCommand()" class="hint">Your token lets you look; to start a scan takes one of the role operate.</p>
    </form>`,
  emits: ["found", "some"],
  data: () => ({ draft, found: null, wrong: "", models: ["none"], isSending: false, isOpen: window.innerHeight > ROOMY_PX }),
  computed: {
    overlap: {
      get: () => Math.round(1000 * draft.overlap) / 10,
      set: (value) => (draft.overlap = value / 100),
    },
    corners: {
      get: () => draft.region.polygon.map(([x, y]) => `${number(x)}, ${number(y)}`).join("\n"),
      set: (text) => (draft.region = { polygon: text.split("\n").filter((line) => line.trim()).map(corner) }),
    },
    isGood() {
      return this.found?.problems.length === 0;
    },
  },
  watch: {
    draft: { deep: true, immediate: true, handler: "lookOverSoon" },
    found(found) {
      this.$emit("found", found);
    },
  },
  async created() {
    const models = await attempt(() => get("/models"));
    if (models) this.models = models.models.map((model) => model.name);
  },
  unmounted() {
    clearTimeout(this.timer);
  },
  methods: {
    around,
    bytes,
    cornersOf,
    duration,
    percent,
    isRunning,
    mayCommand,
    otherInControl,
    lookOverSoon() {
      clearTimeout(this.timer);
      this.timer = setTimeout(this.lookOver, WAIT_MS);
    },
    async lookOver() {
      const wrong = draft.region ? this.slip(draft) : "";
      const plan = wrong ? null : planOf(draft);
      if (!plan) {
        Object.assign(this, { found: null, wrong });
        return;
      }
      try {
        Object.assign(this, { found: await post("/plans/preview", plan), wrong: "" });
      } catch (problem) {
        Object.assign(this, { found: null, wrong: problem.message });
      }
    },
    slip({ region, force, setPointNn, limitNn }) {
      if (!isWhole(region) || !(this.$el?.checkValidity?.() ?? true)) return "A number is missing, or outside its range.";
      if (region.polygon?.length < 3) return "A polygon has three corners at least.";
      for (const axis of region.polygon ? [] : ["x", "y"]) {
        const [low, high] = region[axis];
        if (!(low < high)) return `Region: the first ${axis} must lie below the second.`;
      }
      return force !== "none" && !(setPointNn < limitNn) ? "The set-point must lie below the limit." : "";
    },
    async start() {
      this.isSending = true;
      const startAt = draft.startAt ? new Date(draft.startAt).toISOString() : null;
      const job = await attempt(() => post("/jobs", { plan: planOf(draft), start_at: startAt }));
      this.isSending = false;
      if (!job) return;
      const waits = now.status.held ? "; it waits until the queue is released" : "";
      say(`${draft.name}: job ${job.id}, ${plural(this.found.tiles, "tile")}${waits}.`);
      askNow();
    },
  },
};
