// Where on the page one is, as its address says: `#/part/detail`; so that a new start, a link and "back" all work.
import { reactive } from "vue";

export const place = reactive({ part: "scan", detail: "" });

export const go = (part, detail = "") => {
  window.location.hash = `/${part}${detail ? `/${encodeURIComponent(detail)}` : ""}`;
};

function read() {
  const [, part = "", detail = ""] = window.location.hash.replace(/^#/, "").split("/");
  place.part = part || "scan";
  place.detail = decoded(detail);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // typed by hand; nothing has that name
  }
}

window.addEventListener("hashchange", read);
read();
