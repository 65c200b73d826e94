// Raw field: a value for which there is no field, as JSON with the same check as all others.

import { h } from "../../element.js";
import { jsonEditor } from "../json_editor.js";
import { group } from "./frame.js";

/** `back`: draws a field in its place, when there is one and only the value that was there did not fit it. */
export function rawField(context, options) {
  const { value, back } = options;
  let editor = null;
  const frame = group({
    ...options,
    tools: back ? [h("button.quiet", { type: "button", onclick: () => back(editor.value()) }, "Put a form field in its place")] : [],
  });
  editor = jsonEditor({
    value,
    labelledBy: frame.legendId,
    describedBy: frame.element.getAttribute("aria-describedby"),
    onchange: () => context.changed(frame),
  });
  frame.content.append(editor.element);
  return {
    ...frame,
    control: editor.control,
    focus: editor.focus,
    get: editor.value,
    wrong: () => (editor.problem() ? ["this is no JSON"] : []),
  };
}
