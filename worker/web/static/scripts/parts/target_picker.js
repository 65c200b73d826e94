// Target picker: for which workers a task is, and which these are now.

import { api } from "../api.js";
import { h, replace } from "../element.js";
import { may } from "../session.js";
import { confirm } from "./dialog.js";

const KINDS = [
  ["any", "Any worker"],
  ["one", "One worker"],
  ["labels", "Workers with labels"],
  ["all", "All workers"],
];
const PAGE = 200;
// Who takes nothing now, and is not meant.
const AWAY = new Set(["offline", "draining"]);

/**
 * `given`: the target in the address. `text()` is a member of the request's body with a comma behind it, or nothing.
 * `confirmed()`: whether it is meant so. `refuse(problem)`: whether the problem is about it.
 */
export function targetPicker(script, given, signal) {
  const kindOf = !given.length || given[0] === "_any" ? "any" : given[0] === "_all" ? "all" : given[0].includes(":") ? "labels" : "one";
  let workers = null;
  const kind = h("select", { id: "run-target", value: kindOf, "aria-describedby": "run-target-errors run-target-meant", onchange: draw },
    KINDS.map(([value, label]) => h("option", { value }, label)));
  const names = h("datalist", { id: "run-target-names" });
  const labels = h("datalist", { id: "run-target-known" });
  const one = text("run-worker", "Its name", "run-target-names", kindOf === "one" ? given[0] : "");
  const many = text("run-labels", "Labels, all of which have to match", "run-target-known", kindOf === "labels" ? given.join(" ") : "");
  many.input.placeholder = "group:web zone:eu";
  const meant = h("p.help", { id: "run-target-meant", role: "status" });
  const errors = h("ul.errors", { id: "run-target-errors" });
  const element = h("div.stack",
    h("div.field", h("label", { for: "run-target" }, "Where it runs"), kind), one.field, many.field, names, labels, meant, errors);

  function text(id, label, list, value) {
    const input = h("input", { id, list, value, autocomplete: "off", spellcheck: "false", "aria-describedby": "run-target-errors", oninput: draw });
    return { input, field: h("div.field", h("label", { for: id }, label), input) };
  }

  function target() {
    if (kind.value === "all") return ["_all"];
    if (kind.value === "one") return [one.input.value.trim()];
    return kind.value === "labels" ? many.input.value.split(/[\s,]+/).filter(Boolean) : null;
  }

  function draw() {
    one.field.hidden = kind.value !== "one";
    many.field.hidden = kind.value !== "labels";
    replace(errors);
    const found = meantNow();
    const missing = kind.value === "one" ? !one.input.value.trim() : kind.value === "labels" && !target().length;
    meant.textContent =
      kind.value === "any" || missing || !found ? "" : found.length ? `Meant are ${found.join(", ")}` : "Nobody is meant now.";
  }

  /** Names, as the server would find them now; null where it is not known who there is. */
  function meantNow() {
    if (!workers) return null;
    const wanted = target() ?? [];
    return workers
      .filter(({ state }) => !AWAY.has(state))
      .filter((worker) => kind.value === "all" || (kind.value === "one" ? worker.name === wanted[0] : wanted.every((each) => carries(worker, each))))
      .map(({ name }) => name);
  }

  async function look() {
    const found = [];
    try {
      for (let next = null; ; ) {
        const page = await api.get("/workers", { script, limit: PAGE, cursor: next }, { signal });
        found.push(...page.workers);
        next = page.next;
        if (!next) break;
      }
    } catch {
      // It can be typed all the same, and the server says what is wrong with it.
      return;
    }
    workers = found;
    const live = workers.filter(({ state }) => !AWAY.has(state));
    replace(names, live.map(({ name, state }) => h("option", { value: name }, state)));
    replace(labels, [...new Set(live.flatMap((worker) => worker.labels.flatMap(above)))].sort().map((value) => h("option", { value })));
    draw();
  }

  draw();
  if (may("workers:read")) look();
  return {
    element,
    text() {
      const found = target();
      return found ? `"target":${JSON.stringify(found)},` : "";
    },
    async confirmed() {
      if (kind.value !== "all") return true;
      await look();
      const found = meantNow();
      const who = found ? `These are ${found.length}: ${found.join(", ")}.` : "Each that takes tasks and has the script.";
      return confirm("Run it on all workers?", who, { action: "Run on all" });
    },
    clear: () => replace(errors),
    refuse(problem) {
      const told = (problem.errors ?? []).filter(({ pointer }) => (pointer ?? "").split("/")[1] === "target").map(({ message }) => message);
      if (problem.error === "no-worker") told.push(problem.message);
      if (!told.length) return false;
      replace(errors, told.map((each) => h("li", each)));
      (kind.value === "one" ? one.input : kind.value === "labels" ? many.input : kind).focus();
      return true;
    },
  };
}

/** `group:web` and `group:web.dev` of `group=web.dev`. */
function above(label) {
  const [key, value] = split(label, "=");
  return value.split(".").map((_, index, parts) => `${key}:${parts.slice(0, index + 1).join(".")}`);
}

function carries({ labels }, wanted) {
  const [key, value] = split(wanted, ":");
  return labels.some((label) => {
    const [its, held] = split(label, "=");
    return its === key && `${held}.`.startsWith(`${value}.`);
  });
}

function split(text, sign) {
  const at = text.indexOf(sign);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}
