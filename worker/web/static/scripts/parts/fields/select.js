// Select field: one of the constants that a schema names; any JSON may be one. And a boolean, which is one of two.

import { h } from "../../element.js";
import { equal } from "../../exact.js";
import { leaf } from "./frame.js";

export function selectField(context, options) {
  return chosen(context, options, options.constants);
}

/** As long as nothing was said it has three states: who says nothing has not said no. */
export function booleanField(context, options) {
  const { value, required, present, fresh } = options;
  if (value === undefined && !(fresh && (required || present))) {
    return chosen(context, options, [{ value: true, label: "yes" }, { value: false, label: "no" }]);
  }
  const field = leaf(options, (attributes) => h("input", { ...attributes, type: "checkbox" }));
  field.element.classList.add("check");
  const input = field.control;
  input.checked = value === true;
  input.addEventListener("change", () => context.changed(field));
  return { ...field, get: () => input.checked, wrong: () => [] };
}

/** Of `null` there is nothing to fill in. */
export function nullField(context, options) {
  const field = leaf(options, (attributes) => h("output", attributes, "nothing (null)"));
  return { ...field, focus: () => field.element.scrollIntoView({ block: "center" }), get: () => null, wrong: () => [] };
}

function chosen(context, options, constants) {
  const { flat, value, required, present } = options;
  const current = constants.findIndex((each) => equal(each.value, value));
  // A required constant is no choice.
  const only = constants.length === 1 && (required || present) && flat.has("const");
  const field = leaf(options, (attributes) => h("select", attributes,
    only ? null : h("option", { value: "" }, required || present ? "choose…" : "not set"),
    ...constants.map((each, index) => h("option", { value: String(index) }, each.label))));
  const select = field.control;
  select.value = current >= 0 ? String(current) : only ? "0" : "";
  select.addEventListener("change", () => context.changed(field));
  return {
    ...field,
    get: () => (select.value === "" ? undefined : constants[Number(select.value)].value),
    wrong: () => [],
  };
}
