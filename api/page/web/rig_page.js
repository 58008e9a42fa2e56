// The rig: how its devices are, and which interlocks watch over it.
import { get } from "./rest.js";
import { isRunning, now } from "./now.js";
import { attempt } from "./notices.js";
import { number, time } from "./words.js";
import Faults from "./faults.js";

const ASK_MS = 5000;

export default {
  components: { Faults },
  template: `
    <p v-if="wrong" class="empty">No rig: {{ wrong }}</p>
    <div v-else-if="rig" class="rig">
      <section class="card">
        <h2>{{ rig.name }} <small>{{ now.status.rig }}</small>
          <span class="actions"><button :disabled="isRunning() || isAsking" :title="isRunning() ? 'A run has the rig' : 'Opens the rig for some seconds; nothing moves'" @click="askDevices">Ask the devices</button></span></h2>
        <table>
          <thead><tr><th>Device</th><th>Driver</th><th>State</th><th>Reading</th><th>Asked</th></tr></thead>
          <tbody>
            <tr v-for="(driver, name) in rig.drivers" :key="name">
              <td><strong>{{ name }}</strong></td><td>{{ driver }}</td>
              <td><span class="tag" :class="state(name).kind">{{ state(name).text }}</span><p v-if="now.status.devices[name]?.error" class="reason">{{ now.status.devices[name].error }}</p></td>
              <td>{{ reading(name) }}</td>
              <td>{{ time(now.status.devices[name]?.at) }}</td>
            </tr>
          </tbody>
        </table>
        <dl class="parts">
          <div v-for="part in ['service', 'worker', 'guardian']" :key="part"><dt>{{ part }}</dt><dd>{{ now.status.health[part] }}</dd></div>
          <div><dt>field of view</dt><dd>{{ number(rig.field_um[0], 1) }} × {{ number(rig.field_um[1], 1) }} µm</dd></div>
          <div><dt>pixel</dt><dd>{{ number(1000 * rig.pixel_size_um, 1) }} nm</dd></div>
          <div v-for="(span, axis) in rig.limits_um" :key="axis"><dt>travel {{ axis }}</dt><dd>{{ span[0] }} … {{ span[1] }} µm</dd></div>
        </dl>
      </section>
      <section class="card">
        <h2>Interlocks</h2>
        <table>
          <thead><tr><th>Rule</th><th>Watches</th><th>Trips when</th><th>Then</th><th>Goes on</th><th>Now</th></tr></thead>
          <tbody>
            <tr v-for="rule in rig.interlocks" :key="rule.name">
              <td><strong>{{ rule.name }}</strong></td><td>{{ rule.watches }}</td><td>{{ rule.trips }}</td><td>{{ rule.action }}</td><td>{{ rule.resume }}</td>
              <td><span class="tag" :class="rule.wrong ? 'failed' : rule.is_read_now ? 'ok' : ''">{{ rule.wrong ?? (rule.is_read_now ? "holds" : "read by runs") }}</span></td>
            </tr>
          </tbody>
        </table>
      </section>
      <Faults v-if="rig.is_twin" />
    </div>`,
  data: () => ({ now, rig: null, wrong: "", devices: [], isAsking: false }),
  created() {
    this.keepAsking();
  },
  unmounted() {
    clearTimeout(this.timer);
  },
  methods: {
    isRunning,
    number,
    time,
    async keepAsking() {
      try {
        if (!document.hidden) Object.assign(this, { rig: await get("/rig"), wrong: "" });
      } catch (problem) {
        this.wrong = problem.message;
      }
      clearTimeout(this.timer);
      this.timer = setTimeout(this.keepAsking, ASK_MS);
    },
    async askDevices() {
      this.isAsking = true;
      const found = await attempt(() => get("/devices"));
      this.isAsking = false;
      if (found) this.devices = found.devices;
    },
    state(name) {
      const word = now.status.health.devices[name];
      return word ? { text: word, kind: word === "ok" ? "ok" : word.startsWith("not asked") ? "" : "failed" } : { text: "not asked yet", kind: "" };
    },
    reading(name) {
      const found = this.devices.find((device) => device.name === name)?.reading ?? {};
      if (found.position_um) return Object.entries(found.position_um).map(([axis, place]) => `${axis} ${number(place, 3)}`).join("  ") + " µm";
      if (found.force_nn !== undefined) return `${number(found.force_nn, 0)} nN`;
      if (found.frame_shape_px) return found.frame_shape_px.slice().reverse().join(" × ") + " px";
      return "–";
    },
  },
};
