// Workflow form: the payload of a run, made from the workflow's schema, and the button that starts it.

import { part, request } from "../api.js";
import { h } from "../element.js";
import { navigate, path } from "../router.js";
import { prefilled } from "../prefill.js";
import { Schema } from "../schema.js";
import { schemaForm } from "./form.js";

/** `document`: its schema as `parse` of exact.js gives it; a workflow without one takes any object. */
export function workflowForm(name, document, query, signal) {
  const root = document instanceof Map ? document : new Map([["type", "object"]]);
  const given = prefilled(query, new Schema(root));
  const complaint = h("p.note.bad", { role: "alert", hidden: !given.problem }, given.problem ?? "");
  const button = h("button.primary", { type: "submit" }, "Run");
  const form = schemaForm({
    document: root,
    value: given.value,
    fresh: given.fresh,
    // Nothing judges it before it is sent: what is wrong with it comes with the answer.
    check: async () => ({ valid: true, errors: [] }),
    signal,
  });

  async function start(event) {
    event.preventDefault();
    if (button.getAttribute("aria-disabled") === "true") return;
    complain("");
    button.setAttribute("aria-disabled", "true");
    try {
      const text = await form.ready();
      if (text === null) return;
      const answer = await request("POST", `/workflows/${part(name)}/execute`, { text: `{"payload":${text}}`, signal });
      const made = await answer.json();
      await navigate(path("/workflow-runs/:id", { id: made.runId }));
    } catch (problem) {
      if (signal.aborted) return;
      if (problem.errors?.length) form.refuse(problem.errors);
      else complain(problem.message);
    } finally {
      button.setAttribute("aria-disabled", "false");
    }
  }

  function complain(text) {
    complaint.textContent = text;
    complaint.hidden = !text;
  }

  return h("form.stack", { novalidate: true, onsubmit: start, "aria-label": "Start a run" }, complaint, form.element, h("div.row", button));
}
