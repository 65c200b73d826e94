// Schedules: what runs by itself: when next, in the reader's zone and in its own, and how it went last.

import { api } from "../api.js";
import { h, replace } from "../element.js";
import { follow } from "../events.js";
import { badge } from "../parts/badge.js";
import { scheduleVerbs } from "../parts/schedule_verbs.js";
import { empty } from "../parts/states.js";
import { table } from "../parts/table.js";
import { path } from "../router.js";
import { timeAgo, timeAt } from "../time.js";

const AGAIN_MS = 500;

export function title() {
  return "Schedules";
}

export async function show(root, params, query, signal) {
  let timer = null;
  const list = table({
    caption: "Schedules",
    captionHidden: true,
    key: (row) => row.name,
    columns: [
      { label: "Name", header: true, cell: (row) => h("a", { href: path("/schedules/:name", { name: row.name }) }, row.name) },
      { label: "Runs", cell: runsWhat },
      { label: "When", cell: (row) => [h("code", row.cronExpression), ` ${row.timezone}`] },
      { label: "State", cell: (row) => badge(row.enabled ? "enabled" : "disabled") },
      { label: "Next, for you", cell: (row) => (row.nextRunAt ? h("span", timeAt(row.nextRunAt), " (", timeAgo(row.nextRunAt), ")") : "never") },
      { label: "Next, there", cell: (row) => timeAt(row.nextRunAt, row.timezone) },
      { label: "Last", cell: last },
      { label: "Change", hidden: true, cell: (row) => scheduleVerbs(row, read) },
    ],
  });

  async function read() {
    timer = null;
    const { schedules } = await api.get("/schedules", {}, { signal });
    list.update(schedules);
    replace(root, h("h1", "Schedules"), schedules.length ? list.node : empty("Nothing runs by itself yet. A file in config/schedules makes a schedule."));
  }

  await read();
  follow("*", () => (timer ??= setTimeout(() => read().catch(() => {}), AGAIN_MS)), signal);
  signal.addEventListener("abort", () => clearTimeout(timer));
}

function runsWhat(row) {
  if (row.workflow) return ["workflow ", h("a", { href: path("/workflows/:name", { name: row.workflow }) }, row.workflow)];
  return h("a", { href: path("/scripts/:name", { name: row.script }) }, row.script);
}

function last(row) {
  if (row.trouble) return h("span.break", badge("warn", "no task"), ` ${row.trouble.message}`);
  if (!row.lastRunAt) return "";
  const status = row.lastStatus ? badge(row.lastStatus) : null;
  const at = timeAgo(row.lastRunAt);
  return [status, " ", row.lastTaskId && row.script ? h("a", { href: path("/tasks/:id", { id: row.lastTaskId }) }, at) : at];
}
