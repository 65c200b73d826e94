// Tasks: what was submitted, the newest first.

import { api, part } from "../api.js";
import { h, replace } from "../element.js";
import { badge } from "../parts/badge.js";
import { empty } from "../parts/states.js";
import { table } from "../parts/table.js";
import { duration, timeAgo } from "../time.js";

export function title() {
  return "Tasks";
}

export async function show(root, params, query, signal) {
  const asked = {};
  for (const name of query.keys()) asked[name] = query.getAll(name);
  const page = await api.get("/tasks", asked, { signal });
  const columns = [
    { label: "Task", header: true, className: "mono", cell: (task) => h("a", { href: `/tasks/${part(task.taskId)}` }, task.taskId) },
    { label: "Script", cell: (task) => task.script },
    { label: "Status", cell: (task) => badge(task.status) },
    { label: "Recorded", cell: (task) => timeAgo(task.createdAt) },
    { label: "Duration", className: "number", cell: (task) => duration(task.durationMs) },
  ];
  const list = table({ caption: "Tasks", captionHidden: true, columns, key: (task) => task.taskId, rows: page.tasks });
  replace(root, h("h1", "Tasks"), page.tasks.length ? list.node : empty("No task matches."));
}
