// The rig by hand: where it stands, and steps from there, within the limits of its axes.
import { post } from "./rest.js";
import { isRunning, mayCommand, otherInControl } from "./now.js";
import { attempt } from "./notices.js";

const STEPS_UM = [0.1, 1, 5, 20];

export default {
  template: `
    <section class="card hand" aria-label="By hand">
      <h2>By hand <small v-if="why || otherInControl()">{{ why || otherInControl() + " is in control" }}</small></h2>
      <div v-if="!isRunning()" class="jog">
        <div class="pad" role="group" aria-label="Move the stage in x and y; arrow keys work here"
             @keydown.left.prevent="step('scanner', 'x', -1)" @keydown.right.prevent="step('scanner', 'x', 1)"
             @keydown.up.prevent="step('scanner', 'y', -1)" @keydown.down.prevent="step('scanner', 'y', 1)">
          <button v-for="key in pad" :key="key.text" :class="key.place" :disabled="!mayStep('scanner', key.axis, key.sign)" :aria-label="key.axis + (key.sign > 0 ? ' up' : ' down')"
                  @click="step('scanner', key.axis, key.sign)">{{ key.text }}</button>
          <span class="middle">{{ um < 1 ? um * 1000 + " nm" : um + " µm" }}</span>
        </div>
        <div class="pad column" v-if="axisOf('focus')" role="group" aria-label="Move the focus">
          <button :disabled="!mayStep('focus', axisOf('focus'), 1)" aria-label="focus up" @click="step('focus', axisOf('focus'), 1)">▲</button>
          <span>focus</span>
          <button :disabled="!mayStep('focus', axisOf('focus'), -1)" :title="ridesOn === 'focus' ? 'It carries the probe: only a run brings it nearer' : null" aria-label="focus down" @click="step('focus', axisOf('focus'), -1)">▼</button>
        </div>
        <div class="steps" role="radiogroup" aria-label="Size of a step">
          <button v-for="each in sizes" :key="each" role="radio" :aria-checked="um === each" :class="{ on: um === each }" @click="um = each">
            {{ each < 1 ? each * 1000 + " nm" : each + " µm" }}</button>
        </div>
      </div>
      <p v-if="!isRunning() && said" class="hint">{{ said }} µm. The probe is retracted before each move.</p>
    </section>`,
  props: { devices: Array, ridesOn: String, why: String },
  emits: ["moved"],
  data: () => ({
    um: 1,
    sizes: STEPS_UM,
    isMoving: false,
    pad: [
      { axis: "y", sign: -1, text: "↑", place: "up" },
      { axis: "x", sign: -1, text: "←", place: "left" },
      { axis: "x", sign: 1, text: "→", place: "right" },
      { axis: "y", sign: 1, text: "↓", place: "down" },
    ],
  }),
  computed: {
    said() {
      return Object.entries(this.limits("scanner")).map(([axis, [low, high]]) => `${axis} ${low} … ${high}`).join(", ");
    },
  },
  methods: {
    isRunning,
    otherInControl,
    reading(name) {
      return this.devices.find((device) => device.name === name)?.reading;
    },
    limits(name) {
      return this.reading(name)?.limits_um ?? {};
    },
    axisOf(name) {
      return Object.keys(this.limits(name))[0];
    },
    target(name, axis, sign) {
      return Number(((this.reading(name)?.position_um?.[axis] ?? NaN) + sign * this.um).toFixed(4));
    },
    mayStep(name, axis, sign) {
      const [low, high] = this.limits(name)[axis] ?? [0, -1];
      const target = this.target(name, axis, sign);
      if (name === this.ridesOn && sign < 0) return false; // nearer to the specimen only a run brings the probe
      return mayCommand() && !this.why && !this.isMoving && target >= low && target <= high;
    },
    async step(name, axis, sign) {
      if (!this.mayStep(name, axis, sign)) return;
      this.isMoving = true;
      const moved = await attempt(() => post(`/devices/${name}/move`, { targets_um: { [axis]: this.target(name, axis, sign) } }));
      this.isMoving = false;
      if (moved) this.$emit("moved", name, moved.position_um);
    },
  },
};
