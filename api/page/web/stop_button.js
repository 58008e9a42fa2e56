// Stops everything, with one click or with Ctrl and the full stop, wherever one is on the page.
import { post } from "nanoraster/rest.js";
import { askNow, now, mayOperate } from "nanoraster/now.js";
import { say } from "nanoraster/notices.js";

const STOPPED = "Stopped. The probe is retracted, and no job begins until you release the queue.";

export default {
  template: `
    <button class="stop" :disabled="isTold || isViewer" aria-keyshortcuts="Control+." @click="stop"
            :title="isViewer ? 'Your token only lets you look' : 'Stop everything now and retract the probe (Ctrl + .)'">
      <span class="square" aria-hidden="true"></span> Stop <kbd>Ctrl .</kbd>
    </button>`,
  data: () => ({ isTold: false, isEnding: false, now }),
  computed: {
    isViewer: () => now.status !== null && !mayOperate(),
  },
  watch: {
    "now.status": "follow",
  },
  mounted() {
    window.addEventListener("keydown", this.onKey, true);
  },
  unmounted() {
    window.removeEventListener("keydown", this.onKey, true);
  },
  methods: {
    onKey(event) {
      if (!event.ctrlKey || event.key !== ".") return;
      event.preventDefault();
      this.stop();
    },
    async stop() {
      this.isTold = true;
      try {
        const found = await post("/stop", { reason: now.status ? `by ${now.status.caller.name} on the page` : "on the page" }); // of a run, answered before it has ended; else once the rig is safe
        this.isEnding = found.job !== null;
        say(this.isEnding ? "Stopping: the run ends, and the probe is retracted." : STOPPED);
      } catch (problem) {
        say(`Stop: ${problem.message}`, "bad");
      }
      this.isTold = false;
      askNow();
    },
    follow(status) {
      if (!this.isEnding || !["idle", "finishing"].includes(status.state)) return;
      this.isEnding = false;
      if (status.troubles.length) say(`The run was stopped, but: ${status.troubles.join("; ")}`, "bad");
      else say(STOPPED);
    },
  },
};
