// What is said to whoever uses the page, at the lower edge, for a while.
import { reactive } from "vue";

const SHOWN_MS = 8000;
let number = 0;

export const notices = reactive([]);

export function say(text, kind = "good") {
  const notice = { number: ++number, text, kind };
  notices.push(notice);
  setTimeout(() => dismiss(notice.number), SHOWN_MS);
}

export function dismiss(which) {
  const at = notices.findIndex((notice) => notice.number === which);
  if (at >= 0) notices.splice(at, 1);
}

/** Do something, and say what came of it; what it gave, or undefined if it failed. */
export async function attempt(work, done = "") {
  try {
    const found = await work();
    if (done) say(done);
    return found ?? null;
  } catch (problem) {
    say(problem.message, "bad");
    return undefined;
  }
}
