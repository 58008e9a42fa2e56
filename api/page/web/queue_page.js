// The queue: what runs, what is to come in which order, and what is over.
import { ask, get, post } from "./rest.js";
import { askNow, mayCommand, now } from "./now.js";
import { attempt } from "./notices.js";
import { plural, time } from "./words.js";
import RunControls from "./run_controls.js";

const ASK_MS = 2000;

export default {
  components: { RunControls },
  template: `
    <div class="queue">
      <section class="card">
        <h2>Queue <small v-if="waiting.length">{{ plural(waiting.length, "job") }} to come</small>
          <span class="actions">
            <button v-if="now.status.held" :disabled="!mayCommand()" @click="tellQueue('release')">Release</button>
            <button v-else :disabled="!mayCommand()" title="Let no further job begin" @click="tellQueue('hold')">Hold</button>
          </span>
        </h2>
        <RunControls />
        <p v-if="isAsked && !current.length" class="empty">Nothing is queued. Plan a scan under <a href="#/scan">scan</a>, or add one with <code>nanoraster queue add plan.toml</code>.</p>
        <ol class="jobs">
          <li v-for="job in current" :key="job.id" :class="[job.state, { over: over === job.id }]" :draggable="job.state === 'queued' && mayCommand()"
              @dragstart="dragged = job.id" @dragover.prevent="over = job.id" @dragleave="over = null" @dragend="over = dragged = null" @drop.prevent="drop(job)">
            <span class="grip" aria-hidden="true">{{ job.state === "queued" ? "⠿" : "" }}</span>
            <div class="what">
              <strong>{{ job.name }}</strong> <span class="tag" :class="job.state">{{ job.state === "running" ? job.doing : job.state }}</span>
              <p class="hint">job {{ job.id }}<template v-if="job.state === 'running' && now.status.progress">, {{ now.status.progress.tiles }} of {{ now.status.progress.planned }} tiles</template><template v-if="job.window">, {{ job.window }}</template><template v-if="job.error">, {{ job.error }}</template></p>
            </div>
            <label v-if="job.state === 'queued'" class="start">not before <input type="datetime-local" :value="local(job.start_at)" :disabled="!mayCommand()" @change="change(job, { start_at: $event.target.value ? new Date($event.target.value).toISOString() : null })"></label>
            <span v-else class="start">since {{ time(job.started_at) }}</span>
            <span class="actions">
              <template v-if="job.state === 'queued'">
                <button :disabled="!mayCommand() || isFirst(job)" :aria-label="job.name + ' earlier'" title="Earlier" @click="move(job, -1)">↑</button>
                <button :disabled="!mayCommand() || isLast(job)" :aria-label="job.name + ' later'" title="Later" @click="move(job, 1)">↓</button>
              </template>
              <a v-if="job.run" :href="'#/mosaic/' + job.run">mosaic</a>
              <button v-if="job.state !== 'running'" :disabled="!mayCommand()" @click="remove(job)">Remove</button>
            </span>
          </li>
        </ol>
        <p v-for="line in damaged" :key="line" class="problems">{{ line }}</p>
      </section>
      <section class="card" v-if="past.length">
        <h2>Over</h2>
        <table>
          <thead><tr><th>Job</th><th>Came out</th><th>Tiles</th><th>Ended</th><th></th></tr></thead>
          <tbody>
            <tr v-for="job in past" :key="job.id">
              <td>{{ job.name }}<p v-if="job.error" class="reason">{{ job.error }}</p></td>
              <td><span class="tag" :class="job.outcome">{{ job.outcome }}</span></td>
              <td>{{ job.tiles ? (job.tiles.ok ?? "–") + " / " + job.tiles.planned : "–" }}</td>
              <td>{{ time(job.ended_at) }}</td>
              <td><span v-if="job.run" class="actions"><a :href="'#/mosaic/' + job.run">mosaic</a><a :href="'#/runs/' + job.run">report</a></span></td>
            </tr>
          </tbody>
        </table>
      </section>
    </div>`,
  data: () => ({ now, jobs: [], damaged: [], isAsked: false, dragged: null, over: null }),
  computed: {
    current() {
      return this.jobs.filter((job) => job.state !== "done");
    },
    waiting() {
      return this.jobs.filter((job) => job.state === "queued");
    },
    past() {
      return this.jobs.filter((job) => job.state === "done").reverse();
    },
  },
  created() {
    this.keepAsking();
  },
  unmounted() {
    clearTimeout(this.timer);
  },
  methods: {
    mayCommand,
    plural,
    time,
    async keepAsking() {
      if (!this.dragged && !document.hidden) await this.askJobs();
      clearTimeout(this.timer);
      this.timer = setTimeout(this.keepAsking, ASK_MS);
    },
    async askJobs() {
      const found = await get("/jobs").catch(() => null);
      if (found) Object.assign(this, { jobs: found.jobs, damaged: found.damaged, isAsked: true });
    },
    isFirst(job) {
      return this.waiting[0]?.id === job.id;
    },
    isLast(job) {
      return this.waiting.at(-1)?.id === job.id;
    },
    placeOf(job) {
      return this.jobs.filter((each) => ["queued", "interrupted"].includes(each.state)).findIndex((each) => each.id === job.id);
    },
    async move(job, by) {
      const [pressed, beside] = [document.activeElement, document.activeElement?.parentElement];
      await this.change(job, { position: this.placeOf(job) + by });
      await this.$nextTick(); // its line has moved, and lost the focus
      (pressed.disabled ? beside?.querySelector("button:not(:disabled)") : pressed)?.focus();
    },
    drop(onto) {
      const job = this.waiting.find((each) => each.id === this.dragged);
      const position = Math.max(this.placeOf(onto), 0); // onto the running one: before all others
      Object.assign(this, { dragged: null, over: null });
      if (job && job.id !== onto.id) this.change(job, { position });
    },
    async change(job, changes) {
      await attempt(() => ask("PATCH", `/jobs/${job.id}`, changes)); // without a version: each step of a run changes it
      await this.askJobs();
    },
    async remove(job) {
      await attempt(() => ask("DELETE", `/jobs/${job.id}`), `${job.name} was taken off the queue.`);
      this.askJobs();
    },
    async tellQueue(verb) {
      await attempt(() => post(`/queue/${verb}`));
      askNow();
    },
    local(iso) {
      if (!iso) return "";
      const moment = new Date(iso);
      return new Date(moment - 60_000 * moment.getTimezoneOffset()).toISOString().slice(0, 16);
    },
  },
};
