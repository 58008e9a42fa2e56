// The specimen in the scanner's frame (micrometre, y downwards): mosaics, and what is drawn on them.
import { leaflet as L } from "nicegui-leaflet";
import { cornersOf, isWhole } from "./draft.js";
import { LARGER, mosaicTiles } from "./mosaic_tiles.js";
import { polygonTool } from "./polygon_tool.js";
import { length, number } from "./words.js";

const REFRESH_MS = 4000; // besides whenever a tile has come
const BAR_PX = 140;
const FIRST_SIDE_PX = 512; // of the travel, at zoom step 0, where there is no mosaic to set the scale
const STYLES = {
  travel: { color: "#7d8b99", weight: 1, fill: false, dashArray: "4 4", interactive: false },
  region: { color: "#4da3ff", weight: 2, fillColor: "#4da3ff", fillOpacity: 0.12, interactive: false },
  here: { color: "#ffffff", weight: 1.5, fill: false, interactive: false },
  planned: { color: "#4da3ff", weight: 1, opacity: 0.75, fill: false, interactive: false },
  ok: { color: "#3ddc84", weight: 1, fillColor: "#3ddc84", fillOpacity: 0.05 },
  doubtful: { color: "#ffc233", weight: 1.5, fillColor: "#ffc233", fillOpacity: 0.22 },
  failed: { color: "#ff5c5c", weight: 1.5, fillColor: "#ff5c5c", fillOpacity: 0.3 },
  waiting: { color: "#8b98a5", weight: 1, opacity: 0.6, fill: false },
};
const CHOSEN = { color: "#ffffff", weight: 3 };

export default {
  template: `
    <div class="specimen" :class="{ drawing: mode !== 'look', corners: mode === 'polygon' }">
      <div ref="map" class="canvas" tabindex="0" @pointerdown="startDrawing" @keydown="mode === 'polygon' && polygon.key($event.key)" aria-label="Map of the specimen; arrow keys move it, plus and minus zoom"></div>
      <div v-if="right" class="divider" :style="{ left: 100 * divider + '%' }" role="slider" tabindex="0" aria-label="Compare layers"
           :aria-valuenow="Math.round(100 * divider)" aria-valuemin="0" aria-valuemax="100"
           @pointerdown="grab" @keydown.left.prevent="$emit('divider', Math.max(divider - 0.02, 0))"
           @keydown.right.prevent="$emit('divider', Math.min(divider + 0.02, 1))">
        <span class="label left">{{ left }}</span><span class="grip" aria-hidden="true">⇆</span><span class="label right">{{ right }}</span>
      </div>
      <div class="scale" aria-hidden="true"><span :style="{ width: bar.px + 'px' }"></span>{{ bar.text }}</div>
      <div v-if="pointer" class="pointer" aria-hidden="true">x {{ number(pointer.lng) }}  y {{ number(pointer.lat) }} µm</div>
      <slot />
    </div>`,
  props: {
    travel: Object, // { x: [low, high], y: [low, high] }
    run: String,
    mosaic: Object, // as GET runs/{id}/mosaic has it
    left: String, // layer
    right: String, // layer to compare with, or nothing
    divider: { type: Number, default: 0.5 }, // where the right layer begins, of the width
    grows: Boolean,
    placed: Number, // tiles that are in the mosaic
    outlines: { type: Array, default: () => [] }, // { id, kind, corners: [[x, y], ...] }
    chosen: [Number, String],
    region: Object,
    mode: { type: String, default: "look" }, // or draw, or polygon
    fitTo: { type: String, default: "mosaic" }, // or travel
  },
  emits: ["region", "outline", "place", "divider"],
  data: () => ({ bar: { px: 100, text: "" }, pointer: null }),
  computed: {
    frame() {
      const levels = this.mosaic?.layers[this.left];
      if (levels?.length) {
        const size = levels[0].pixel_size_um ?? 1, [y, x] = levels[0].origin_um ?? [0, 0];
        const [rows, columns] = levels[0].shape_px;
        return { size, x: x - size / 2, y: y - size / 2, width: columns * size, height: rows * size, finest: levels.length - 1 };
      }
      const { x: [low, high] = [0, 100], y: [top, bottom] = [0, 100] } = this.travel ?? {};
      const side = Math.max(high - low, bottom - top);
      return { size: side / FIRST_SIDE_PX, x: low, y: top, width: high - low, height: bottom - top, finest: 0, isEmpty: true };
    },
    frameKey() {
      return JSON.stringify([this.run, this.frame]);
    },
  },
  watch: {
    frameKey(is, was) {
      const [[run], [runBefore, frameBefore]] = [is, was].map(JSON.parse);
      this.build(run === runBefore && !frameBefore.isEmpty); // the mosaic has grown: stay where one looks
    },
    left: "showLayers",
    right: "showLayers",
    divider: "clip",
    outlines: "showOutlines",
    chosen: "showOutlines",
    region: { handler: "showRegion", deep: true },
    mode: "setMode",
    grows: "refreshAll",
    placed: "refreshAll",
  },
  mounted() {
    this.build(false);
    this.timer = setInterval(() => this.grows && !document.hidden && this.refreshAll(), REFRESH_MS);
    this.resized = new ResizeObserver(() => this.map?.invalidateSize());
    this.resized.observe(this.$refs.map);
  },
  unmounted() {
    clearInterval(this.timer);
    this.resized.disconnect();
    this.map.remove();
  },
  methods: {
    number,
    build(keepView) {
      const view = keepView && this.map ? this.map.getBounds() : null;
      this.map?.remove();
      const { size, x, y, finest } = this.frame;
      const per = 1 / (size * 2 ** finest); // pixels of zoom step 0 in a micrometre
      const crs = L.extend({}, L.CRS.Simple, { transformation: new L.Transformation(per, -x * per, per, -y * per) });
      this.map = L.map(this.$refs.map, {
        crs,
        attributionControl: false,
        fadeAnimation: false,
        boxZoom: false,
        zoomSnap: 0.25,
        zoomDelta: 1,
        wheelPxPerZoomLevel: 90,
        minZoom: -6,
        maxZoom: finest + LARGER,
      });
      this.map.createPane("left").style.zIndex = 200;
      this.map.createPane("right").style.zIndex = 210;
      this.canvas = L.canvas({ padding: 0.5 });
      this.drawn = L.layerGroup().addTo(this.map);
      this.map.on("move zoom", this.clip);
      this.map.on("moveend zoomend", this.measure);
      this.map.on("mousemove", ({ latlng }) => {
        this.pointer = latlng;
        if (this.mode === "polygon") this.polygon.move(latlng);
      });
      this.polygon = polygonTool(this.map, this.keptCorner, (polygon) => this.$emit("region", { polygon }, true), this.polygon?.corners());
      this.map.on("dblclick", () => this.mode === "polygon" && this.polygon.close());
      this.map.on("mouseout", () => (this.pointer = null));
      this.map.on("click", ({ latlng }) => {
        if (this.mode === "polygon") this.polygon.click(latlng);
        else if (this.mode === "look") this.$emit("place", this.spot(latlng));
      });
      if (view) this.map.fitBounds(view, { animate: false });
      else this.fit();
      this.tiles = {};
      this.showLayers();
      this.showOutlines();
      this.setHandlers();
      this.measure();
    },
    fit() {
      const travel = this.travel ?? { x: [0, 100], y: [0, 100] };
      const whole = this.fitTo === "travel" || this.frame.isEmpty;
      const { x, y, width, height } = this.frame;
      const bounds = whole
        ? [[travel.y[0], travel.x[0]], [travel.y[1], travel.x[1]]]
        : [[y, x], [y + height, x + width]];
      this.map.fitBounds(bounds, { padding: [12, 12], animate: false });
    },
    spot: ({ lat, lng }) => ({ x: lng, y: lat }),
    showLayers() {
      for (const layer of Object.values(this.tiles)) layer.remove();
      this.tiles = {};
      for (const [pane, layer] of [["left", this.left], ["right", this.right]]) {
        const levels = layer && this.mosaic?.layers[layer];
        if (!levels?.length) continue;
        const { size, finest, x, y, width, height } = this.frame;
        const steps = Math.round(Math.log2(size / (levels[0].pixel_size_um ?? 1))); // a model may make more pixels of one
        const bounds = [[y, x], [y + height, x + width]];
        this.tiles[pane] = mosaicTiles(this.run, layer, finest + steps, { pane, bounds, tileSize: this.mosaic.tile_px });
        this.tiles[pane].addTo(this.map);
      }
      this.clip();
    },
    refreshAll() {
      for (const layer of Object.values(this.tiles)) layer.refresh();
    },
    clip() {
      const container = this.tiles?.right?.getContainer();
      if (!container) return;
      const size = this.map.getSize();
      const from = this.map.containerPointToLayerPoint([size.x * this.divider, 0]);
      const to = this.map.containerPointToLayerPoint(size);
      container.style.clip = `rect(${from.y}px, ${to.x}px, ${to.y}px, ${from.x}px)`;
    },
    grab(event) {
      const box = this.$refs.map.getBoundingClientRect();
      const divider = event.currentTarget;
      divider.setPointerCapture(event.pointerId);
      divider.onpointermove = (move) => this.$emit("divider", Math.min(Math.max((move.clientX - box.left) / box.width, 0), 1));
      divider.onpointerup = () => (divider.onpointermove = null);
    },
    showOutlines() {
      if (!this.drawn) return;
      this.drawn.clearLayers();
      if (this.travel) {
        const { x, y } = this.travel;
        L.rectangle([[y[0], x[0]], [y[1], x[1]]], { ...STYLES.travel, renderer: this.canvas }).addTo(this.drawn);
      }
      let above = null;
      for (const { id, kind, corners } of this.outlines) {
        const style = { ...STYLES[kind], ...(id !== undefined && id === this.chosen ? CHOSEN : {}), renderer: this.canvas };
        const shape = L.polygon(corners.map(([x, y]) => [y, x]), style).addTo(this.drawn);
        if (style.interactive !== false) shape.on("click", () => this.$emit("outline", id));
        if (id !== undefined && id === this.chosen) above = shape;
      }
      above?.bringToFront();
      this.regionShape = null;
      this.showRegion();
    },
    showRegion() {
      this.regionShape?.remove();
      this.regionShape = null;
      if (!this.region || !isWhole(this.region) || !this.drawn) return;
      const corners = cornersOf(this.region).map(([x, y]) => [y, x]);
      this.regionShape = L.polygon(corners, { ...STYLES.region, renderer: this.canvas }).addTo(this.drawn);
    },
    setMode() {
      this.setHandlers();
      this.polygon.clear();
    },
    setHandlers() {
      for (const handler of [this.map.dragging, this.map.touchZoom]) this.mode === "draw" ? handler.disable() : handler.enable();
      this.mode === "polygon" ? this.map.doubleClickZoom.disable() : this.map.doubleClickZoom.enable();
    },
    startDrawing(down) {
      if (this.mode !== "draw" || down.target.closest(".leaflet-control")) return;
      const canvas = this.$refs.map;
      const from = this.spot(this.map.mouseEventToLatLng(down));
      const spread = (event) => this.$emit("region", this.between(from, this.spot(this.map.mouseEventToLatLng(event))), event.type === "pointerup");
      canvas.setPointerCapture(down.pointerId);
      canvas.addEventListener("pointermove", spread);
      const end = () => {
        for (const kind of ["pointermove", "pointerup"]) canvas.removeEventListener(kind, spread);
        canvas.removeEventListener("pointercancel", end);
      };
      canvas.addEventListener("pointerup", spread, { once: true });
      canvas.addEventListener("pointerup", end, { once: true });
      canvas.addEventListener("pointercancel", end, { once: true });
    },
    kept(axis, value) {
      return Math.min(Math.max(value, this.travel?.[axis][0] ?? -Infinity), this.travel?.[axis][1] ?? Infinity);
    },
    keptCorner({ lat, lng }) {
      return [this.kept("x", lng), this.kept("y", lat)];
    },
    between(from, to) {
      const span = (axis) => [from[axis], to[axis]].map((value) => this.kept(axis, value)).sort((a, b) => a - b);
      return { x: span("x"), y: span("y") };
    },
    measure() {
      const size = this.map.getSize();
      const [left, right] = [0, 100].map((x) => this.map.containerPointToLatLng([x, size.y / 2]).lng);
      const most = ((right - left) / 100) * BAR_PX, power = 10 ** Math.floor(Math.log10(most));
      const um = [5, 2, 1].map((part) => part * power).find((part) => part <= most) ?? power;
      this.bar = { px: (um / (right - left)) * 100, text: length(um) };
    },
  },
};
