// The plan that somebody is about to make; kept in the browser, so that a reload loses nothing.
import { reactive, watch } from "vue";

const KEY = "nanoraster-draft";
const EMPTY = {
  name: "scan",
  region: null, // { x: [low, high], y: [low, high] } or { polygon: [[x, y], ...] }, micrometre
  overlap: 0.2,
  order: "serpentine",
  exposureMs: 20,
  focus: "none",
  force: "none",
  setPointNn: 500,
  limitNn: 2000,
  model: "none",
  startAt: "",
};

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

export const draft = reactive({ ...EMPTY, ...kept() });
watch(draft, () => localStorage.setItem(KEY, JSON.stringify(draft)));

/** Whether each corner of a region is a number; a field that was emptied is none. */
export const isWhole = (region) => (region.polygon?.flat() ?? [...region.x, ...region.y]).every(Number.isFinite);

/** The corners of a region in order, [x, y] each. */
export const cornersOf = ({ polygon, x, y }) => polygon ?? [[x[0], y[0]], [x[1], y[0]], [x[1], y[1]], [x[0], y[1]]];

/** The rectangle around a region. */
export function around(region) {
  const span = (axis) => [Math.min, Math.max].map((end) => end(...cornersOf(region).map((corner) => corner[axis])));
  return { x: span(0), y: span(1) };
}

const rounded = (pair) => pair.map((value) => Number(value.toFixed(3)));

/** The draft as the API takes a plan; null while there is no whole region. */
export function planOf(draft) {
  if (!draft.region || !isWhole(draft.region)) return null;
  const force = draft.force === "none" ? { policy: "none" } : { policy: draft.force, set_point_nn: draft.setPointNn, limit_nn: draft.limitNn };
  return {
    name: draft.name,
    region: draft.region.polygon
      ? { polygon_um: draft.region.polygon.map(rounded) }
      : { x_um: rounded(draft.region.x), y_um: rounded(draft.region.y) },
    tiles: { overlap: draft.overlap, order: draft.order },
    camera: { exposure_ms: draft.exposureMs },
    focus: { policy: draft.focus },
    force,
    reconstruction: { model: draft.model },
  };
}
