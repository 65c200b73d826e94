// Workflow form: the payload of a run, as JSON, prefilled with what its schema says, and the button that starts it.

import { part, request } from "../api.js";
import { h, replace } from "../element.js";
import { navigate, path } from "../router.js";
import { pretty, readJson } from "./json_text.js";

export async function workflowForm(name, schema, query, signal) {
  const errors = h("div", { role: "alert" });
  const text = h("textarea.mono", {
    id: "workflow-payload",
    rows: 8,
    spellcheck: "false",
    value: fromLink(query.get("payload")) ?? pretty(outline(schema)),
  });
  const send = h("button.primary", "Run");

  async function start(event) {
    event.preventDefault();
    replace(errors);
    try {
      readJson(text.value);
    } catch (error) {
      replace(errors, h("p.note.bad", `This is not JSON: ${error.message}`));
      text.focus();
      return;
    }
    send.disabled = true;
    try {
      // As it is written, so that large numbers stay as they are.
      const made = await (await request("POST", `/workflows/${part(name)}/execute`, { text: `{"payload": ${text.value}}`, signal })).json();
      await navigate(path("/workflow-runs/:id", { id: made.runId }));
    } catch (problem) {
      if (signal.aborted) return;
      const items = problem.errors.map((each) => h("li", h("code", each.pointer || "/"), ` ${each.message}`));
      replace(errors, h("div.note.bad", h("p", problem.message), items.length ? h("ul", items) : null));
    } finally {
      send.disabled = false;
    }
  }

  const described = Object.entries(schema?.properties ?? {});
  return h(
    "form.stack",
    { onsubmit: start },
    errors,
    described.length
      ? h("dl.facts", described.map(([key, each]) => [h("dt", h("code", key), (schema.required ?? []).includes(key) ? " (required)" : ""), h("dd", each.description ?? each.title ?? each.type ?? "")]))
      : null,
    h("div.field", h("label", { for: "workflow-payload" }, "Payload, as JSON"), text),
    h("div.row", send),
  );
}

/** What a payload could look like: the defaults, and nothing in the place of what is required. */
function outline(schema) {
  const found = {};
  for (const [key, each] of Object.entries(schema?.properties ?? {})) {
    if (each.default !== undefined) found[key] = each.default;
    else if ((schema.required ?? []).includes(key)) found[key] = { string: "", integer: 0, number: 0, boolean: false, array: [], object: {} }[each.type] ?? null;
  }
  return found;
}

function fromLink(text) {
  if (!text) return null;
  try {
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
    return pretty(readJson(new TextDecoder().decode(bytes)));
  } catch {
    return null;
  }
}
