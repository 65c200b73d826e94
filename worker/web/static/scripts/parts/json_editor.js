// JSON editor: a text that has to be JSON. Says where it is not; keeps every number and every name as it is written.

import { h } from "../element.js";
import { JsonError, parse, stringify } from "../exact.js";

let made = 0;

/**
 * `value` undefined: an empty text, which is no value. `labelledBy` is the id of what names it.
 * Returns `{element, control, value(), text(), problem(), set(value), focus()}`; `value()` is undefined for what is no JSON.
 */
export function jsonEditor({ value, label = "JSON", labelledBy, describedBy = "", rows = 6, onchange = () => {} }) {
  const id = `json-editor-${(made += 1)}`;
  const said = h("p.problem", { id: `${id}-problem`, "aria-live": "polite" });
  const control = h("textarea.code", {
    id,
    rows,
    spellcheck: "false",
    autocomplete: "off",
    autocapitalize: "off",
    wrap: "off",
    ...(labelledBy ? { "aria-labelledby": labelledBy } : { "aria-label": label }),
    "aria-describedby": `${describedBy} ${id}-problem`.trim(),
  });
  let state = { value: undefined, problem: null };

  function read() {
    const text = control.value;
    try {
      state = { value: text.trim() ? parse(text) : undefined, problem: null };
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      state = { value: undefined, problem: error };
    }
    said.textContent = state.problem ? `This is no JSON: ${state.problem.message}` : "";
    said.hidden = !state.problem;
    control.setAttribute("aria-invalid", String(Boolean(state.problem)));
  }

  function set(next) {
    control.value = next === undefined ? "" : stringify(next, "  ");
    read();
  }

  control.addEventListener("input", () => {
    read();
    onchange();
  });
  const tidy = h("button.quiet", {
    type: "button",
    onclick: () => {
      if (state.problem) control.focus();
      else set(state.value);
    },
  }, "Tidy up");
  set(value);
  return {
    element: h("div.json-editor", {}, control, said, h("div.field-tools", {}, tidy)),
    control,
    value: () => state.value,
    text: () => control.value,
    problem: () => state.problem?.message ?? null,
    set,
    focus() {
      control.focus();
      if (state.problem) control.setSelectionRange(state.problem.at, state.problem.at + 1);
    },
  };
}
