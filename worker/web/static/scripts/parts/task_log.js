// Task log: the log of one run of a task: kept when it has ended, else live, and then on with the run that follows.

import { address, part } from "../api.js";
import { h, replace } from "../element.js";
import { readKept } from "./log_kept.js";
import { LogLines } from "./log_lines.js";
import { readLive } from "./log_live.js";
import { logView } from "./log.js";
import { progressBar, progressOf } from "./progress.js";
import { toast } from "./toast.js";

/** `onevent()` is called when something other than a line came; `onrun(number)` when the log of a run is shown. */
export function taskLog(task, number, { signal, onevent, onrun }) {
  const bar = progressBar();
  const place = h("div");
  const element = h("div.stack", bar.element, place);
  const base = `/tasks/${part(task.taskId)}`;
  let view = null;
  let shown = null;

  function show(run, live) {
    const lines = new LogLines();
    shown = { run, lines, looked: 0 };
    const download = { href: address(`${base}/log`, { run }), name: `${task.taskId}-${run}.log` };
    view = logView(lines, { live, download, signal, tell: toast });
    const changed = lines.onchange;
    lines.onchange = () => {
      changed();
      watchProgress(live);
    };
    replace(place, view.element);
    onrun(run);
  }

  /** Only what came since: most logs say nothing of progress, and it costs one look at each line. */
  function watchProgress(live) {
    const { lines } = shown;
    let newest = null;
    for (; shown.looked < lines.length; shown.looked += 1) {
      const text = lines.text(shown.looked);
      if (text?.startsWith("::progress ")) newest = progressOf(text) ?? newest;
    }
    if (newest) bar.show((shown.progress = newest), live);
  }

  async function kept(number) {
    show(number, false);
    try {
      await readKept(shown.lines, address(`${base}/log`, { run: number }), address(`${base}/log/index`, { run: number }), signal);
      view.state(shown.lines.length ? "" : "this run has written nothing");
    } catch (problem) {
      if (!signal.aborted) view.state(problem.message);
    }
  }

  async function live() {
    show(number, true);
    view.state("waiting for it to begin");
    const on = {
      lines: (run) => {
        if (run !== shown.run) show(run, true);
        return shown.lines;
      },
      event: (name, data) => {
        if (name === "gap") view.state(`${data.lostBytes} bytes of it are not kept where this server can read them`);
        else if (name === "behind") view.state("written faster than it can be read here; the rest follows at the end");
        else if (name === "status" && data.status === "pending" && data.runId !== shown.run) show(data.runId, true);
        else if (name === "status" && data.status === "running") view.state("live");
        else if (name === "done") ended();
        onevent(name, data);
      },
      connected: (there) => view.state(there ? "live" : "the connection is lost, trying again"),
    };
    try {
      await readLive(address(`${base}/stream`), number, on, signal);
    } catch (problem) {
      if (!signal.aborted) view.state(problem.message);
    }
  }

  function ended() {
    view.state("");
    view.setFollow(false);
    // What was dropped while it came is there now.
    if (shown.lines.partial) kept(shown.run);
    else if (shown.progress) bar.show(shown.progress, false);
  }

  const run = task.runs.find((one) => one.runId === number);
  if (run?.finishedAt) kept(number);
  else live();
  return element;
}
