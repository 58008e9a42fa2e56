// Where one looks, moves, draws a region, and starts a scan.
import { computed, reactive } from "vue";
import { get } from "./rest.js";
import { isRunning, now } from "./now.js";
import { draft } from "./draft.js";
import { mosaicOfRun } from "./mosaic_of_run.js";
import HandControls from "./hand_controls.js";
import LiveView from "./live_view.js";
import PlanForm from "./plan_form.js";
import Readings from "./readings.js";
import RunControls from "./run_controls.js";
import SpecimenMap from "./specimen_map.js";
import { time } from "./words.js";

const READ_MS = 2000;
const HINT = {
  draw: "Drag over the map from corner to corner.",
  polygon: "Click corner by corner; the first one again closes it.",
};

export default {
  components: { HandControls, LiveView, PlanForm, Readings, RunControls, SpecimenMap },
  template: `
    <p v-if="wrong" class="empty">No rig: {{ wrong }}<br>Start the service with <code>nanoraster serve --rig rig.toml</code>, or with <code>--sim</code> for the twin.</p>
    <div v-else-if="rig" class="scan" @keydown.esc="mode = 'look'">
      <section class="stage card">
        <div class="bar">
          <button :class="{ on: mode === 'draw' }" :aria-pressed="mode === 'draw'" @click="mode = mode === 'draw' ? 'look' : 'draw'">Draw region</button>
          <button :class="{ on: mode === 'polygon' }" :aria-pressed="mode === 'polygon'" @click="mode = mode === 'polygon' ? 'look' : 'polygon'">Draw polygon</button>
          <button @click="$refs.map.fit()">Whole travel</button>
          <label>Below <select v-model="below"><option value="">nothing</option><option v-for="run in toShow" :key="run.id" :value="run.id">{{ run.name }}, {{ time(run.created_at) }}</option></select></label>
        </div>
        <SpecimenMap ref="map" :travel="travel" :run="below" :mosaic="state.mosaic" left="raw" :grows="grows" :placed="now.status.progress?.placed" :outlines="outlines" :region="draft.region"
                     :mode="mode" fit-to="travel" @region="drew">
          <p v-if="mode !== 'look'" class="told" role="status">{{ hint[mode] }}</p>
          <p v-else-if="!below && !draft.region" class="invitation">Nothing was scanned here yet. Draw the region that you want.</p>
        </SpecimenMap>
      </section>
      <div class="side">
        <RunControls />
        <LiveView @looks="looks = $event" />
        <Readings :devices="devices" />
        <HandControls :devices="devices" :rides-on="rig.probe_rides_on" :why="whyNot" @moved="read" />
      </div>
      <PlanForm @found="found = $event" @some="begin" />
    </div>`,
  setup() {
    const choice = reactive({ below: "", isMade: false });
    const below = computed(() => choice.below);
    return { choice, ...mosaicOfRun(() => below.value) };
  },
  data: () => ({ hint: HINT, draft, now, rig: null, wrong: "", runs: [], devices: [], looks: false, mode: "look", found: null }),
  computed: {
    below: {
      get() {
        return this.choice.below;
      },
      set(run) {
        Object.assign(this.choice, { below: run, isMade: true });
      },
    },
    toShow() {
      const { run: id, name } = now.status.job ?? {};
      return !id || this.runs.some((run) => run.id === id) ? this.runs : [{ id, name }, ...this.runs]; // it is just being made
    },
    travel() {
      const { x, y } = { ...this.devices.find((device) => device.name === "scanner")?.reading?.limits_um, ...this.rig.limits_um };
      return x && y ? { x, y } : null;
    },
    here() {
      const last = isRunning() ? now.tiles.at(-1) : null;
      if (last) return last.actual_x_um === null ? null : { x: last.actual_x_um, y: last.actual_y_um };
      return this.devices.find((device) => device.name === "scanner")?.reading?.position_um ?? null;
    },
    outlines() {
      const around = (kind, corners, place) => ({ kind, corners: corners.map(([x, y]) => [place.x + x, place.y + y]) });
      const planned = (this.found?.places_um ?? []).map(([x, y]) => around("planned", this.found.field_corners_um, { x, y }));
      return this.here ? [...planned, around("here", this.rig.field_corners_um, this.here)] : planned;
    },
    whyNot() {
      if (isRunning()) return "a run has the rig";
      return this.looks ? "" : "look first";
    },
  },
  watch: {
    "now.status.job.run": { immediate: true, handler: "askRuns" },
    "now.status.state": "askRuns", // once it acquires, the run is there
  },
  async created() {
    this.keepReading();
    try {
      this.rig = await get("/rig");
    } catch (problem) {
      this.wrong = problem.message;
    }
  },
  unmounted() {
    clearTimeout(this.timer);
  },
  methods: {
    time,
    async askRuns() {
      const found = await get("/runs").catch(() => ({ runs: [] }));
      this.runs = found.runs.filter((run) => !run.error);
      const going = now.status?.job?.run;
      if (going) this.choice.below = going;
      else if (!this.choice.isMade && this.runs.length) this.choice.below = this.runs[0].id;
    },
    async keepReading() {
      if (!isRunning() && this.looks) await this.read();
      this.timer = setTimeout(this.keepReading, READ_MS);
    },
    async read() {
      const found = await get("/devices").catch(() => null);
      if (found) this.devices = found.devices;
    },
    drew(region, isWhole) {
      draft.region = region;
      if (isWhole) this.mode = "look";
    },
    begin() {
      const middle = this.here ?? { x: (this.travel?.x[0] + this.travel?.x[1]) / 2, y: (this.travel?.y[0] + this.travel?.y[1]) / 2 };
      const [width, height] = this.rig.field_um;
      draft.region = { x: [middle.x - width, middle.x + width], y: [middle.y - height, middle.y + height] };
    },
  },
};
