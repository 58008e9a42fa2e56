// Stops everything, with one click or with Ctrl and the full stop, wherever one is on the page.
import { post } from "nanoraster/rest.js";
import { askNow, now, mayOperate } from "nanoraster/now.js";
import { say } from "nanoraster/notices.js";

export default {
  template: `
    <button class="stop" :disabled="isTold || isViewer" aria-keyshortcuts="Control+." @click="stop"
            :title="isViewer ? 'Your token only lets you look' : 'Stop everything now and retract the probe (Ctrl + .)'">
      <span class="square" aria-hidden="true"></span> Stop <kbd>Ctrl .</kbd>
    </button>`,
  data: () => ({ isTold: false }),
  computed: {
    isViewer: () => now.status !== null && !mayOperate(),
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
        await post("/stop");
        say("Stopped. The probe is retracted, and no job begins until you release the queue.");
      } catch (problem) {
        say(`Stop: ${problem.message}`, "bad");
      }
      this.isTold = false;
      askNow();
    },
  },
};
