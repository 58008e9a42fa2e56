// Who is here, who is in control of the rig, and how bright the page is.
import { ask, post } from "nanoraster/rest.js";
import { askNow, mayOperate, now } from "nanoraster/now.js";
import { attempt } from "nanoraster/notices.js";
import { theme, turnTheme } from "nanoraster/theme.js";

const LEASE_S = 600;
const RENEW_MS = 60_000;

export default {
  template: `
    <details class="control" ref="menu" @keydown.esc="$refs.menu.open = false">
      <summary :title="said">
        <span class="person" aria-hidden="true"></span><span class="who">{{ caller.name }}</span>
        <span v-if="lease" class="tag" :class="{ mine: isMine }">{{ isMine ? "in control" : lease.holder }}</span>
      </summary>
      <div class="menu">
        <p>{{ said }}</p>
        <button v-if="mayOperate() && !isMine" :disabled="lease" @click="take">Take control</button>
        <button v-if="isMine || (lease && caller.role === 'admin')" @click="giveUp">{{ isMine ? "Give up control" : "End it" }}</button>
        <button @click="turnTheme">{{ theme.name === "auto" ? "Bright or dark: as the system" : "Bright or dark: " + theme.name }}</button>
        <form v-if="caller.name !== 'local'" method="post" action="/ui/logout"><button>Log out</button></form>
      </div>
    </details>`,
  data: () => ({ theme }),
  computed: {
    caller: () => now.status?.caller ?? { name: "…", role: null },
    lease: () => now.status?.lease,
    isMine() {
      return this.lease?.holder === this.caller.name;
    },
    said() {
      if (this.isMine) return "You alone move and change things, until you give it up, or ten minutes after this page was closed.";
      if (this.lease) return `${this.lease.holder} is in control; others may look, and stop everything.`;
      return `${this.caller.name} (${this.caller.role}). Nobody has taken control: every operator may command.`;
    },
  },
  mounted() {
    this.timer = setInterval(() => this.isMine && post("/lease", { seconds: LEASE_S }), RENEW_MS);
  },
  unmounted() {
    clearInterval(this.timer);
  },
  methods: {
    mayOperate,
    turnTheme,
    async take() {
      await attempt(() => post("/lease", { seconds: LEASE_S }), "You are in control.");
      askNow();
    },
    async giveUp() {
      await attempt(() => ask("DELETE", "/lease"), "Nobody is in control now; every operator may command.");
      askNow();
    },
  },
};
