// Form: a form from a JSON Schema, and the same payload as JSON. What is right is the server's word alone: every change
// is asked about, and what is wrong stands beside its field. It sends nothing by itself.

import { h, replace } from "../element.js";
import { stringify } from "../exact.js";
import { pointerOf, segmentsOf } from "../pointer.js";
import { Schema } from "../schema.js";
import { contextOf } from "./fields/draw.js";
import { jsonEditor } from "./json_editor.js";
import { problemSummary } from "./problem_summary.js";
import { tabs } from "./tabs.js";

const PAUSE_MS = 300;
const MISSING = /^required: the property /;

/**
 * `document`: the schema, as `parse` of exact.js gives it. `value`: the payload to begin with, a Map; `fresh` fills in
 * the defaults of what it leaves out. `check(text, signal)` answers `{valid, errors: [{message, pointer}]}`.
 * `omit`: names of the root that are not asked for, unless they are there; `further`: those that stand below "More".
 *
 * Returns `{element, text(), ready(), refuse(errors), set(value)}`. `text()` is the payload as JSON, null for what is none;
 * `ready()` shows all that is wrong and resolves to the text when nothing is.
 */
export function schemaForm({ document: root, value, fresh = true, check, omit = [], further = [], signal, onchange = () => {} }) {
  const schema = new Schema(root);
  const context = contextOf({ schema, omit, further, changed });
  const touched = new Set();
  const place = h("div.fields", {});
  const said = h("p.checked", { role: "status" });
  const summary = problemSummary({ jump });
  const editor = jsonEditor({ value: undefined, label: "The payload as JSON", rows: 18, onchange: () => changed(null) });
  const found = h("ul.errors", { "aria-live": "polite" });
  const views = tabs("How to fill it in", [
    { name: "Form", content: place },
    { name: "JSON", content: h("div", {}, editor.element, found) },
  ], { leave });
  let field = null;
  let all = false;
  let errors = [];
  let timer = null;
  let asking = null;
  signal?.addEventListener("abort", () => {
    clearTimeout(timer);
    asking?.abort();
  });

  function draw(of, isFresh) {
    field = context.draw({ node: root, name: "payload", value: of, fresh: isFresh, required: true, inner: true, depth: 0 });
    replace(place, field.element);
  }

  const asJson = () => views.current() === "JSON";
  const current = () => (asJson() ? editor.value() : field.get());

  /** Mistakes that cannot be sent, as `{field, message, pointer}`. */
  function local() {
    if (asJson()) {
      const message = editor.problem() ?? (editor.value() === undefined ? "there is nothing" : null);
      return message ? [{ field: editor, message, pointer: "" }] : [];
    }
    const wrong = [];
    const walk = (each) => {
      for (const message of each.wrong()) wrong.push({ field: each, message, pointer: "" });
      for (const child of each.children?.() ?? []) walk(child);
    };
    walk(field);
    return wrong;
  }

  function leave() {
    const wrong = local();
    if (wrong.length && (asJson() || wrong.some((each) => /JSON|twice/.test(each.message)))) {
      said.textContent = "First put this right: it would be lost.";
      wrong[0].field.focus();
      return false;
    }
    const kept = current();
    errors = [];
    if (asJson()) draw(kept, false);
    else editor.set(kept);
    queueMicrotask(() => ask(0));
    return true;
  }

  function changed(of) {
    if (of) touched.add(of.id);
    ask(PAUSE_MS);
    onchange();
  }

  function ask(pause) {
    clearTimeout(timer);
    asking?.abort();
    timer = setTimeout(() => judge().catch(() => {}), pause);
  }

  async function judge() {
    clearTimeout(timer);
    asking?.abort();
    asking = new AbortController();
    const own = asking;
    const wrong = local();
    if (asJson() && wrong.length) {
      errors = [];
    } else {
      try {
        errors = (await check(stringify(current()), own.signal)).errors;
      } catch (error) {
        if (own.signal.aborted) return false;
        const told = ofPayload(error);
        errors = told ?? [];
        show();
        if (!told) said.textContent = `Not checked: ${error.message}`;
        return false;
      }
    }
    if (own.signal.aborted) return false;
    show();
    return !errors.length && !wrong.length;
  }

  // The deepest field on the way to the place, and what is left of the way.
  function locate(pointer) {
    const segments = segmentsOf(pointer);
    let at = field;
    let depth = 0;
    while (depth < segments.length) {
      const next = at.child?.(segments[depth]);
      if (!next) break;
      at = next;
      depth += 1;
    }
    return { field: at, rest: pointerOf(segments.slice(depth)) };
  }

  function show() {
    const wrong = local();
    // Of what cannot be sent the field itself says more than the server.
    const refused = asJson() ? errors : errors.filter((each) => !wrong.some(({ field: its }) => its.id === locate(each.pointer).field.id));
    // What is missing stands at the field that is empty, and not at the object around it.
    const missing = refused.length && !asJson() ? missingIn(field) : [];
    const objects = new Set(missing.map((each) => each.around));
    const left = refused.filter((each) => !(MISSING.test(each.message) && objects.has(locate(each.pointer).field.id)));
    const count = wrong.length + left.length + missing.length;
    said.textContent = count ? `${count} ${count === 1 ? "problem" : "problems"}` : "Valid";
    said.classList.toggle("wrong", count > 0);
    replace(found, ...(asJson() ? errors.map((each) => h("li", {}, line(each.pointer, each.message))) : []));
    if (!asJson()) {
      const messages = new Map();
      const note = (of, message) => messages.set(of, [...(messages.get(of) ?? []), message]);
      for (const each of [...wrong, ...missing]) note(each.field.id, each.message);
      for (const each of left) {
        const { field: at, rest } = locate(each.pointer);
        note(at.id, line(rest, each.message));
      }
      const walk = (each) => {
        const seen = all || touched.has(each.id) || touched.has(each.control?.id);
        const told = seen ? (messages.get(each.id) ?? []) : [];
        each.show(told);
        if (told.length) reveal(each);
        for (const child of each.children?.() ?? []) walk(child);
      };
      walk(field);
    }
    if (all) summary.show([...wrong, ...left, ...missing]);
  }

  function jump(problem) {
    if (!problem.field && asJson()) return editor.focus();
    const to = problem.field ?? locate(problem.pointer).field;
    reveal(to);
    return to.focus();
  }

  place.addEventListener("focusout", (event) => {
    if (!event.target.id || !event.target.matches("input, select, textarea") || touched.has(event.target.id)) return;
    touched.add(event.target.id);
    if (errors.length) show();
    else ask(PAUSE_MS);
  });
  draw(value, fresh);
  return {
    element: h("div.schema-form", {}, summary.element, views.element, said),
    text() {
      const now = current();
      return now === undefined ? null : stringify(now);
    },
    async ready() {
      all = true;
      const right = await judge();
      if (right) return stringify(current());
      if (local().length || errors.length) summary.focus();
      return null;
    },
    /** What the server refused after all. */
    refuse(refused) {
      all = true;
      errors = refused;
      show();
      summary.focus();
    },
    set(next) {
      if (asJson()) editor.set(next);
      else draw(next, false);
      ask(0);
      onchange();
    },
    get schema() {
      return schema;
    },
  };
}

/** The fields of required members that are empty, as `{field, around, message, pointer}`. */
function missingIn(root) {
  const found = [];
  const walk = (each, path) => {
    for (const { name, field } of each.missing?.() ?? []) {
      found.push({ field, around: each.id, message: "this is missing", pointer: path + pointerOf([name]) });
    }
    for (const [name, child] of each.named?.() ?? []) walk(child, name === null ? path : path + pointerOf([name]));
  };
  walk(root, "");
  return found;
}

/** A field in a closed part of the form cannot be seen, or come to. */
function reveal(field) {
  const closed = field.element?.closest("details:not([open])");
  if (closed) closed.open = true;
}

/** What an ApiProblem says of the payload, places in it; null when it is about something else. */
export function ofPayload(problem) {
  if (problem.error === "invalid-payload") return problem.errors;
  if (problem.error !== "invalid-json" || !problem.errors.length) return null;
  return problem.errors.map(({ message, pointer }) => ({ message, pointer: pointer.replace(/^\/payload(?=\/|$)/, "") }));
}

function line(pointer, message) {
  return pointer ? [h("code", {}, h("bdi", {}, pointer)), ": ", message] : message;
}
