// Overview: what came and what became of it, what waits, what runs, what needs a look, and what comes next.

import { api, part } from "../api.js";
import { h, replace } from "../element.js";
import { follow } from "../events.js";
import { paced } from "../pace.js";
import { badge } from "../parts/badge.js";
import { chart } from "../parts/chart.js";
import { empty } from "../parts/states.js";
import { may, mayAny } from "../session.js";
import { BAD, STATUSES } from "../statuses.js";
import { setQuery } from "../router.js";
import { table } from "../parts/table.js";
import { duration, timeAgo } from "../time.js";

// What is shown follows what happens, but not faster than one can read.
const PACE_MS = 1500;
// Without anything happening, time goes on all the same.
const IDLE_MS = 30_000;
const SPANS = [
  { hours: 1, text: "1 hour", buckets: 60 },
  { hours: 24, text: "24 hours", buckets: 48 },
  { hours: 168, text: "7 days", buckets: 56 },
  { hours: 720, text: "30 days", buckets: 60 },
];
const SHOWN = 8;
// From below: what went well is the ground on which the rest stands out.
const STACKED = ["completed", "cancelled", "pending", "running", "timeout", "exception", "partial", "failed"];

export function title() {
  return "Overview";
}

export async function show(root, params, query, signal) {
  const readsTasks = may("tasks:read") && mayAny("scripts:read");
  const parts = [
    readsTasks ? history(query) : null,
    may("workers:read") ? queues() : null,
    readsTasks ? running() : null,
    readsTasks ? failures() : null,
    may("schedules:read") ? schedules() : null,
  ].filter(Boolean);
  const drawn = [h("h1", "Overview")];
  if (!parts.length) {
    replace(root, drawn, empty("This key may not see the state of the whole. What it may see is in the bar above."));
    return;
  }
  const look = async () => {
    const results = await Promise.allSettled(parts.map((each) => each.look(signal)));
    const refused = results.find((each) => each.status === "rejected" && !signal.aborted);
    if (refused) throw refused.reason;
  };
  const again = paced(look, PACE_MS, signal);
  if (readsTasks) follow("*", again, signal);
  await look();
  const [first, ...others] = parts;
  replace(root, drawn, readsTasks ? first.node : null, h(".columns.wide", (readsTasks ? others : parts).map((each) => each.node)));
  const timer = setInterval(again, IDLE_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

function history(query) {
  let span = SPANS.find((each) => String(each.hours) === query.get("hours")) ?? SPANS[1];
  const bars = chart({ caption: "Tasks by when they were recorded", kinds: STACKED, axis: (at) => moment(at, span) });
  const total = h("p.muted");
  const choice = h(
    "select",
    {
      value: String(span.hours),
      onchange: async (event) => {
        span = SPANS.find((each) => String(each.hours) === event.target.value);
        setQuery({ hours: span.hours === 24 ? null : span.hours });
        await look().catch(() => {});
      },
    },
    SPANS.map((each) => h("option", { value: each.hours }, each.text)),
  );
  const node = h(
    "section.card",
    { "aria-labelledby": "history" },
    h(".spread", h("h2", { id: "history" }, "Tasks over time"), h("label.row", "The last", choice)),
    total,
    bars.node,
  );

  async function look(signal) {
    const asked = span;
    const found = await api.get("/status/history", { hours: span.hours, buckets: span.buckets }, { signal });
    if (asked !== span) return;
    const counts = Object.fromEntries(
      STATUSES.map((status) => [status, found.buckets.reduce((sum, each) => sum + each.tasks[status], 0)]),
    );
    replace(
      total,
      h(
        "span.row",
        STATUSES.filter((status) => counts[status]).map((status) =>
          h("a", { href: `/tasks?status=${status}` }, badge(status, `${counts[status].toLocaleString()} ${status}`)),
        ),
      ),
      STATUSES.some((status) => counts[status]) ? null : "No task was recorded in this time.",
    );
    bars.update(
      found.buckets.map((each) => ({
        at: each.at,
        values: each.tasks,
        title: [
          moment(each.at, span),
          ...STATUSES.filter((status) => each.tasks[status]).map((status) => `${each.tasks[status]} ${status}`),
        ].join("\n"),
      })),
    );
  }

  return { node, look };
}

function moment(at, span) {
  const options = span.hours > 24 ? { month: "short", day: "numeric", hour: "2-digit" } : { hour: "2-digit", minute: "2-digit" };
  return new Intl.DateTimeFormat(undefined, options).format(new Date(at));
}

function queues() {
  const list = table({
    caption: "Queues",
    captionHidden: true,
    key: (queue) => queue.name,
    columns: [
      { label: "Queue", header: true, cell: (queue) => queue.name },
      { label: "Waiting", className: "number", cell: (queue) => (queue.waiting === null ? "unknown" : queue.waiting.toLocaleString()) },
    ],
  });
  const state = h("p");
  const node = card("Queues and workers", "/workers", state, list.node);

  async function look(signal) {
    const found = await api.get("/status", {}, { signal });
    list.update(found.queues);
    const count = found.workers?.length;
    replace(
      state,
      found.broker ? badge("online", "broker answers") : badge("offline", "broker does not answer"),
      " ",
      count === undefined
        ? null
        : count
          ? badge("online", `${count} ${count === 1 ? "worker" : "workers"}`)
          : badge("offline", "no worker takes tasks"),
    );
  }

  return { node, look };
}

function taskCard(heading, href, query, columns, nothing) {
  const list = table({ caption: heading, captionHidden: true, key: (task) => task.taskId, columns });
  const none = h("p.muted", nothing);
  const more = h("p.muted");
  const node = card(heading, href, list.node, none, more);

  async function look(signal) {
    const found = await api.get("/tasks", { ...query(), limit: SHOWN }, { signal });
    list.update(found.tasks);
    list.node.hidden = !found.tasks.length;
    none.hidden = found.tasks.length > 0;
    const rest = (found.total ?? 0) - found.tasks.length;
    more.hidden = rest <= 0;
    more.textContent = `and ${rest.toLocaleString()} more`;
  }

  return { node, look };
}

function running() {
  return taskCard(
    "Running now",
    "/tasks?status=running",
    () => ({ status: "running" }),
    [nameOf, { label: "Worker", cell: (task) => task.worker }, { label: "Recorded", cell: (task) => timeAgo(task.createdAt) }],
    "Nothing runs.",
  );
}

function failures() {
  return taskCard(
    "Needs a look",
    `/tasks?${BAD.map((status) => `status=${status}`).join("&")}`,
    () => ({ status: BAD, since: new Date(Date.now() - 24 * 3600 * 1000).toISOString() }),
    [
      nameOf,
      { label: "Why", cell: (task) => [badge(task.status), " ", h("span.muted", task.reason)] },
      { label: "When", cell: (task) => timeAgo(task.finishedAt) },
      { label: "Took", className: "number", cell: (task) => duration(task.durationMs) },
    ],
    "Nothing went wrong in the last 24 hours.",
  );
}

const nameOf = {
  label: "Task",
  header: true,
  cell: (task) => h("a", { href: `/tasks/${part(task.taskId)}`, title: task.taskId }, task.script),
};

function schedules() {
  const list = table({
    caption: "Next schedules",
    captionHidden: true,
    key: (schedule) => schedule.name,
    columns: [
      { label: "Schedule", header: true, cell: (each) => h("a", { href: `/schedules/${part(each.name)}` }, each.name) },
      { label: "Runs", cell: (each) => each.script ?? each.workflow },
      { label: "Next", cell: (each) => timeAgo(each.nextRunAt) },
      { label: "Last", cell: (each) => (each.lastStatus ? badge(each.lastStatus) : null) },
    ],
  });
  const none = h("p.muted", "No schedule is due.");
  const node = card("Next schedules", "/schedules", list.node, none);

  async function look(signal) {
    const found = await api.get("/schedules", {}, { signal });
    const due = found.schedules
      .filter((each) => each.enabled && each.nextRunAt)
      .sort((one, other) => Date.parse(one.nextRunAt) - Date.parse(other.nextRunAt))
      .slice(0, SHOWN);
    list.update(due);
    list.node.hidden = !due.length;
    none.hidden = due.length > 0;
  }

  return { node, look };
}

function card(heading, href, ...content) {
  return h("section.card", { "aria-label": heading }, h(".spread", h("h2", heading), h("a", { href, "aria-label": `${heading}: all` }, "All")), content);
}
