// Text field: a string. Empty is absent, unless the schema lets an empty text through and somebody asks for it.

import { h } from "../../element.js";
import { leaf } from "./frame.js";

// What the records show in the place of a secret; it is nobody's value.
const MASK = "***";
const INPUTS = new Map([["email", "email"], ["uri", "url"], ["date", "date"]]);
const PLACEHOLDERS = new Map([
  ["date-time", "2026-01-31T12:00:00Z"],
  ["time", "12:00:00Z"],
  ["duration", "PT1H30M"],
  ["uuid", "00000000-0000-0000-0000-000000000000"],
]);
const LONG = 1000;

/** Whether an input shows this text as it is: browsers cut lines and blanks, and a date picker shows dates alone. */
export function showable(value) {
  return !value.includes("\r") && !value.includes("\0");
}

export function textField(context, options) {
  const { flat, value, present } = options;
  const secret = isSecret(flat);
  const kept = secret && value === MASK ? "" : (value ?? "");
  const mayBeEmpty = !secret && !flat.has("format") && !flat.has("pattern") && !(Number(flat.get("minLength")?.text) > 0);
  let empty = value === "";
  const toggle = h("input", { type: "checkbox", checked: empty });
  const asEmpty = h("label.empty-text", { hidden: true }, toggle, " as an empty text");

  const field = leaf(options, (attributes) => {
    const kind = secret ? "password" : typeFor(flat, kept);
    const input = kind === "textarea"
      ? h("textarea", { ...attributes, rows: Math.min(12, Math.max(3, kept.split("\n").length)) })
      : h("input", {
        ...attributes,
        type: kind,
        autocomplete: secret ? "new-password" : "off",
        ...(PLACEHOLDERS.has(flat.get("format")) ? { placeholder: PLACEHOLDERS.get(flat.get("format")) } : {}),
        ...(secret && value === MASK ? { placeholder: "not kept: type it again" } : {}),
      });
    if (kind !== "textarea" && kind !== "password") input.setAttribute("spellcheck", "false");
    input.value = kept;
    return Object.assign(h("div.control", {}, input, asEmpty), { input });
  });
  const input = field.control;
  const offer = () => {
    asEmpty.hidden = !(mayBeEmpty && !present && !input.value && (empty || options.required));
  };
  input.addEventListener("input", () => {
    if (input.value) toggle.checked = empty = false;
    offer();
    context.changed(field);
  });
  toggle.addEventListener("change", () => {
    empty = toggle.checked;
    context.changed(field);
  });
  offer();
  return {
    ...field,
    get: () => (input.value || present || empty ? input.value : undefined),
    wrong: () => (input.validity.badInput ? ["this is not complete"] : []),
  };
}

export function isSecret(flat) {
  return flat.get("writeOnly") === true || flat.get("format") === "password";
}

function typeFor(flat, value) {
  if (value.includes("\n") || flat.get("x-multiline") === true || flat.get("contentMediaType") || isLong(flat)) return "textarea";
  const kind = INPUTS.get(flat.get("format"));
  if (!kind || value !== value.trim() || (kind === "date" && value && !/^\d{4}-\d\d-\d\d$/.test(value))) return "text";
  return kind;
}

const isLong = (flat) => Number(flat.get("maxLength")?.text) > LONG && !flat.has("pattern") && !flat.has("format");
