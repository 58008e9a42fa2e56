// What goes on at this moment, for all parts of the page: asked once a second, and heard as it happens.
import { reactive } from "vue";
import { get, url } from "./rest.js";

const ASK_MS = 1000;
const HIDDEN_MS = 5000; // while nobody looks
const AGAIN_MS = 2000;
const LOST = [4409, 4410]; // what followed our number: the numbers have begun anew, or it is too old
const MOST_TILES = 120;
const MOST_EVENTS = 100;

export const now = reactive({
  status: null, // as GET status has it; null: not known yet
  online: true,
  wrong: "", // why the service does not tell its state; what is shown is older then
  tiles: [], // attempts at tiles, the newest last
  events: [], // of the journals, the newest first
  lastSeq: null,
  epoch: null, // of which log that number is
});

export const isRunning = () => Boolean(now.status?.job);
export const mayOperate = () => ["operate", "admin"].includes(now.status?.caller.role);

/** Who has the lease, where it is somebody else; empty if nobody keeps us off. */
export const otherInControl = () => {
  const holder = now.status?.lease?.holder ?? "";
  return holder === now.status?.caller.name ? "" : holder;
};

export const mayCommand = () => mayOperate() && !otherInControl();

export async function askNow() {
  try {
    Object.assign(now, { status: await get("/status"), online: true, wrong: "" });
  } catch (problem) {
    const online = problem.status !== 0;
    Object.assign(now, { online, wrong: online ? `${problem.message} (${problem.status})` : "" });
  }
}

async function keepAsking() {
  await askNow();
  setTimeout(keepAsking, document.hidden ? HIDDEN_MS : ASK_MS);
}

function listen() {
  const address = new URL(url("/events"), window.location.href);
  address.protocol = address.protocol.replace("http", "ws");
  if (now.lastSeq !== null) {
    address.searchParams.set("after", now.lastSeq);
    address.searchParams.set("epoch", now.epoch);
  }
  const socket = new WebSocket(address);
  socket.onmessage = (message) => hear(JSON.parse(message.data));
  socket.onclose = ({ code }) => {
    if (LOST.includes(code)) Object.assign(now, { tiles: [], events: [], lastSeq: null, epoch: null });
    setTimeout(listen, AGAIN_MS);
  };
}

function hear(happened) {
  Object.assign(now, { lastSeq: happened.seq, epoch: happened.epoch });
  if (happened.kind === "tile") {
    now.tiles.push({ run: happened.run, ...happened.data });
    if (now.tiles.length > MOST_TILES) now.tiles.shift();
  } else {
    now.events.unshift(happened);
    if (now.events.length > MOST_EVENTS) now.events.pop();
  }
}

export function begin() {
  keepAsking();
  listen();
}
