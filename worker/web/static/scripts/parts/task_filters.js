// Task filters: those of the API, each with a name, as a form whose values are the query of the page.

import { h, replace } from "../element.js";
import { STATUSES } from "../statuses.js";
import { badge } from "./badge.js";

// After the last key that was pressed in a field of text.
const TYPING_MS = 350;
const TRIGGERS = ["api", "cli", "schedule", "workflow", "celery"];
const MORE = [
  { name: "reason", label: "Reason", hint: "such as exit-code" },
  { name: "worker", label: "Worker" },
  { name: "parent", label: "Part of task" },
  { name: "workflow", label: "Workflow run" },
  { name: "tag", label: "Tags", hint: "all of them, separated by commas" },
  { name: "since", label: "Recorded since", type: "datetime-local" },
  { name: "until", label: "Recorded before", type: "datetime-local" },
];
const LISTS = new Set(["script", "reason", "worker", "parent", "workflow", "tag"]);

/** `changed()` is called when another list is wanted. Returns `{node, values, any, clear, counted, complain}`. */
export function taskFilters(query, changed) {
  let timer = null;
  const fields = new Map();
  const statuses = new Map();
  const complaint = h("p.note.bad", { role: "alert", hidden: true });

  const boxes = STATUSES.map((status) => {
    const box = h("input", { type: "checkbox", checked: query.getAll("status").includes(status), onchange: changed });
    const count = h("span.muted");
    statuses.set(status, { box, count });
    return h("label.choice", box, badge(status), count);
  });
  const triggers = h(
    "select",
    { id: "filter-trigger", value: query.get("trigger") ?? "", onchange: changed },
    h("option", { value: "" }, "any"),
    TRIGGERS.map((each) => h("option", { value: each }, each)),
  );
  const more = h(
    "details",
    { open: [...MORE.map(({ name }) => name), "trigger"].some((name) => query.has(name)) },
    h("summary", "More filters"),
    h(".filter-grid", MORE.map(field), h(".field", h("label", { for: "filter-trigger" }, "Trigger"), triggers)),
  );
  const node = h(
    "form.card.task-filters",
    { role: "search", "aria-label": "Filter the tasks", onsubmit: now },
    h(
      ".filter-grid",
      field({ name: "q", label: "Search", type: "search", hint: "id, script, message, tag, key or payload" }),
      field({ name: "script", label: "Script", hint: "several separated by commas" }),
    ),
    h("fieldset", h("legend", "Status"), h(".row", boxes)),
    more,
    complaint,
  );

  function field({ name, label, hint, type = "text" }) {
    const id = `filter-${name}`;
    const input = h("input", {
      id,
      type,
      value: type === "datetime-local" ? local(query.get(name)) : query.getAll(name).join(", "),
      maxlength: 200,
      autocomplete: "off",
      spellcheck: "false",
      placeholder: hint,
      step: type === "datetime-local" ? 1 : null,
      oninput: () => {
        clearTimeout(timer);
        timer = setTimeout(changed, TYPING_MS);
      },
    });
    fields.set(name, input);
    return h(".field", h("label", { for: id }, label), input);
  }

  function now(event) {
    event.preventDefault();
    clearTimeout(timer);
    changed();
  }

  /** As the API takes them. */
  function values() {
    const found = {};
    for (const [name, input] of fields) {
      const text = input.value.trim();
      if (!text) continue;
      if (input.type === "datetime-local") found[name] = new Date(text).toISOString();
      else found[name] = LISTS.has(name) ? listed(text) : text;
    }
    const wanted = STATUSES.filter((status) => statuses.get(status).box.checked);
    if (wanted.length) found.status = wanted;
    if (triggers.value) found.trigger = triggers.value;
    return found;
  }

  return {
    node,
    values,
    any: () => Object.keys(values()).length > 0,
    clear() {
      for (const input of fields.values()) input.value = "";
      for (const { box } of statuses.values()) box.checked = false;
      triggers.value = "";
      changed();
    },
    /** How many there are of each status; null where that is not known. */
    counted(counts) {
      for (const [status, { count }] of statuses) count.textContent = counts ? counts[status].toLocaleString() : "";
    },
    /** What the API says of the filters, beside the one that it is about; null: nothing. */
    complain(problem) {
      for (const input of fields.values()) input.removeAttribute("aria-invalid");
      complaint.hidden = !problem;
      if (!problem) return;
      replace(complaint, problem.errors?.length ? problem.errors.map((each) => `${each.pointer.slice(1)}: ${each.message}. `) : problem.message);
      for (const { pointer } of problem.errors ?? []) fields.get(pointer.split("/")[1])?.setAttribute("aria-invalid", "true");
    },
  };
}

function listed(text) {
  return text.split(",").map((each) => each.trim()).filter(Boolean);
}

/** What a field for local time shows of an ISO text. */
function local(iso) {
  const date = new Date(iso ?? "");
  if (!iso || Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
