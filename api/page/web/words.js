// Numbers and times as people read them.
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60) % 60, hours = Math.floor(whole / 3600);
  return hours ? `${hours} h ${String(minutes).padStart(2, "0")} min` : `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
}

export function bytes(count) {
  if (count === null || count === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = count < 1 ? 0 : Math.min(Math.floor(Math.log10(count) / 3), units.length - 1);
  return `${Number((count / 1000 ** power).toPrecision(3))} ${units[power]}`;
}

export function number(value, digits = 2) {
  if (value === null || value === undefined) return "–";
  const text = Number(value).toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text;
}

export function percent(part) {
  return part === null || part === undefined ? "–" : `${Math.round(100 * part)} %`;
}

export function length(um) {
  if (um >= 1000) return `${Number((um / 1000).toPrecision(3))} mm`;
  return um < 1 ? `${Math.round(um * 1000)} nm` : `${Number(um.toPrecision(3))} µm`;
}

export function time(iso) {
  if (!iso) return "–";
  const moment = new Date(iso);
  const isToday = moment.toDateString() === new Date().toDateString();
  const clock = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(isToday ? { second: "2-digit" } : {}) });
  return isToday ? clock : `${moment.toLocaleDateString([], { day: "2-digit", month: "short" })} ${clock}`;
}

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
