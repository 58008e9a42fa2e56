// The plan that somebody is about to make; kept in the browser, so that a reload loses nothing.
import { reactive, watch } from "vue";

const KEY = "nanoraster-draft";
const EMPTY = {
  name: "scan",
  region: null, // { x: [low, high], y: [low, high] }, micrometre
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
export const isWhole = (region) => [...region.x, ...region.y].every(Number.isFinite);

const rounded = ([low, high]) => [Number(low.toFixed(3)), Number(high.toFixed(3))];

/** The draft as the API takes a plan; null while there is no whole region. */
export function planOf(draft) {
  if (!draft.region || !isWhole(draft.region)) return null;
  const force = draft.force === "none" ? { policy: "none" } : { policy: draft.force, set_point_nn: draft.setPointNn, limit_nn: draft.limitNn };
  return {
    name: draft.name,
    region: { x_um: rounded(draft.region.x), y_um: rounded(draft.region.y) },
    tiles: { overlap: draft.overlap, order: draft.order },
    camera: { exposure_ms: draft.exposureMs },
    focus: { policy: draft.focus },
    force,
    reconstruction: { model: draft.model },
  };
}
