// The whole page: what is always there (state, stop, who is in control), and one of its five parts below.
import { loadResource } from "../../static/utils/resources.js";
import { begin, now } from "nanoraster/now.js";
import { place } from "nanoraster/place.js";
import Banners from "nanoraster/banners.js";
import Control from "nanoraster/control.js";
import MosaicPage from "nanoraster/mosaic_page.js";
import Notices from "nanoraster/notice_list.js";
import QueuePage from "nanoraster/queue_page.js";
import RigPage from "nanoraster/rig_page.js";
import RunsPage from "nanoraster/runs_page.js";
import ScanPage from "nanoraster/scan_page.js";
import StateLine from "nanoraster/state_line.js";
import StopButton from "nanoraster/stop_button.js";

const PARTS = { scan: ScanPage, mosaic: MosaicPage, queue: QueuePage, runs: RunsPage, rig: RigPage };

/** Close the shell's own line to the server: nothing comes that way, and it would load the page anew after a new start. */
function leaveShell() {
  if (window.socket.connected) window.socket.close();
  else window.socket.once("connect", () => window.socket.close());
}

export default {
  components: { Banners, Control, Notices, StateLine, StopButton },
  template: `
    <div class="room">
      <a class="skip" href="#" @click.prevent="$refs.part.focus()">To the content</a>
      <header>
        <div class="brand"><span class="mark" aria-hidden="true"></span>nanoraster</div>
        <nav aria-label="Parts of the page">
          <a v-for="(_, name) in parts" :key="name" :href="'#/' + name" :aria-current="place.part === name ? 'page' : null">{{ name }}</a>
        </nav>
        <StateLine />
        <Control />
        <StopButton />
      </header>
      <Banners />
      <div ref="part" class="part" tabindex="-1">
        <component v-if="now.status" :is="part" />
        <p v-else class="empty">Asking the service …</p>
      </div>
      <Notices />
    </div>`,
  props: { resourcePath: String },
  data: () => ({ parts: PARTS, now, place }),
  computed: {
    part: () => (Object.hasOwn(PARTS, place.part) ? PARTS[place.part] : PARTS.scan),
  },
  async created() {
    begin();
    await this.$nextTick(); // the shell knows its prefix only then
    loadResource(`${window.path_prefix}${this.resourcePath}/leaflet/leaflet.css`);
    leaveShell();
  },
};
