// Compare: two tasks side by side: how they ended, how long they took, and where their payloads differ.

import { h } from "../element.js";
import { bytes, duration, when } from "../time.js";
import { badge } from "./badge.js";
import { leaves } from "./json_text.js";

const MOST_DIFFERENCES = 200;

export function comparison(one, other) {
  const facts = [
    ["Script", (task) => task.script],
    ["Status", (task) => badge(task.status)],
    ["Reason", (task) => task.reason ?? "-"],
    ["Exit code", (task) => task.exitCode ?? "-"],
    ["Message", (task) => task.message ?? "-"],
    ["Worker", (task) => task.worker ?? "-"],
    ["Submitted", (task) => when(task.createdAt)],
    ["Waited", waited],
    ["Ran", (task) => (task.durationMs === null ? "-" : duration(task.durationMs))],
    ["Runs", (task) => task.runs.length],
    ["Log", (task) => bytes(task.logBytes)],
    ["Artifacts", (task) => task.artifacts.length],
  ];
  return [
    tableOf(`Task ${one.taskId} and task ${other.taskId}`, ["", one, other], facts.map(([name, of]) => [name, of(one), of(other)])),
    payloads(one, other),
  ];
}

function payloads(one, other) {
  const [left, right] = [leaves(one.payload), leaves(other.payload)];
  const pointers = [...new Set([...left.keys(), ...right.keys()])];
  const differing = pointers.filter((pointer) => left.get(pointer) !== right.get(pointer));
  if (!differing.length) return h("p", "The payloads are the same.");
  const rows = differing
    .slice(0, MOST_DIFFERENCES)
    .map((pointer) => [h("code", pointer), ...[left, right].map((side) => h("code.break", side.get(pointer) ?? "not there"))]);
  const more = differing.length - rows.length;
  return [
    tableOf(`Where the payloads differ (${pointers.length - differing.length} values are the same)`, ["", one, other], rows),
    more ? h("p.muted", `${more} further differences`) : null,
  ];
}

function waited(task) {
  const run = task.runs[0];
  const started = Date.parse(run?.startedAt ?? run?.claimedAt ?? "");
  return Number.isNaN(started) ? "-" : duration(started - Date.parse(task.createdAt));
}

function tableOf(caption, [head, one, other], rows) {
  return h(
    "div.table-frame",
    { tabindex: 0, role: "region", "aria-label": caption },
    h(
      "table",
      h("caption", caption),
      h(
        "thead",
        h("tr", h("td", head), [one, other].map((task) => h("th", { scope: "col" }, h("a", { href: `/tasks/${encodeURIComponent(task.taskId)}` }, task.taskId)))),
      ),
      h("tbody", rows.map(([name, ...cells]) => h("tr", h("th", { scope: "row" }, name), cells.map((cell) => h("td", cell))))),
    ),
  );
}
