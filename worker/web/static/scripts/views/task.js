// Task: what is known of one, live: status, runs, log, payload, artifacts; and what can be done with it.

import { api, part, request } from "../api.js";
import { h, replace } from "../element.js";
import { follow } from "../events.js";
import { artifactList } from "../parts/artifacts.js";
import { badge } from "../parts/badge.js";
import { comparison } from "../parts/compare.js";
import { confirm } from "../parts/dialog.js";
import { pretty, readJson } from "../parts/json_text.js";
import { shownText } from "../parts/shown_text.js";
import { taskLog } from "../parts/task_log.js";
import { history, timeline } from "../parts/timeline.js";
import { workerResults } from "../parts/worker_results.js";
import { toast, toastProblem } from "../parts/toast.js";
import { filledIn } from "../prefill.js";
import { navigate, path, setQuery } from "../router.js";
import { may, mayAny } from "../session.js";
import { timeAgo, timeAt } from "../time.js";

const FINAL = new Set(["completed", "partial", "failed", "exception", "timeout", "cancelled"]);
const AGAIN_MS = 150;
const TICK_MS = 1000;

export function title(params) {
  return `Task ${params.id}`;
}

export async function show(root, params, query, signal) {
  const view = new TaskView(await read(params.id, signal), query, signal);
  if (signal.aborted) return;
  replace(root, view.element);
  view.start();
}

/** The document with its numbers as they were sent. */
async function read(id, signal) {
  return readJson(await (await request("GET", `/tasks/${part(id)}`, { signal })).text());
}

class TaskView {
  constructor(task, query, signal) {
    this.task = task;
    this.signal = signal;
    this.places = Object.fromEntries(["head", "facts", "runs", "payload", "artifacts"].map((name) => [name, h("div.stack")]));
    this.status = h("div.visually-hidden", { role: "status" });
    this.log = h("div");
    const wanted = Number(query.get("run") ?? Number.NaN);
    this.run = task.runs.some((run) => run.runId === wanted) ? wanted : task.runId;
    this.compared = h("div.stack");
    // One that stands for those of several workers runs nothing itself.
    this.several = task.results ? workerResults(signal) : null;
    this.other = h("input", { id: "compare-with", name: "with", required: true, value: query.get("compare") ?? "", autocomplete: "off", spellcheck: "false" });
    const { head, facts, runs, payload, artifacts } = this.places;
    this.element = h(
      "article.stack",
      head,
      this.status,
      h("div.columns", h("section.card", { "aria-label": "Facts" }, facts), section("Runs", runs)),
      this.several ? section("Workers", this.several.element) : null,
      this.several ? null : section("Log", this.log),
      section("Payload", payload),
      this.several ? null : section("Artifacts", artifacts),
      section("Compare with another task", this.compareForm(), this.compared),
    );
    this.draw();
  }

  start() {
    if (!this.several) this.showLog();
    if (this.other.value) this.compare();
    follow("*", (event) => (event.kind === "gap" || this.isAbout(event.taskId)) && this.again(), this.signal);
    // Of others there is no stream that begins with how it is: what happened before we listened is in the record.
    if (this.several) this.again();
    const ticking = setInterval(() => !this.over && this.drawRuns(), TICK_MS);
    this.signal.addEventListener("abort", () => (clearInterval(ticking), clearTimeout(this.timer)));
  }

  isAbout(id) {
    return id === this.task.taskId || Boolean(this.task.results?.some((each) => each.taskId === id));
  }

  get over() {
    return FINAL.has(this.task.status);
  }

  showLog() {
    this.reading?.abort();
    this.reading = new AbortController();
    const element = taskLog(this.task, this.run, {
      signal: AbortSignal.any([this.signal, this.reading.signal]),
      onevent: () => this.again(),
      onrun: (number) => {
        this.run = number;
        this.draw();
      },
    });
    replace(this.log, element);
  }

  /** Read the record again, once for all that happened meanwhile. */
  again() {
    this.timer ??= setTimeout(async () => {
      this.timer = null;
      try {
        this.task = await read(this.task.taskId, this.signal);
      } catch (problem) {
        if (!this.signal.aborted && problem.status === 404) toast("The task was removed", { kind: "bad" });
        return;
      }
      this.draw();
    }, AGAIN_MS);
  }

  draw() {
    const { task } = this;
    const text = JSON.stringify([task, this.run]);
    if (text === this.drawn) return;
    this.drawn = text;
    if (this.said !== task.status) replace(this.status, `The task is ${(this.said = task.status)}`);
    const held = document.activeElement?.dataset?.verb;
    replace(this.places.head, this.head());
    if (held) this.places.head.querySelector(`[data-verb="${held}"]`)?.focus();
    replace(this.places.facts, facts(task));
    this.several?.draw(task);
    this.drawRuns();
    const shown = pretty(task.payload);
    if (shown !== this.payload) replace(this.places.payload, shownText((this.payload = shown), "Payload"));
    const run = task.runs.find((one) => one.runId === this.run) ?? task.runs.at(-1);
    const left = JSON.stringify([run.runId, run.artifacts, Boolean(run.finishedAt)]);
    if (left !== this.left) {
      this.left = left;
      const there = run.finishedAt ? artifactList(task.taskId, run, this.signal) : h("p.muted", "They are collected when the run ends");
      replace(this.places.artifacts, there);
    }
  }

  drawRuns() {
    const { runs, timeline: entries } = this.task;
    const chosen = document.activeElement?.id === "run-shown";
    const chooser =
      runs.length < 2
        ? null
        : h(
            "label.row",
            "Show the log of ",
            h("select", { id: "run-shown", onchange: (event) => this.chooseRun(Number(event.target.value)), value: String(this.run) },
              runs.map((run) => h("option", { value: String(run.runId) }, `run ${run.runId}, ${run.status}`))),
          );
    const open = this.places.runs.querySelector("details")?.open;
    const details = h("details", h("summary", "What happened when"), history(entries));
    details.open = Boolean(open);
    replace(this.places.runs, timeline(runs), chooser, details);
    if (chosen) this.places.runs.querySelector("select")?.focus();
  }

  chooseRun(number) {
    this.run = number;
    this.showLog();
  }

  head() {
    const { task } = this;
    const executes = may(`scripts:execute:${task.script}`);
    const target = (task.target ?? "").split(" ").filter(Boolean);
    const filled = filledIn(JSON.stringify(task.payload), { target });
    const edited = path("/scripts/:name", { name: task.script }) + filled;
    return h(
      "div.spread",
      h("div.row", h("h1", "Task ", h("span.mono", task.taskId)), badge(task.status), task.dryRun ? h("span.tag", "dry run") : null),
      h(
        "div.row",
        !this.over && mayAny("tasks:cancel") ? verb("cancel", "Cancel", () => this.cancel(), ".danger") : null,
        this.over && executes ? verb("rerun", "Run again", () => this.rerun(), ".primary") : null,
        executes ? h("a.button", { href: edited, dataset: { verb: "edit" } }, "Edit and run") : null,
      ),
    );
  }

  async cancel() {
    const sure = await confirm("Cancel this task?", "What runs is ended by its worker, within a second.", { action: "Cancel the task", danger: true });
    if (!sure || this.signal.aborted) return;
    try {
      const answer = await api.post(`/tasks/${part(this.task.taskId)}/cancel`, {});
      toast(answer.outcome === "cancelled" ? "The task is cancelled" : "Its worker is told to end it");
    } catch (problem) {
      toastProblem(problem);
    }
    this.again();
  }

  async rerun() {
    try {
      const made = await api.post(`/tasks/${part(this.task.taskId)}/rerun`, {});
      toast(`Task ${made.taskId} runs it again`);
      await navigate(path("/tasks/:id", { id: made.taskId }));
    } catch (problem) {
      toastProblem(problem);
    }
  }

  compareForm() {
    return h(
      "form.row",
      { onsubmit: (event) => (event.preventDefault(), this.compare()) },
      h("label", { for: "compare-with" }, "Its id"),
      this.other,
      h("button", "Compare"),
    );
  }

  async compare() {
    const id = this.other.value.trim();
    try {
      const other = await read(id, this.signal);
      setQuery({ ...Object.fromEntries(new URLSearchParams(location.search)), compare: id }, { hash: location.hash });
      replace(this.compared, comparison(this.task, other));
    } catch (problem) {
      if (!this.signal.aborted) replace(this.compared, h("p.note.warn", { role: "alert" }, problem.message));
    }
  }
}

function section(heading, ...content) {
  return h("section.card", { "aria-label": heading }, h("h2", heading), content);
}

function verb(name, label, onclick, look = "") {
  return h(`button${look}`, { type: "button", onclick, dataset: { verb: name } }, label);
}

function facts(task) {
  const link = (to, text) => h("a", { href: to }, text);
  const found = [
    ["Script", link(path("/scripts/:name", { name: task.script }), task.script)],
    ["Reason", task.reason],
    ["Message", task.message],
    ["Exit code", task.exitCode],
    ["Signal", task.signal],
    ["Submitted", task.createdAt && [timeAt(task.createdAt), " (", timeAgo(task.createdAt), ")"]],
    ["By", [task.submittedBy ?? task.trigger, task.submittedFrom ? ` from ${task.submittedFrom}` : "", ` through ${task.trigger}`]],
    ["For", task.target === "_all" ? "all workers" : task.target],
    ["Part of", task.parent && link(path("/tasks/:id", { id: task.parent }), task.parent)],
    ["Queue", task.queue],
    ["Priority", task.priority || null],
    ["Tags", task.tags.length ? h("span.row", task.tags.map((tag) => h("span.tag", tag))) : null],
    ["Due at", timeAt(task.dueAt)],
    ["Deadline", timeAt(task.deadline)],
    ["Runs again", task.rerunOf && link(path("/tasks/:id", { id: task.rerunOf }), task.rerunOf)],
    ["Step", task.workflow && [`${task.step} of `, link(path("/workflow-runs/:id", { id: task.workflow }), task.workflow)]],
    ["Cancelled by", task.cancel && [task.cancel.by, task.cancel.why ? `: ${task.cancel.why}` : ""]],
    ["Digest", task.digest && h("code.break", task.digest)],
  ];
  return h("dl.facts", found.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => [h("dt", name), h("dd.break", value)]));
}
