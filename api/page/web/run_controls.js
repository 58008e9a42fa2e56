// What the running job can be told.
import { post } from "./rest.js";
import { askNow, isRunning, mayCommand, now } from "./now.js";
import { attempt } from "./notices.js";

export default {
  template: `
    <section v-if="isRunning()" class="card run-controls" aria-label="The run">
      <button v-if="isPaused" class="primary" :disabled="!may" @click="resume">Resume</button>
      <template v-else>
        <button :disabled="!may" @click="tell('pause')">Pause</button>
        <button :disabled="!may" @click="tell('pause', { after: 'row' })">Pause after row</button>
      </template>
      <button :disabled="!may" @click="tell('skip')">Skip tile</button>
      <button :disabled="!may" @click="tell('stop')">End run</button>
    </section>`,
  data: () => ({ now }),
  computed: {
    isPaused: () => now.status.state === "paused" || now.status.pause_pending,
    may: () => mayCommand() && now.status.state !== "finishing" && !now.status.ending,
  },
  methods: {
    isRunning,
    async resume() {
      await attempt(() => post(`/jobs/${now.status.job.id}/resume`));
      askNow();
    },
    async tell(verb, how = {}) {
      const reason = `told by ${now.status.caller.name} on the page`;
      await attempt(() => post(`/jobs/${now.status.job.id}/${verb}`, { ...how, reason }));
      askNow();
    },
  },
};
