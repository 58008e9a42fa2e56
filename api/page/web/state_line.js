// What the rig does now, and how far the run is.
import { now } from "nanoraster/now.js";

const WORDS = { idle: "Idle", preparing: "Preparing", acquiring: "Acquiring", paused: "Paused", finishing: "Finishing" };

export default {
  template: `
    <div class="state" :data-state="state" role="status">
      <span class="lamp" aria-hidden="true"></span>
      <strong>{{ words }}</strong>
      <template v-if="progress?.planned">
        <span class="job" :title="now.status.job.name">{{ now.status.job.name }}</span>
        <progress :value="progress.tiles" :max="progress.planned" aria-label="Tiles taken"></progress>
        <span class="count">{{ progress.tiles }} / {{ progress.planned }}</span>
      </template>
    </div>`,
  data: () => ({ now }),
  computed: {
    state: () => (now.online ? (now.status?.state ?? "unknown") : "offline"),
    progress: () => now.status?.progress,
    words() {
      if (this.state === "offline") return "No connection";
      if (now.status?.pause_pending) return "About to pause";
      return WORDS[this.state] ?? "…";
    },
  },
};
