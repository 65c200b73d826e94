// Script: what it is, who may run it, how it went lately, and the form that runs it.

import { api, part, request } from "../api.js";
import { h, replace } from "../element.js";
import { parse, stringify } from "../exact.js";
import { confirm } from "../parts/dialog.js";
import { ofPayload, schemaForm } from "../parts/form.js";
import { recentTasks } from "../parts/recent_tasks.js";
import { runOptions } from "../parts/run_options.js";
import { scriptFacts } from "../parts/script_facts.js";
import { scriptVersions } from "../parts/script_versions.js";
import { tabs } from "../parts/tabs.js";
import { targetPicker } from "../parts/target_picker.js";
import { toast, toastProblem } from "../parts/toast.js";
import { linkOf, prefilled } from "../prefill.js";
import { navigate, path } from "../router.js";
import { Schema } from "../schema.js";
import { may } from "../session.js";
import { states } from "./scripts.js";

export function title(params) {
  return params.name;
}

export async function show(root, params, query, signal) {
  const at = `/scripts/${part(params.name)}`;
  const [script, document] = await Promise.all([
    api.get(at, {}, { signal }),
    request("GET", `${at}/schema`, { signal }).then((answer) => answer.text()).then(parse),
  ]);
  const mine = may("scripts:write") || may(`scripts:write:${script.name}`);
  replace(
    root,
    h("div.spread", h("h1", h("bdi", script.title || script.name)), states(script)),
    h("p.row", h("code", script.name),
      script.category ? h("a.tag", { href: `/scripts?category=${encodeURIComponent(script.category)}` }, h("bdi", script.category)) : null,
      script.tags.map((each) => h("a.tag", { href: `/scripts?tag=${encodeURIComponent(each)}` }, h("bdi", each)))),
    script.description ? h("p.prose", script.description) : null,
    h("div.columns.run-columns",
      runForm({ script, document, query, at, signal }),
      h("div.stack",
        may("tasks:read") ? recentTasks(script.name, signal) : null,
        scriptFacts(script),
        script.source === "registered" && mine ? scriptVersions(script, signal) : null,
        h("details.card", h("summary", "Schema"), h("pre.code", { tabindex: "0" }, stringify(document, "  "))))),
  );
}

function runForm({ script, document, query, at, signal }) {
  const allowed = may(`scripts:execute:${script.name}`) && (!script.allowedScopes.length || script.allowedScopes.some(may));
  const schema = new Schema(document);
  const given = prefilled(query, schema);
  const form = schemaForm({
    document,
    value: given.value,
    fresh: given.fresh,
    // It has a button of its own.
    omit: script.dryRun ? ["dryRun"] : [],
    check: async (text, its) => {
      const answer = await request("POST", `${at}/validate`, { text: `{"payload":${text}}`, signal: its });
      return answer.json();
    },
    signal,
  });
  const options = runOptions();
  const target = targetPicker(script.name, query.getAll("target"), signal);
  const complaint = h("p.note.bad", { role: "alert", hidden: !given.problem }, given.problem ?? "");
  const outcome = h("div", { role: "status" });
  const run = h("button.primary", { type: "submit" }, "Run");
  const dry = script.dryRun ? h("button", { type: "button", onclick: () => send("dry-run") }, "Dry run") : null;
  const buttons = [run, dry].filter(Boolean);
  const off = whyNot(script, allowed);
  if (off) for (const each of buttons) each.disabled = true;
  // One for each payload that is sent: a second click, or a try after an answer that was lost, makes no second task.
  let sent = { text: null, key: null };

  async function send(route) {
    if (off || run.getAttribute("aria-disabled") === "true") return;
    complain("");
    options.clear();
    target.clear();
    busy(true);
    try {
      const text = await form.ready();
      if (text === null) return;
      if (route === "execute" && !(await confirmed(document, script))) return;
      if (!(await target.confirmed())) return;
      const more = options.text() + target.text();
      const body = `{"payload":${text},${more}"idempotencyKey":${JSON.stringify(keyFor(route + text + more))}}`;
      const watch = may("tasks:read");
      const answer = await request("POST", `${at}/${route}`, { text: body, query: watch ? { async: true } : {}, signal });
      const task = await answer.json();
      sent = { text: null, key: null };
      if (watch) await navigate(path("/tasks/:id", { id: task.taskId }));
      else replace(outcome, h("p.note.ok", `Task ${task.taskId}: ${task.status}`));
    } catch (problem) {
      if (signal.aborted) return;
      const told = ofPayload(problem);
      if (told) form.refuse(told);
      else if (!options.refuse(problem) && !target.refuse(problem)) complain([problem.message, ...(problem.errors ?? []).map((each) => each.message)].join(": "));
    } finally {
      busy(false);
    }
  }

  function keyFor(text) {
    if (sent.text !== text) sent = { text, key: newKey() };
    return sent.key;
  }

  function busy(on) {
    for (const each of buttons) each.setAttribute("aria-disabled", String(on));
  }

  function complain(text) {
    complaint.textContent = text;
    complaint.hidden = !text;
  }

  async function copyLink() {
    const link = linkOf(form.text() ?? "{}");
    if (!link) return toast("The payload is too long for a link.", { kind: "bad" });
    try {
      await navigator.clipboard.writeText(new URL(location.pathname + link, location.origin).href);
      return toast("The link is copied. It fills in what stands here now.");
    } catch (problem) {
      return toastProblem(problem);
    }
  }

  const examples = document.get("examples");
  return h("form.card.run-form", {
    novalidate: true,
    "aria-label": "Run",
    onsubmit: (event) => {
      event.preventDefault();
      send("execute");
    },
  },
  h("div.spread", h("h2", "Run"),
    h("div.row",
      Array.isArray(examples) ? examples.slice(0, 3).map((each, index) => h("button.quiet", { type: "button", onclick: () => form.set(each) },
        examples.length > 1 ? `Example ${index + 1}` : "Fill in the example")) : null,
      // A secret does not belong into an address.
      script.hasSecrets ? null : h("button.quiet", { type: "button", onclick: copyLink }, "Copy link"))),
  off ? h("p.note.warn", off) : null,
  complaint, form.element, target.element, options.element, h("div.row", buttons), outcome);
}

function whyNot(script, allowed) {
  if (!script.enabled) return "This script is switched off: nothing runs it.";
  if (!allowed) return "Who you are logged in as may not run this script.";
  return null;
}

/** `x-confirm` at the root of the schema: what somebody has to agree to first. */
async function confirmed(document, script) {
  const text = document.get("x-confirm");
  if (text === undefined || text === false) return true;
  const question = typeof text === "string" && text ? text : "This script asks to be confirmed before it runs.";
  return confirm(`Run ${script.title || script.name}?`, question, { action: "Run it" });
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (each) => each.toString(16).padStart(2, "0")).join("");
}
