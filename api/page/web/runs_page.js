// What was acquired: every run, what came of it, its report, and restoring it again with another model.
import { get, post, url } from "./rest.js";
import { mayCommand, now } from "./now.js";
import { attempt } from "./notices.js";
import { go, place } from "./place.js";
import { duration, number, plural, time } from "./words.js";

const AGAIN_MS = 2000;
const TILES_ACROSS = 2; // of the picture, at most

export default {
  template: `
    <p v-if="isAsked && !runs.length" class="empty">No run yet. What you scan is listed here, with a report of each run.</p>
    <div v-else class="runs">
      <nav class="card" aria-label="Runs">
        <h2>Runs</h2>
        <ul>
          <li v-for="run in runs" :key="run.id"><a :href="'#/runs/' + run.id" :aria-current="run.id === place.detail ? 'true' : null">
            <strong>{{ run.name ?? run.id }}</strong><span class="hint">{{ run.error ? "damaged" : time(run.created_at) }}</span></a></li>
        </ul>
      </nav>
      <section v-if="facts" class="card facts">
        <h2>{{ facts.name }} <span class="tag" :class="facts.outcome ?? 'running'">{{ facts.outcome ?? (isGoing ? "under way" : "unfinished") }}</span></h2>
        <p class="hint">{{ facts.id }}</p>
        <div class="summary">
          <a v-if="picture" class="picture" :style="picture.box" :href="'#/mosaic/' + facts.id" aria-label="The mosaic" title="Zoom into the mosaic"><span :style="picture.grid"><img v-for="each in picture.tiles" :key="each" :src="each" alt=""></span></a>
          <dl>
            <div><dt>Tiles taken</dt><dd>{{ facts.tiles.ok }} / {{ facts.tiles.planned }}</dd></div>
            <div v-if="facts.tiles.retried"><dt>taken again</dt><dd>{{ facts.tiles.retried }}</dd></div>
            <div v-if="facts.tiles.flagged"><dt>doubtful</dt><dd>{{ facts.tiles.flagged }}</dd></div>
            <div v-if="facts.tiles.skipped + facts.tiles.failed"><dt>not taken</dt><dd>{{ facts.tiles.skipped + facts.tiles.failed }}</dd></div>
            <div><dt>Time</dt><dd>{{ duration(facts.time.total_s) }}</dd></div>
            <div><dt>Overhead of a tile</dt><dd>{{ number(facts.time.overhead_ms_p50, 1) }} ms<small>p99 {{ number(facts.time.overhead_ms_p99, 1) }}</small></dd></div>
            <div v-if="facts.resumed"><dt>Resumed</dt><dd>{{ plural(facts.resumed, "time") }}</dd></div>
          </dl>
        </div>
        <p class="actions">
          <a class="button" :href="'#/mosaic/' + facts.id">Mosaic</a>
          <a v-if="hasReport" class="button primary" :href="report" target="_blank" rel="noopener">Open the report</a>
          <span v-else class="hint">The report is written when the run ends.</span>
        </p>
        <form class="again" @submit.prevent="restore">
          <label>Restore again with <select v-model="model"><option v-for="each in models" :key="each.name">{{ each.name }}</option></select></label>
          <button :disabled="!mayCommand() || isGoing || isTaken">Restore</button>
          <ul v-if="mosaic?.restored_again.length"><li v-for="each in mosaic.restored_again" :key="each.model"><strong>{{ each.model }}</strong> <span class="tag" :class="each.state">{{ each.state }}</span></li></ul>
        </form>
        <iframe v-if="hasReport" :src="report" title="Report of the run" loading="lazy"></iframe>
      </section>
      <p v-else-if="wrong" class="empty">{{ wrong }}</p>
    </div>`,
  data: () => ({ now, place, runs: [], isAsked: false, facts: null, mosaic: null, wrong: "", models: [], model: "none" }),
  computed: {
    isGoing() {
      return now.status.job?.run === this.facts?.id;
    },
    hasReport() {
      return this.facts?.has_report && !this.isGoing;
    },
    report() {
      return url(`/runs/${encodeURIComponent(this.facts.id)}/report`);
    },
    picture() {
      const levels = this.mosaic?.layers.raw ?? [];
      const tile = this.mosaic.tile_px;
      const small = levels.findIndex(({ shape_px }) => Math.max(...shape_px) <= TILES_ACROSS * tile);
      if (small < 0 || !this.mosaic.display_range) return null;
      const [rows, columns] = levels[small].shape_px; // what the last tiles have beyond is black
      const [down, across] = [Math.ceil(rows / tile), Math.ceil(columns / tile)];
      const root = url(`/runs/${encodeURIComponent(this.facts.id)}/mosaic/raw/${small}`);
      return {
        tiles: Array.from({ length: down * across }, (_, at) => `${root}/${Math.floor(at / across)}/${at % across}.jpg?blank=true`),
        box: { aspectRatio: `${columns} / ${rows}` },
        grid: { width: `${(100 * across * tile) / columns}%`, gridTemplateColumns: `repeat(${across}, 1fr)` },
      };
    },
    isTaken() {
      return this.mosaic?.restored_again.some((each) => each.model === this.model && each.state !== "cut off");
    },
  },
  watch: {
    "place.detail": { immediate: true, handler: "askRun" },
    "now.status.job.run": { immediate: true, handler: "askRuns" },
    "now.status.state": "askRuns", // once it acquires, the run is there
    isGoing: "askRun",
  },
  async created() {
    const found = await attempt(() => get("/models"));
    if (found) this.models = found.models;
  },
  unmounted() {
    clearTimeout(this.timer);
  },
  methods: {
    duration,
    mayCommand,
    number,
    plural,
    time,
    async askRuns() {
      const found = await get("/runs").catch(() => null);
      if (!found) return;
      Object.assign(this, { runs: found.runs, isAsked: true });
      if (!place.detail && found.runs.length && place.part === "runs") go("runs", found.runs[0].id);
    },
    async askRun() {
      clearTimeout(this.timer);
      if (!place.detail || place.part !== "runs") return;
      const path = `/runs/${encodeURIComponent(place.detail)}`;
      try {
        const [facts, mosaic] = await Promise.all([get(path), get(`${path}/mosaic`)]);
        Object.assign(this, { facts, mosaic, wrong: "" });
      } catch (problem) {
        Object.assign(this, { facts: null, mosaic: null, wrong: problem.message });
      }
      const works = this.mosaic?.restored_again.some((each) => each.state === "working");
      if (works || this.isGoing) this.timer = setTimeout(this.askRun, AGAIN_MS);
    },
    async restore() {
      await attempt(() => post(`/runs/${encodeURIComponent(this.facts.id)}/reconstruct`, { model: this.model }), "Restoring; its layers come to the mosaic.");
      this.askRun();
    },
  },
};
