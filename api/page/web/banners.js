// What stands in the way, and what to do about it; nothing while all is well.
import { post } from "nanoraster/rest.js";
import { askNow, mayCommand, now } from "nanoraster/now.js";
import { attempt } from "nanoraster/notices.js";

export default {
  template: `
    <div class="banners" aria-live="polite">
      <p v-if="!now.online" class="banner bad">
        <span>The service does not answer. If it was ended, start it again with <code>nanoraster serve</code>; a run goes on at
        its next tile. This page comes back by itself.</span>
      </p>
      <p v-if="now.wrong" class="banner bad">
        <span>The service does not tell what goes on: {{ now.wrong }}. What is shown here is from before; Stop works as far as you are let in.</span>
      </p>
      <p v-if="now.status?.held" class="banner warn">
        <span>No job begins: {{ now.status.held }}.</span>
        <button v-if="mayCommand()" @click="release">Release the queue</button>
      </p>
      <p v-if="now.status?.waits_because" class="banner warn">
        <span>{{ now.status.pause_pending ? "The run will pause" : "The run waits" }}: {{ now.status.waits_because }}.</span>
      </p>
      <p v-for="trouble in now.status?.troubles" :key="trouble" class="banner bad">{{ trouble }}</p>
    </div>`,
  data: () => ({ now }),
  methods: {
    mayCommand,
    async release() {
      await attempt(() => post("/queue/release"), "Jobs may begin again.");
      askNow();
    },
  },
};
