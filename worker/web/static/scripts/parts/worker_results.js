// Worker results: what became of a task on each of the workers that it was for, and the log of one of them.

import { api, part } from "../api.js";
import { h, replace } from "../element.js";
import { path } from "../router.js";
import { FINAL } from "../statuses.js";
import { duration } from "../time.js";
import { badge } from "./badge.js";
import { table } from "./table.js";
import { taskLog } from "./task_log.js";

/** `draw(task)`: as the record says now. */
export function workerResults(signal) {
  let reading = null;
  const total = h("p", { role: "status" });
  const log = h("div.stack", { hidden: true });
  const list = table({
    caption: "What became of it on each worker",
    captionHidden: true,
    key: (each) => each.taskId,
    columns: [
      { label: "Worker", header: true, cell: (each) => h("a", { href: path("/workers/:name", { name: each.worker }) }, each.worker) },
      {
        label: "Status",
        cell: (each) => (each.status ? [badge(each.status), each.reason ? [" ", h("span.muted", each.reason)] : null] : h("span.muted", "not kept any more")),
      },
      { label: "Exit code", className: "number", cell: (each) => each.exitCode ?? (each.signal ? `signal ${each.signal}` : null) },
      { label: "Took", className: "number", cell: (each) => duration(each.durationMs) },
      { label: "Task", className: "mono clip", cell: (each) => h("a", { href: path("/tasks/:id", { id: each.taskId }), title: each.taskId }, each.taskId) },
      {
        label: "Log",
        hidden: true,
        cell: (each) => (each.status ? h("button.quiet", { type: "button", "aria-label": `Log of ${each.worker}`, onclick: () => show(each) }, "Log") : null),
      },
    ],
  });

  async function show({ worker, taskId }) {
    reading?.abort();
    const mine = (reading = new AbortController());
    const its = AbortSignal.any([signal, mine.signal]);
    log.hidden = false;
    const place = h("div", h("p.muted", "Loading …"));
    replace(log, h("h3", `Log of ${worker}`), place);
    try {
      const task = await api.get(`/tasks/${part(taskId)}`, {}, { signal: its });
      if (!its.aborted) replace(place, taskLog(task, task.runId, { signal: its, onevent() {}, onrun() {} }));
    } catch (problem) {
      if (!its.aborted) replace(place, h("p.note.bad", { role: "alert" }, problem.message));
    }
  }

  return {
    element: h("div.stack", total, list.node, log),
    draw({ results, target }) {
      const ended = results.filter(({ status }) => !status || FINAL.has(status)).length;
      const good = results.filter((each) => each.status === "completed").length;
      const said = `${good} of ${results.length} completed it${ended < results.length ? `, ${results.length - ended} have not ended` : ""}. It is for ${target === "_all" ? "all workers" : target}.`;
      if (total.textContent !== said) total.textContent = said;
      list.update(results);
    },
  };
}
