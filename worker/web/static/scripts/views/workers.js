// Workers: who takes tasks, how they are, and what they disagree on.

import { api, part } from "../api.js";
import { h, replace } from "../element.js";
import { paced } from "../pace.js";
import { badge } from "../parts/badge.js";
import { empty } from "../parts/states.js";
import { table } from "../parts/table.js";
import { bytes, timeAgo } from "../time.js";

// They say how they are about as often.
const LOOK_MS = 3000;

export function title() {
  return "Workers";
}

export async function show(root, params, query, signal) {
  const list = table({
    caption: "Workers",
    captionHidden: true,
    key: (worker) => worker.name,
    columns: [
      { label: "Worker", header: true, cell: (worker) => h("a", { href: `/workers/${part(worker.name)}` }, worker.name) },
      { label: "State", cell: (worker) => [badge(worker.state), worker.reason ? [" ", h("span.muted", worker.reason)] : null] },
      { label: "Running", className: "number", cell: (worker) => `${worker.running} of ${worker.concurrency}` },
      { label: "Labels", cell: (worker) => worker.labels.map((label) => [h("span.tag", label), " "]) },
      { label: "Queues", className: "minor", cell: (worker) => worker.queues.join(", ") },
      { label: "Load", className: "number", cell: (worker) => `${worker.load.toFixed(1)} on ${worker.processors}` },
      { label: "Memory free", className: "number minor", cell: (worker) => bytes(worker.memoryFree) },
      { label: "Disk free", className: "number minor", cell: (worker) => bytes(worker.diskFree) },
      { label: "Last heard", cell: (worker) => timeAgo(worker.lastSeenAt) },
    ],
  });
  const count = h("p.muted", { role: "status" });
  const conflicts = h("div.stack");
  const none = h("div");

  async function look() {
    const found = await all(signal);
    list.update(found.workers);
    list.node.hidden = !found.workers.length;
    count.textContent = `${found.total} ${found.total === 1 ? "worker" : "workers"}`;
    replace(none, found.workers.length ? null : empty("No worker has taken tasks yet. Start one with `penstock worker`."));
    replace(conflicts, found.conflicts.map(conflict));
  }

  await look();
  replace(root, h("h1", "Workers"), count, conflicts, list.node, none);
  const timer = setInterval(paced(look, 0, signal), LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

/** All of them, page by page. */
async function all(signal) {
  let cursor = null;
  let found = null;
  do {
    const page = await api.get("/workers", { cursor, limit: 200 }, { signal });
    found = found ? { ...page, workers: [...found.workers, ...page.workers] } : page;
    cursor = page.next;
  } while (cursor);
  return found;
}

function conflict({ queue, script, workers }) {
  return h(
    "p.note.warn",
    `The workers of queue ${queue} do not have the same script ${script}: `,
    workers.map(({ name, digest }, index) => [index ? ", " : null, h("a", { href: `/workers/${part(name)}` }, name), " ", digest ? h("code", digest.slice(0, 12)) : "has none"]),
    ". A task may fail on the one and not on the other.",
  );
}
