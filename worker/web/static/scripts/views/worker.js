// Worker: one of them, what it runs and may run, and what can be asked of it.

import { api, part } from "../api.js";
import { h, replace } from "../element.js";
import { paced } from "../pace.js";
import { badge } from "../parts/badge.js";
import { confirm, openDialog } from "../parts/dialog.js";
import { failed } from "../parts/states.js";
import { table } from "../parts/table.js";
import { toast, toastProblem } from "../parts/toast.js";
import { navigate } from "../router.js";
import { may } from "../session.js";
import { bytes, timeAgo } from "../time.js";

const LOOK_MS = 3000;
const WHY_CHARACTERS = 500;

export function title({ name }) {
  return `Worker ${name}`;
}

export async function show(root, { name }, query, signal) {
  const place = `/workers/${part(name)}`;
  const head = h(".spread");
  const facts = h("dl.facts");
  const wishes = h("div.stack");
  const tasks = h("p.row");
  const scripts = table({
    caption: "Scripts that it runs",
    key: (each) => `${each.queue} ${each.script}`,
    columns: [
      { label: "Script", header: true, cell: (each) => h("a", { href: `/scripts/${part(each.script)}` }, each.script) },
      { label: "Queue", cell: (each) => each.queue },
      { label: "Kept in", cell: (each) => (each.registered ? "the registry" : "its files") },
      { label: "Digest", className: "mono clip", cell: (each) => each.digest },
    ],
  });
  let drawn = "";

  async function look() {
    draw(await api.get(place, {}, { signal }));
  }

  /** Buttons stay what they are as long as they would be the same: somebody may be about to press one. */
  function draw(worker) {
    const { drain, pause, state } = worker;
    const shape = JSON.stringify([state, drain, pause]);
    if (shape !== drawn) {
      drawn = shape;
      replace(head, h("h1", worker.name, " ", badge(state)), may(`workers:write:${name}`) ? h(".row", verbs(worker)) : null);
      replace(wishes, wish("drain", drain), wish("pause", pause));
    }
    replace(
      facts,
      fact("Why it takes nothing", worker.reason),
      fact("Last heard", timeAgo(worker.lastSeenAt)),
      fact("Started", timeAgo(worker.startedAt)),
      fact("Host", `${worker.host}, process ${worker.pid}, version ${worker.version}`),
      fact("Labels", worker.labels.length ? worker.labels.map((label) => [h("span.tag", label), " "]) : "none"),
      fact("Queues", worker.queues.join(", ")),
      fact("Running", `${worker.running} of ${worker.concurrency}`),
      fact("Load", `${worker.load.toFixed(2)} on ${worker.processors} processors`),
      fact("Memory", `${bytes(worker.memoryFree)} free of ${bytes(worker.memoryTotal)}`),
      fact("Disk", `${bytes(worker.diskFree)} free of ${bytes(worker.diskTotal)}`),
    );
    replace(
      tasks,
      worker.tasks.length
        ? worker.tasks.map((id) => h("a.mono", { href: `/tasks/${part(id)}` }, id))
        : h("span.muted", worker.running ? "This key may not see which." : "Nothing runs."),
    );
    scripts.update(worker.scripts);
    scripts.node.hidden = !worker.scripts.length;
  }

  function verbs(worker) {
    if (worker.state === "offline") return [button("Remove", remove, "danger")];
    return [
      worker.drain ? button("End the drain", () => ask("undrain")) : button("Drain", () => ask("drain", "It ends what runs and takes nothing more.")),
      worker.pause ? button("Resume", () => ask("resume")) : button("Pause", () => ask("pause", "It takes nothing more until it is resumed.")),
    ];
  }

  async function ask(verb, what = null) {
    let body = {};
    if (what) {
      const why = h("input", { id: "worker-why", maxlength: WHY_CHARACTERS, autocomplete: "off" });
      const label = verb === "drain" ? "Drain" : "Pause";
      const sure = await openDialog(
        `${label} ${name}?`,
        [h("p", what), h(".field", h("label", { for: "worker-why" }, "Why (for whoever looks later)"), why)],
        (close) => [
          h("button", { type: "button", onclick: () => close(false) }, "Back"),
          h("button.primary", { type: "button", onclick: () => close(true) }, label),
        ],
      );
      if (!sure) return;
      body = why.value ? { why: why.value } : {};
    }
    try {
      draw(await api.post(`${place}/${verb}`, body));
    } catch (problem) {
      toastProblem(problem);
    }
  }

  async function remove() {
    const text = "It is gone, and nothing of it is shown any more. Its tasks stay.";
    if (!(await confirm(`Remove ${name}?`, text, { action: "Remove", danger: true }))) return;
    try {
      await api.delete(place);
      toast(`${name} is removed`);
      navigate("/workers");
    } catch (problem) {
      toastProblem(problem);
    }
  }

  await look();
  replace(root, head, h("section.card", { "aria-label": "State" }, wishes, facts), h("section.card", h("h2", "Running now"), tasks, may("tasks:read") ? h("a", { href: `/tasks?worker=${part(name)}` }, "All its tasks") : null), scripts.node);
  const timer = setInterval(
    paced(
      () =>
        look().catch((problem) => {
          if (problem.status === 404 && !signal.aborted) replace(root, failed(problem));
          else throw problem;
        }),
      0,
      signal,
    ),
    LOOK_MS,
  );
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

function button(text, onclick, kind = null) {
  return h("button", { type: "button", class: kind, onclick }, text);
}

function fact(name, value) {
  return value === "" || value === null ? null : [h("dt", name), h("dd", value)];
}

function wish(verb, wanted) {
  if (!wanted) return null;
  return h("p.note.warn", `Asked to ${verb} by ${wanted.by} `, timeAgo(wanted.at), wanted.why ? [": ", wanted.why] : null);
}
