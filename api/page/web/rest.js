// The API as the page asks it: by the same routes as any script, with the cookie of the session.
const ROOT = "/api/v1";

/** What went wrong, in the API's words; `status` 0: nobody answered. */
export class Problem extends Error {
  constructor(status, detail, errors = {}) {
    super(detail);
    this.status = status;
    this.errors = errors;
  }
}

export async function ask(method, path, body) {
  const asked = { method, cache: "no-store" };
  if (body !== undefined) {
    asked.headers = { "Content-Type": "application/json" };
    asked.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(ROOT + path, asked);
  } catch {
    throw new Problem(0, "The service does not answer.");
  }
  if (answer.status === 401) window.location.assign("/ui/login");
  if (answer.status === 204) return null;
  const isJson = (answer.headers.get("Content-Type") ?? "").includes("json");
  const found = isJson ? await answer.json() : await answer.text();
  if (!answer.ok) throw new Problem(answer.status, found.detail ?? answer.statusText, found.errors);
  return found;
}

export const get = (path) => ask("GET", path);
export const post = (path, body) => ask("POST", path, body);
export const url = (path) => ROOT + path;
