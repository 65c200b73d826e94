// Schedule: one of them: its next times in two zones, what it submits, and its tasks.

import { api, part } from "../api.js";
import { h, replace } from "../element.js";
import { follow } from "../events.js";
import { badge } from "../parts/badge.js";
import { pretty } from "../parts/json_text.js";
import { scheduleVerbs } from "../parts/schedule_verbs.js";
import { shownText } from "../parts/shown_text.js";
import { empty } from "../parts/states.js";
import { table } from "../parts/table.js";
import { path } from "../router.js";
import { duration, timeAgo, timeAt } from "../time.js";

const NEXT = 10;
const AGAIN_MS = 500;

export function title(params) {
  return `Schedule ${params.name}`;
}

export async function show(root, params, query, signal) {
  const base = `/schedules/${part(params.name)}`;
  const places = { head: h("div.stack"), facts: h("div"), next: h("div"), tasks: h("div.stack") };
  const list = taskTable();
  let timer = null;

  async function read() {
    timer = null;
    const schedule = await api.get(base, {}, { signal });
    const asked = { cronExpression: schedule.cronExpression, timezone: schedule.timezone, count: NEXT };
    const [preview, page] = await Promise.all([
      schedule.enabled ? api.post("/schedules/preview", asked, { signal }) : { times: [] },
      api.get(`${base}/tasks`, { limit: 20 }, { signal }),
    ]);
    replace(
      places.head,
      h("div.spread", h("div.row", h("h1", schedule.name), badge(schedule.enabled ? "enabled" : "disabled")), scheduleVerbs(schedule, read)),
      schedule.description ? h("p.break", schedule.description) : null,
      schedule.trouble ? h("p.note.warn", `The newest slot has no task: ${schedule.trouble.message} (`, timeAgo(schedule.trouble.at), ")") : null,
    );
    replace(places.facts, facts(schedule));
    replace(places.next, nextTimes(within(preview.times, schedule), schedule.timezone));
    list.update(page.tasks);
    if (!page.tasks.length) replace(places.tasks, empty("It has submitted nothing that is kept"));
    else if (list.node.parentNode !== places.tasks) replace(places.tasks, list.node);
  }

  await read();
  replace(
    root,
    places.head,
    h("section.card", { "aria-label": "Facts" }, places.facts),
    h("section.card", { "aria-label": "Next times" }, h("h2", "Next times"), places.next),
    h("section.card", { "aria-label": "Tasks" }, h("h2", "Tasks"), places.tasks),
  );
  follow("*", () => (timer ??= setTimeout(() => read().catch(() => {}), AGAIN_MS)), signal);
  signal.addEventListener("abort", () => clearTimeout(timer));
}

function within(times, { startAt, endAt }) {
  return times.filter((at) => (!startAt || at >= startAt) && (!endAt || at <= endAt));
}

function nextTimes(times, zone) {
  if (!times.length) return h("p.muted", "None: it is disabled, or its time is over.");
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return table({
    caption: "Next times",
    captionHidden: true,
    key: (row) => row.at,
    rows: times.map((at) => ({ at })),
    columns: [
      { label: `For you (${here})`, header: true, cell: (row) => timeAt(row.at) },
      { label: `There (${zone})`, cell: (row) => timeAt(row.at, zone) },
      { label: "In", cell: (row) => timeAgo(row.at) },
    ],
  }).node;
}

function taskTable() {
  return table({
    caption: "Its tasks",
    captionHidden: true,
    key: (row) => row.taskId,
    columns: [
      { label: "Task", header: true, cell: (row) => h("a.mono.break", { href: path("/tasks/:id", { id: row.taskId }) }, row.taskId) },
      { label: "Status", cell: (row) => badge(row.status) },
      { label: "Submitted", cell: (row) => timeAgo(row.createdAt) },
      { label: "Took", cell: (row) => duration(row.durationMs) },
      { label: "Message", cell: (row) => h("span.break", row.message ?? "") },
    ],
  });
}

function facts(schedule) {
  const what = schedule.workflow
    ? h("a", { href: path("/workflows/:name", { name: schedule.workflow }) }, `workflow ${schedule.workflow}`)
    : h("a", { href: path("/scripts/:name", { name: schedule.script }) }, schedule.script);
  const found = [
    ["Runs", what],
    ["When", [h("code", schedule.cronExpression), ` ${schedule.timezone}`]],
    ["When one still runs", { skip: "the next is skipped", queue: "the next waits", allow: "both run" }[schedule.overlap]],
    ["Slots that were missed", { none: "are left out", once: "are run once", all: `are all run, ${schedule.catchUpLimit} at most` }[schedule.catchUp]],
    ["Jitter", schedule.jitter ? duration(schedule.jitter * 1000) : ""],
    ["Begins", timeAt(schedule.startAt)],
    ["Ends", timeAt(schedule.endAt)],
    ["Skipped, missed", schedule.skipped || schedule.missed ? `${schedule.skipped}, ${schedule.missed}` : ""],
    ["Acts as", schedule.owner],
    ["Kept in", schedule.source === "file" ? "a file of the deployment" : "the store"],
    ["Tags", schedule.tags.length ? h("span.row", schedule.tags.map((tag) => h("span.tag", tag))) : ""],
    ["Payload", schedule.payload === null ? "" : shownText(pretty(schedule.payload), "Payload")],
  ];
  return h("dl.facts", found.filter(([, value]) => value).map(([name, value]) => [h("dt", name), h("dd.break", value)]));
}
