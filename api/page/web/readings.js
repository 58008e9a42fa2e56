// Where the rig stands, what the probe feels, how sharp it is: asked between two runs, of a run what its last tile found.
import { isRunning, now } from "./now.js";
import { number, percent } from "./words.js";

const POINTS = 60;

export default {
  template: `
    <section class="card readings" aria-label="Readings">
      <dl>
        <div v-for="axis in Object.keys(position)" :key="axis"><dt>{{ axis }}, µm</dt><dd>{{ number(position[axis], 3) }}</dd></div>
        <div v-if="focus !== undefined"><dt>focus, µm</dt><dd>{{ number(focus, 2) }}</dd></div>
        <div v-if="force !== undefined"><dt>force, nN</dt><dd>{{ number(force, 0) }}</dd></div>
        <div v-if="tile"><dt>sharpness</dt><dd>{{ tile.focus_score === null ? "–" : Number(tile.focus_score.toPrecision(3)) }}</dd></div>
        <div v-if="tile"><dt>tile</dt><dd>{{ tile.tile }}<small>{{ tile.verdict }}</small></dd></div>
        <div v-if="overlap" class="wide"><dt>overlap, x / y, after row {{ overlap.row }}</dt><dd :class="{ off: isOff }">{{ overlap.overlap.map(percent).join(" / ") }}<small>band {{ overlap.band.map(percent).join(" to ") }}</small></dd></div>
      </dl>
      <p v-if="line" class="hint">Sharpness of the last tiles</p>
      <svg v-if="line" viewBox="0 0 120 24" preserveAspectRatio="none" role="img" aria-label="Sharpness of the last tiles"><polyline :points="line" /></svg>
      <p v-if="!Object.keys(position).length" class="hint">No reading: nobody looks at the rig just now.</p>
    </section>`,
  props: { devices: Array },
  data: () => ({ now }),
  computed: {
    tile() {
      const last = now.tiles.at(-1);
      return isRunning() && last?.run === now.status.job.run ? last : null;
    },
    position() {
      if (!this.tile) return this.reading("scanner")?.position_um ?? {};
      const found = { x: this.tile.actual_x_um, y: this.tile.actual_y_um, z: this.tile.actual_z_um };
      return Object.fromEntries(Object.entries(found).filter(([, place]) => place !== null));
    },
    focus() {
      return this.tile ? undefined : Object.values(this.reading("focus")?.position_um ?? {})[0];
    },
    overlap() {
      const found = this.tile && now.events.find((event) => event.kind === "overlap_measured" && event.run === this.tile.run);
      return found ? found.data : null;
    },
    isOff() {
      const [low, high] = this.overlap.band;
      return this.overlap.overlap.some((part) => part !== null && (part < low || part > high));
    },
    force() {
      return this.tile ? (this.tile.force_nn ?? undefined) : this.reading("force")?.force_nn;
    },
    line() {
      const scores = now.tiles.filter((tile) => tile.run === this.tile?.run && tile.focus_score !== null).slice(-POINTS);
      if (scores.length < 3) return "";
      const values = scores.map((tile) => tile.focus_score), low = Math.min(...values), span = Math.max(...values) - low || 1;
      return values.map((value, at) => `${(120 * at) / (values.length - 1)},${22 - (20 * (value - low)) / span}`).join(" ");
    },
  },
  methods: {
    number,
    percent,
    reading(name) {
      return this.devices.find((device) => device.name === name)?.reading;
    },
  },
};
