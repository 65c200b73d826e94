// Workflow run: its graph, alive while it goes on; each step leads to the log of its task.

import { api, part, request } from "../api.js";
import { h, replace } from "../element.js";
import { follow } from "../events.js";
import { badge } from "../parts/badge.js";
import { confirm } from "../parts/dialog.js";
import { graph, graphFrame } from "../parts/graph.js";
import { pretty, readJson } from "../parts/json_text.js";
import { shownText } from "../parts/shown_text.js";
import { table } from "../parts/table.js";
import { toast, toastProblem } from "../parts/toast.js";
import { filledIn } from "../prefill.js";
import { navigate, path } from "../router.js";
import { may } from "../session.js";
import { duration, timeAgo, timeAt } from "../time.js";

const AGAIN_MS = 150;
// Not every change of a step is an event of a task: one that is skipped has none.
const LOOK_MS = 3000;
const ACTIVE = new Set(["pending", "running"]);

export function title(params) {
  return `Workflow run ${params.id}`;
}

export async function show(root, params, query, signal) {
  const view = new RunView(await read(params.id, signal), signal);
  if (signal.aborted) return;
  replace(root, view.element);
  view.start();
}

async function read(id, signal) {
  return readJson(await (await request("GET", `/workflow-runs/${part(id)}`, { signal })).text());
}

class RunView {
  constructor(run, signal) {
    this.signal = signal;
    this.head = h("div.stack");
    this.facts = h("div");
    this.status = h("div.visually-hidden", { role: "status" });
    this.take(run);
    this.graph = graph(run.definition.steps, (step) => this.describe(step), `The steps of run ${run.runId}`);
    this.table = table({
      caption: "Steps",
      captionHidden: true,
      key: (step) => step.name,
      columns: [
        { label: "Step", header: true, cell: (step) => step.name },
        { label: "Status", cell: (step) => badge(step.status) },
        { label: "Why", cell: (step) => h("span.break", step.message ?? step.reason ?? "") },
        { label: "Attempt", cell: (step) => step.attempt + 1 },
        { label: "Took", cell: (step) => took(step) },
        { label: "Task", cell: (step) => (step.taskId ? h("a.mono.break", { href: path("/tasks/:id", { id: step.taskId }) }, step.kept ? `${step.taskId} (kept)` : step.taskId) : "") },
      ],
    });
    this.element = h(
      "article.stack",
      this.head,
      this.status,
      h("section.card", { "aria-label": "Steps" }, h("h2", "Steps"), graphFrame(this.graph, this.table.node)),
      h("section.card", { "aria-label": "Facts" }, this.facts),
      h("section.card", { "aria-label": "Payload" }, h("h2", "Payload"), shownText(pretty(run.payload), "Payload")),
    );
    this.draw();
  }

  start() {
    const mine = (event) => event.kind === "gap" || !ACTIVE.has(this.run.status) || this.scripts.has(event.script);
    follow("*", (event) => mine(event) && this.again(), this.signal);
    const looking = setInterval(() => ACTIVE.has(this.run.status) && this.again(), LOOK_MS);
    this.signal.addEventListener("abort", () => (clearInterval(looking), clearTimeout(this.timer)));
  }

  take(run) {
    this.run = run;
    this.steps = new Map(run.steps.map((step) => [step.name, step]));
    this.scripts = new Set(run.definition.steps.map((step) => step.script));
  }

  describe(step) {
    const state = this.steps.get(step.name);
    if (!state) return { text: step.script };
    const href = state.taskId ? path("/tasks/:id", { id: state.taskId }) : undefined;
    return { status: state.status, text: took(state) || step.script, href };
  }

  again() {
    this.timer ??= setTimeout(async () => {
      this.timer = null;
      try {
        this.take(await read(this.run.runId, this.signal));
        this.draw();
      } catch {
        // The next look, or the next event, tries again; a lost connection is told by the page.
      }
    }, AGAIN_MS);
  }

  draw() {
    const { run } = this;
    const text = JSON.stringify(run);
    if (text === this.drawn) return;
    this.drawn = text;
    const held = document.activeElement?.dataset?.verb;
    replace(this.head, this.heading());
    if (held) this.head.querySelector(`[data-verb="${held}"]`)?.focus();
    this.graph.update();
    this.table.update(run.steps);
    replace(this.facts, facts(run));
    const said = `The run is ${run.status}, ${run.stepsDone} of ${run.stepsTotal} steps are done`;
    if (said !== this.said) replace(this.status, (this.said = said));
  }

  heading() {
    const { run } = this;
    const executes = may(`workflows:execute:${run.workflow}`);
    const place = path("/workflows/:name", { name: run.workflow });
    return h(
      "div.spread",
      h("div.row", h("h1", "Run ", h("span.mono", run.runId)), badge(run.status), h("span", `${run.stepsDone} of ${run.stepsTotal} steps`)),
      h(
        "div.row",
        ACTIVE.has(run.status) && may(`workflows:cancel:${run.workflow}`) ? verb("cancel", "Cancel", () => this.cancel(), ".danger") : null,
        ["failed", "cancelled"].includes(run.status) && executes ? verb("rerun", "Run again from what failed", () => this.rerun(), ".primary") : null,
        executes ? h("a.button", { href: place + filledIn(JSON.stringify(run.payload)), dataset: { verb: "edit" } }, "Edit and run") : null,
      ),
    );
  }

  async cancel() {
    const sure = await confirm("Cancel this run?", "What runs is ended, and nothing further begins.", { action: "Cancel the run", danger: true });
    if (!sure || this.signal.aborted) return;
    try {
      await api.post(`/workflow-runs/${part(this.run.runId)}/cancel`, {});
      toast("The run is being cancelled");
    } catch (problem) {
      toastProblem(problem);
    }
    this.again();
  }

  async rerun() {
    try {
      const made = await api.post(`/workflow-runs/${part(this.run.runId)}/rerun`, {});
      await navigate(path("/workflow-runs/:id", { id: made.runId }));
    } catch (problem) {
      toastProblem(problem);
    }
  }
}

function verb(name, label, onclick, look = "") {
  return h(`button${look}`, { type: "button", onclick, dataset: { verb: name } }, label);
}

function took(step) {
  if (!step.startedAt || !step.finishedAt) return "";
  return duration(Date.parse(step.finishedAt) - Date.parse(step.startedAt));
}

function facts(run) {
  const link = (to, text) => h("a", { href: to }, text);
  const found = [
    ["Workflow", link(path("/workflows/:name", { name: run.workflow }), run.workflow)],
    ["Failed steps", run.failedSteps.join(", ")],
    ["Begun", [timeAt(run.createdAt), " (", timeAgo(run.createdAt), ")"]],
    ["Ended", timeAt(run.finishedAt)],
    ["By", `${run.startedBy}${run.startedFrom ? ` from ${run.startedFrom}` : ""} through ${run.trigger}`],
    ["Runs again", run.rerunOf && link(path("/workflow-runs/:id", { id: run.rerunOf }), run.rerunOf)],
    ["Cancelled by", run.cancel && `${run.cancel.by}${run.cancel.why ? `: ${run.cancel.why}` : ""}`],
  ];
  return h("dl.facts", found.filter(([, value]) => value).map(([name, value]) => [h("dt", name), h("dd.break", value)]));
}
