// What the camera sees. While nobody is there, and no run goes on, it rests: to look keeps the rig open.
import { isRunning, now } from "./now.js";
import { url } from "./rest.js";

const REST_MS = 10 * 60_000; // since anybody touched the page
const LOOK_MS = 5000;
const AGAIN_MS = 3000;

export default {
  template: `
    <figure class="live">
      <img v-if="looks" :src="address" alt="What the camera sees" @error="fail">
      <div v-else class="resting">
        <p>{{ failed || !now.online ? "No picture comes." : "The live view rests, so that others may use the rig." }}</p>
        <button v-if="rests" @click="wake">Look</button>
      </div>
      <figcaption>
        <span>{{ isRunning() ? "Last frame of the run" : "Live" }}</span>
        <button v-if="looks && !isRunning()" class="plain" title="Close the rig, for others on this machine" @click="rest">Rest</button>
      </figcaption>
    </figure>`,
  emits: ["looks"],
  data: () => ({ now, rests: false, hidden: document.hidden, failed: false, touched: Date.now(), address: url(`/live.mjpg?${Date.now()}`) }),
  computed: {
    looks() {
      return !this.hidden && !this.failed && !this.rests && now.online;
    },
  },
  watch: {
    looks: {
      immediate: true,
      handler(looks) {
        if (looks) this.address = url(`/live.mjpg?${Date.now()}`);
        this.$emit("looks", looks);
      },
    },
  },
  mounted() {
    this.seen = () => (this.hidden = document.hidden);
    this.touch = () => (this.touched = Date.now());
    document.addEventListener("visibilitychange", this.seen);
    for (const kind of ["pointermove", "keydown"]) window.addEventListener(kind, this.touch, { passive: true });
    this.timer = setInterval(() => {
      if (!isRunning() && Date.now() - this.touched > REST_MS) this.rest();
    }, LOOK_MS);
  },
  unmounted() {
    document.removeEventListener("visibilitychange", this.seen);
    for (const kind of ["pointermove", "keydown"]) window.removeEventListener(kind, this.touch);
    clearInterval(this.timer);
    clearTimeout(this.again);
    this.$el.querySelector("img")?.setAttribute("src", "");
  },
  methods: {
    isRunning,
    fail() {
      this.failed = true;
      this.again = setTimeout(() => (this.failed = false), AGAIN_MS);
    },
    rest() {
      this.rests = true;
    },
    wake() {
      this.rests = this.failed = false;
      this.touched = Date.now();
    },
  },
};
