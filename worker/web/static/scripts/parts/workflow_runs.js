// Workflow runs: a table of the newest, of one workflow or of all, kept up to date.

import { api } from "../api.js";
import { h, replace } from "../element.js";
import { follow } from "../events.js";
import { path } from "../router.js";
import { timeAgo } from "../time.js";
import { badge } from "./badge.js";
import { empty, failed } from "./states.js";
import { table } from "./table.js";

const SHOWN = 20;
const AGAIN_MS = 500;

export function runTable(workflow, signal) {
  const element = h("div.stack");
  const more = h("button", { type: "button", hidden: "", onclick: () => older() }, "Older runs");
  let runs = [];
  let next = null;
  let timer = null;
  const list = table({
    caption: workflow ? `Runs of ${workflow}` : "Runs of workflows",
    captionHidden: true,
    key: (row) => row.runId,
    columns: [
      { label: "Run", header: true, cell: (row) => h("a.mono.break", { href: path("/workflow-runs/:id", { id: row.runId }) }, row.runId) },
      workflow ? null : { label: "Workflow", cell: (row) => h("a", { href: path("/workflows/:name", { name: row.workflow }) }, row.workflow) },
      { label: "Status", cell: (row) => badge(row.status) },
      { label: "Steps", cell: (row) => `${row.stepsDone} of ${row.stepsTotal}` },
      { label: "Failed", cell: (row) => row.failedSteps.join(", ") },
      { label: "Begun", cell: (row) => timeAgo(row.createdAt) },
      { label: "By", cell: (row) => row.startedBy },
    ].filter(Boolean),
  });

  async function read() {
    timer = null;
    try {
      const page = await api.get("/workflow-runs", { workflow, limit: SHOWN }, { signal });
      const first = new Set(page.runs.map((run) => run.runId));
      const rest = runs.filter((run) => !first.has(run.runId));
      if (!rest.length) next = page.next;
      runs = [...page.runs, ...rest];
      draw();
    } catch (problem) {
      if (!signal.aborted && !runs.length) replace(element, failed(problem, read));
    }
  }

  async function older() {
    const page = await api.get("/workflow-runs", { workflow, limit: SHOWN, cursor: next }, { signal });
    next = page.next;
    runs = [...runs, ...page.runs];
    draw();
  }

  function draw() {
    list.update(runs);
    more.hidden = next === null;
    if (runs.length) {
      if (list.node.parentNode !== element) replace(element, list.node, more);
    } else replace(element, empty("No run yet"));
  }

  follow("*", () => (timer ??= setTimeout(read, AGAIN_MS)), signal);
  signal.addEventListener("abort", () => clearTimeout(timer));
  return { element, read };
}
