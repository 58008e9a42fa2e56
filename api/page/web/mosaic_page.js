// The mosaic of a run: zoomed into while it grows, its layers compared, each tile's history a click away.
import { computed, reactive } from "vue";
import { get } from "./rest.js";
import { now } from "./now.js";
import { draft } from "./draft.js";
import { go, place } from "./place.js";
import { mosaicOfRun } from "./mosaic_of_run.js";
import RunControls from "./run_controls.js";
import SpecimenMap from "./specimen_map.js";
import TileHistory from "./tile_history.js";
import { time } from "./words.js";

export default {
  components: { RunControls, SpecimenMap, TileHistory },
  template: `
    <p v-if="!runs.length && isAsked" class="empty">No run yet. Draw a region and start a scan under <a href="#/scan">scan</a>; its mosaic grows here.</p>
    <div v-else class="mosaic" :class="{ aside: tile }">
      <section class="stage card">
        <div class="bar">
          <label>Run <select :value="run" @change="choose($event.target.value)"><option v-for="each in runs" :key="each.id" :value="each.id">{{ each.name }}, {{ time(each.created_at) }}</option></select></label>
          <label>Layer <select v-model="left"><option v-for="layer in layers" :key="layer">{{ layer }}</option></select></label>
          <label>beside <select v-model="right"><option value="">nothing</option><option v-for="layer in layers.filter((each) => each !== left)" :key="layer">{{ layer }}</option></select></label>
          <label class="check"><input type="checkbox" v-model="showsTiles"> Tiles</label>
          <button @click="$refs.map.fit()">Whole mosaic</button>
          <span v-if="grows && now.status.progress" class="hint grows">{{ now.status.progress.placed }} of {{ now.status.progress.planned }} tiles are in it</span>
        </div>
        <SpecimenMap ref="map" :run="run" :mosaic="state.mosaic" :left="left" :right="right" :divider="divider" :grows="grows" :placed="now.status.progress?.placed" :outlines="outlines"
                     :chosen="tile?.tile" @divider="divider = $event" @outline="choice.tile = $event">
          <p v-if="!layers.length" class="invitation">{{ state.problem || (grows ? "The first tile is on its way." : "This run has no mosaic.") }}</p>
          <ul v-if="showsTiles && layers.length" class="legend" aria-label="Colours of the tiles">
            <li class="ok">{{ count("ok") }} taken</li><li class="doubtful">{{ count("doubtful") }} doubtful, or taken again</li><li class="failed">{{ count("failed") }} not taken</li>
          </ul>
        </SpecimenMap>
      </section>
      <TileHistory v-if="tile" :tile="tile" :grows="grows" @close="choice.tile = null" @again="planAgain" />
      <RunControls v-if="grows" />
    </div>`,
  setup() {
    const choice = reactive({ run: place.detail, tile: null });
    const run = computed(() => choice.run);
    return { choice, run, ...mosaicOfRun(() => run.value) };
  },
  data: () => ({ now, runs: [], isAsked: false, left: "raw", right: "", divider: 0.5, showsTiles: false }),
  computed: {
    layers() {
      return Object.keys(this.state.mosaic?.layers ?? {}).filter((layer) => this.state.mosaic.layers[layer].length);
    },
    histories() {
      const found = new Map();
      for (const each of this.state.attempts) {
        if (!found.has(each.tile)) found.set(each.tile, []);
        found.get(each.tile).push(each);
      }
      return found;
    },
    outlines() {
      const corners = this.state.facts?.field_corners_um;
      if (!this.showsTiles || !corners) return [];
      return [...this.histories].map(([id, attempts]) => {
        const { x, y } = this.middle(attempts.at(-1));
        return { id, kind: this.kind(attempts), corners: corners.map(([dx, dy]) => [x + dx, y + dy]) };
      });
    },
    tile() {
      const attempts = this.histories.get(this.choice.tile);
      return attempts ? { tile: this.choice.tile, kind: this.kind(attempts), attempts } : null;
    },
  },
  watch: {
    "now.status.job.run": { immediate: true, handler: "askRuns" },
    "now.status.state": "askRuns", // once it acquires, the run is there
    layers(layers) {
      if (!layers.includes(this.left)) this.left = layers[0] ?? "raw";
      if (!layers.includes(this.right)) this.right = "";
    },
    showsTiles(shows) {
      if (!shows) this.choice.tile = null;
    },
  },
  methods: {
    time,
    async askRuns() {
      const found = await get("/runs").catch(() => ({ runs: [] }));
      this.runs = found.runs.filter((run) => !run.error);
      this.isAsked = true;
      const going = now.status?.job?.run;
      if (!this.choice.run && (going || this.runs.length)) this.choose(going ?? this.runs[0].id);
    },
    count(kind) {
      return this.outlines.filter((outline) => outline.kind === kind).length;
    },
    choose(run) {
      Object.assign(this.choice, { run, tile: null });
      go("mosaic", run);
    },
    middle: (attempt) => ({ x: attempt.target_x_um - attempt.drift_x_um, y: attempt.target_y_um - attempt.drift_y_um }),
    kind(attempts) {
      const taken = attempts.filter((each) => each.verdict === "ok");
      if (!taken.length) return "failed";
      return attempts.length > 1 || taken.at(-1).reason ? "doubtful" : "ok";
    },
    planAgain() {
      const { x, y } = this.middle(this.tile.attempts.at(-1));
      const corners = this.state.facts.field_corners_um;
      const reach = (axis) => 0.49 * (Math.max(...corners.map((each) => each[axis])) - Math.min(...corners.map((each) => each[axis])));
      Object.assign(draft, {
        name: `tile ${this.tile.tile} again`,
        region: { x: [x - reach(0), x + reach(0)], y: [y - reach(1), y + reach(1)] },
        exposureMs: Math.round(1e6 * this.tile.attempts.at(-1).exposure_s) / 1000,
      });
      go("scan");
    },
  },
};
