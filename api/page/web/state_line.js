// What the rig does now, and how far the run is.
import { now } from "nanoraster/now.js";
import { duration } from "nanoraster/words.js";

const FEWEST = 4; // tiles, to tell how long the others will take
const WORDS = { idle: "Idle", preparing: "Preparing", acquiring: "Acquiring", paused: "Paused", finishing: "Finishing" };

export default {
  template: `
    <div class="state" :data-state="state" role="status">
      <span class="lamp" aria-hidden="true"></span>
      <strong>{{ words }}</strong>
      <template v-if="progress?.planned">
        <span class="job" :title="now.status.job.name">{{ now.status.job.name }}</span>
        <progress :value="progress.tiles" :max="progress.planned" aria-label="Tiles taken"></progress>
        <span class="count">{{ progress.tiles }} / {{ progress.planned }}<template v-if="leftS"> · {{ duration(leftS) }} left</template></span>
      </template>
    </div>`,
  data: () => ({ now }),
  computed: {
    state: () => (!now.online ? "offline" : now.wrong ? "unknown" : (now.status?.state ?? "unknown")),
    progress: () => now.status?.progress,
    leftS() {
      const heard = now.tiles.filter((tile) => tile.run === now.status.job?.run);
      if (this.state !== "acquiring" || heard.length < FEWEST) return null;
      const [first, last] = [heard[0], heard.at(-1)].map((tile) => new Date(tile.started_at).getTime() / 1000);
      return ((this.progress.planned - this.progress.tiles) * (last - first)) / (heard.length - 1);
    },
    words() {
      if (this.state === "offline") return "No connection";
      if (now.wrong) return "Not known";
      if (now.status?.pause_pending) return "About to pause";
      return WORDS[this.state] ?? "…";
    },
  },
  methods: { duration },
};
