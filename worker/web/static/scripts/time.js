// Time: moments and durations as people read them. The exact moment is always in the title.

import { h } from "./element.js";

const UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "narrow" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const TICK_MS = 10_000;

/** `3 min ago` of an ISO text, or `in 2 h`. */
export function ago(iso, now = Date.now()) {
  const seconds = (Date.parse(iso) - now) / 1000;
  if (Number.isNaN(seconds)) return "";
  if (Math.abs(seconds) < 2) return "now";
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return relative.format(Math.trunc(seconds / size), unit);
}

/** Date and time of an ISO text, in the reader's zone unless told otherwise. */
export function when(iso, timeZone) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return "";
  if (!timeZone) return exact.format(date);
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long", timeZone }).format(date);
}

/** `1.2 s`, `3 min 5 s`, of milliseconds. */
export function duration(ms) {
  if (ms === null || ms === undefined) return "";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 1440
    ? `${Math.floor(minutes / 60)} h ${minutes % 60} min`
    : `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

/** `12.3 KiB`. */
export function bytes(count) {
  if (count === null || count === undefined) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, count)) / 10));
  return `${power ? (count / 1024 ** power).toFixed(1) : count} ${units[power]}`;
}

/** A moment that says how long ago it was, and keeps saying it right. */
export function timeAgo(iso) {
  return iso ? h("time.nowrap", { datetime: iso, title: when(iso), "data-ago": "" }, ago(iso)) : null;
}

/** A moment with date and time. */
export function timeAt(iso, timeZone) {
  return iso ? h("time.nowrap", { datetime: iso, title: iso }, when(iso, timeZone)) : null;
}

setInterval(() => {
  for (const node of document.querySelectorAll("time[data-ago]")) {
    const text = ago(node.getAttribute("datetime"));
    if (node.textContent !== text) node.textContent = text;
  }
}, TICK_MS);
