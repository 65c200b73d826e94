// Recent tasks: how a script went lately, the durations as a line of bars and each task as a link.

import { api } from "../api.js";
import { h, replace } from "../element.js";
import { follow } from "../events.js";
import { path } from "../router.js";
import { duration, timeAgo } from "../time.js";
import { badge } from "./badge.js";
import { spark } from "./spark.js";

const SHOWN = 8;
const READ = 16;
const PAUSE_MS = 500;

export function recentTasks(script, signal) {
  const content = h("div.stack", h("p.muted", "Loading …"));
  let timer = null;
  let latest = 0;

  async function read() {
    timer = null;
    const own = (latest += 1);
    try {
      const { tasks, total } = await api.get("/tasks", { script, limit: READ }, { signal });
      if (own === latest) replace(content, ...drawn(script, tasks, total));
    } catch (problem) {
      if (!signal.aborted) replace(content, h("p.note.bad", problem.message));
    }
  }

  follow("*", (event) => {
    // Of many at once the last one is enough.
    if (event.kind === "gap" || event.script === script) timer ??= setTimeout(read, PAUSE_MS);
  }, signal);
  signal.addEventListener("abort", () => clearTimeout(timer));
  read();
  return h("section.card", { "aria-label": "Recent tasks" }, h("h2", "Recent tasks"), content);
}

function drawn(script, tasks, total) {
  if (!tasks.length) return [h("p.muted", "It has not been run yet.")];
  const ended = tasks.filter((each) => each.durationMs !== null).reverse();
  const times = ended.map((each) => each.durationMs).sort((one, other) => one - other);
  const label = times.length
    ? `Durations of the last ${times.length}: ${duration(times[0])} to ${duration(times.at(-1))}, median ${duration(times[Math.floor(times.length / 2)])}`
    : "";
  return [
    ended.length ? h("div.row", spark(ended.map((each) => ({ value: each.durationMs, status: each.status, text: `${each.status}, ${duration(each.durationMs)}` })), label), h("span.muted", label)) : null,
    h("ul.plain", tasks.slice(0, SHOWN).map((task) => h("li.spread",
      h("a", { href: path("/tasks/:id", { id: task.taskId }) }, h("code", task.taskId.slice(0, 20))),
      h("span.row", task.dryRun ? h("span.tag", "dry run") : null, badge(task.status), h("span.muted", duration(task.durationMs)), timeAgo(task.createdAt))))),
    h("a", { href: `/tasks?script=${encodeURIComponent(script)}` }, total === null ? "All its tasks" : `All ${total} tasks`),
  ];
}
