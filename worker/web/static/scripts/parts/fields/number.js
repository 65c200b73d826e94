// Number field: the digits stay text from the keyboard to the server, so that no float rounds them.

import { h } from "../../element.js";
import { Exact, INTEGER, NUMBER } from "../../exact.js";
import { leaf } from "./frame.js";
import { isSecret } from "./text.js";

export function numberField(context, options) {
  const { flat, value } = options;
  const whole = flat.get("type") === "integer";
  const field = leaf(options, (attributes) => h("input", {
    ...attributes,
    type: isSecret(flat) ? "password" : "text",
    inputmode: whole ? "numeric" : "decimal",
    autocomplete: isSecret(flat) ? "new-password" : "off",
    spellcheck: "false",
  }));
  const input = field.control;
  input.value = value === undefined ? "" : value.text;
  input.addEventListener("input", () => context.changed(field));
  const text = () => input.value.trim().replace(/^\+(?=\d)/, "");
  // `4.0` and `1e3` are integers, too; whether one is, the server says.
  const wrong = () => {
    if (!text() || NUMBER.test(text())) return [];
    return [whole ? "this is no whole number: write digits only" : "this is no number: write digits, with a point for decimals"];
  };
  return {
    ...field,
    get: () => (!text() ? undefined : INTEGER.test(text()) || NUMBER.test(text()) ? new Exact(text()) : text()),
    wrong,
  };
}
