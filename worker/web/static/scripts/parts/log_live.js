// The log of a run as it comes, each line once, whatever connection it came over.

import { eventBatches } from "./event_stream.js";
import { SOURCES } from "./log_lines.js";

/** Reads a task's stream from run `run` on. `on`: `{lines, event, connected}`.
 *
 * `lines(run)` gives the LogLines of a run; `event(name, data)` hears everything that is no line of the log. */
export async function readLive(path, run, on, signal) {
  const seen = new Map();
  for await (const batch of eventBatches(`${path}?since=${run}.pending`, { signal, onstate: on.connected })) {
    const changed = new Set();
    for (const { id, event, data } of batch) {
      const value = JSON.parse(data);
      if (event !== "log") {
        on.event(event, value);
        if (event === "done") return;
        continue;
      }
      const bytes = Number(id.split(".")[3]);
      if (bytes <= (seen.get(value.runId) ?? 0)) continue;
      seen.set(value.runId, bytes);
      const lines = on.lines(value.runId);
      lines.append(value.line, Math.max(0, SOURCES.indexOf(value.source)), value.more === true);
      changed.add(lines);
    }
    for (const lines of changed) lines.onchange();
  }
}
