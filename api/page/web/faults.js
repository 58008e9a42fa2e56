// Faults of the twin: which there are, one to be injected, and what was.
import { get, post } from "./rest.js";
import { mayCommand } from "./now.js";
import { attempt } from "./notices.js";
import { number } from "./words.js";

const ASK_MS = 3000;
const SHOWN = 8;

export default {
  template: `
    <section v-if="kinds" class="card faults">
      <h2>Faults of the twin <small>see how a run bears with them</small></h2>
      <form @submit.prevent="arm">
        <label>Device <select v-model="device"><option v-for="(_, each) in kinds" :key="each">{{ each }}</option></select></label>
        <label>Fault <select v-model="name"><option v-for="(_, each) in kinds[device]" :key="each">{{ each }}</option></select></label>
        <label v-for="(parameter, key) in kinds[device][name]" :key="device + name + key">{{ key }}
          <input type="number" step="any" :min="parameter.low" :max="parameter.high" v-model.number="values[key]" required></label>
        <label>times <input type="number" min="1" max="1000" v-model.number="times" required></label>
        <button :disabled="!mayCommand()">Inject</button>
      </form>
      <table v-if="injected.length">
        <thead><tr><th>Fault</th><th>Device</th><th>At, s in the world</th><th>With</th></tr></thead>
        <tbody><tr v-for="fault in injected.slice(-shown).reverse()" :key="fault.number">
          <td><strong>{{ fault.name }}</strong></td><td>{{ fault.device }}</td><td>{{ number(fault.time_s, 1) }}</td>
          <td>{{ Object.entries(fault.parameters).map(([key, value]) => key + " " + value).join(", ") || "–" }}</td>
        </tr></tbody>
      </table>
      <p v-else class="hint">None yet.</p>
    </section>`,
  data: () => ({ kinds: null, injected: [], device: "scanner", name: "late_answer", values: {}, times: 1, shown: SHOWN }),
  watch: {
    device() {
      if (!(this.name in this.kinds[this.device])) this.name = Object.keys(this.kinds[this.device])[0];
      this.fill();
    },
    name: "fill",
  },
  created() {
    this.keepAsking();
  },
  unmounted() {
    clearTimeout(this.timer);
  },
  methods: {
    mayCommand,
    number,
    fill() {
      this.values = Object.fromEntries(Object.entries(this.kinds[this.device][this.name]).map(([key, { usual }]) => [key, usual]));
    },
    async keepAsking() {
      const found = await get("/sim/faults").catch(() => null);
      if (found) {
        this.injected = found.injected;
        if (!this.kinds) {
          this.kinds = found.kinds;
          this.fill();
        }
      }
      this.timer = setTimeout(this.keepAsking, ASK_MS);
    },
    async arm() {
      const asked = { device: this.device, name: this.name, parameters: this.values, times: this.times };
      await attempt(() => post("/sim/faults", asked), `${this.name} waits for the next operation of the ${this.device}.`);
    },
  },
};
