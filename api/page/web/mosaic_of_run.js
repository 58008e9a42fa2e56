// The mosaic of a run and its tiles, as far as they are, kept up to date while somebody looks and the run goes on.
import { computed, onUnmounted, reactive, watch } from "vue";
import { get } from "./rest.js";
import { now } from "./now.js";

const LOOK_MS = 1000; // whether anything has changed
const ROUNDS = 5; // after which it is asked all the same

/** Follows the run that `chosen()` names, empty for none. */
export function mosaicOfRun(chosen) {
  const state = reactive({ run: "", facts: null, mosaic: null, attempts: [], problem: "" });
  const grows = computed(() => Boolean(state.run) && now.status?.job?.run === state.run);
  const isRestored = computed(() => !(state.mosaic?.restored_again ?? []).some((each) => each.state === "working"));
  let last = 0;
  let seen = "";
  let timer = null;
  let asking = 0; // who began last; those before give up

  async function ask(mine) {
    const run = state.run;
    const isMade = !(grows.value && now.status.state === "preparing"); // before, its name is all there is
    if (!run || !isMade) return;
    const path = `/runs/${encodeURIComponent(run)}`;
    try {
      const mosaic = await get(`${path}/mosaic`);
      const facts = state.facts && grows.value ? state.facts : await get(path);
      let found;
      do {
        found = await get(`${path}/tiles?after=${last}`);
        if (mine !== asking) return;
        state.attempts.push(...found.tiles);
        last = found.last;
      } while (found.tiles.length);
      Object.assign(state, { mosaic, facts, problem: "" });
    } catch (problem) {
      if (mine === asking) state.problem = problem.message;
    }
  }

  async function keepAsking(mine, round = 0) {
    const progress = JSON.stringify([now.status?.state, now.status?.progress]);
    if (progress !== seen || round % ROUNDS === 0) await ask(mine);
    if (mine !== asking) return;
    seen = progress;
    if (grows.value || !isRestored.value || state.problem) timer = setTimeout(() => keepAsking(mine, round + 1), LOOK_MS);
  }

  function begin() {
    clearTimeout(timer);
    keepAsking(++asking);
  }

  watch(
    chosen,
    (run) => {
      Object.assign(state, { run, facts: null, mosaic: null, attempts: [], problem: "" });
      last = 0;
      begin();
    },
    { immediate: true },
  );
  watch(grows, begin); // also for the last time, when it is over
  onUnmounted(() => {
    asking++;
    clearTimeout(timer);
  });
  return { state, grows, ask: begin };
}
