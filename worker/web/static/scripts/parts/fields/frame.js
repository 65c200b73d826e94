// Frame: what stands around every field of a form: its name, whether it is required, its help, and what is wrong with it.

import { h, replace } from "../../element.js";

let made = 0;

export function newId() {
  return `field-${(made += 1)}`;
}

const plain = (text) => text.toLowerCase().replace(/[\s_-]/g, "");

/** What is called by a name; direction marks in it stay inside of it. */
export function nameOf({ title, name, required }) {
  const parts = [h("bdi", {}, title || name)];
  if (title && name && plain(title) !== plain(name)) parts.push(" ", h("code.name", {}, h("bdi", {}, name)));
  if (required) parts.push(" ", h("span.required", {}, "required"));
  return parts;
}

/** The keywords that a person should know of before the server says so. */
export function hintsOf(flat) {
  const said = [];
  const text = (keyword) => flat.get(keyword)?.text ?? flat.get(keyword);
  const between = (least, most, unit) => {
    const one = [least, most].every((keyword) => !flat.has(keyword) || text(keyword) === "1");
    if (one) unit = unit.replace(/ies$/, "y").replace(/s$/, "");
    if (flat.has(least) && flat.has(most)) said.push(`${text(least)} to ${text(most)}${unit}`);
    else if (flat.has(least)) said.push(`at least ${text(least)}${unit}`);
    else if (flat.has(most)) said.push(`at most ${text(most)}${unit}`);
  };
  between("minimum", "maximum", "");
  if (flat.has("exclusiveMinimum")) said.push(`more than ${text("exclusiveMinimum")}`);
  if (flat.has("exclusiveMaximum")) said.push(`less than ${text("exclusiveMaximum")}`);
  if (flat.has("multipleOf")) said.push(`a multiple of ${text("multipleOf")}`);
  if (text("minLength") !== "1" || flat.has("maxLength")) between("minLength", "maxLength", " characters");
  between("minItems", "maxItems", " entries");
  if (flat.get("uniqueItems") === true) said.push("no entry twice");
  if (typeof flat.get("format") === "string" && flat.get("format") !== "password") said.push(`format ${flat.get("format")}`);
  // For people a description says it; without one a pattern is better than nothing.
  if (typeof flat.get("pattern") === "string" && !flat.get("description")) said.push(`pattern ${flat.get("pattern")}`);
  const examples = flat.get("examples");
  if (Array.isArray(examples) && typeof examples[0] === "string") said.push(`for example ${examples[0]}`);
  if (flat.get("deprecated") === true) said.push("deprecated");
  return said.join("; ");
}

function help(id, flat) {
  const description = flat.get("description");
  const hints = hintsOf(flat);
  return [
    typeof description === "string" && description ? h("p.help", { id: `${id}-help` }, description) : null,
    hints ? h("p.help.hints", { id: `${id}-hints` }, hints) : null,
  ];
}

const describedBy = (id, parts) => [...parts.filter(Boolean).map((part) => part.id), `${id}-errors`].join(" ");

/** A field with one control. `control` is made with the id and `aria-describedby` that it is given. */
export function leaf({ flat, name, required, untitled = false }, make) {
  const id = newId();
  const helps = help(id, flat);
  const errors = h("ul.errors", { id: `${id}-errors` });
  const title = flat.get("title");
  const control = make({ id, "aria-describedby": describedBy(id, helps), ...(required ? { "aria-required": "true" } : {}) });
  const label = h("label", { for: id, ...(untitled ? { class: "visually-hidden" } : {}) },
    ...nameOf({ title: typeof title === "string" ? title : "", name, required: required && !untitled }));
  const element = h("div.field", {}, label, control, ...helps, errors);
  const field = control.input ?? control;
  return {
    id,
    element,
    control: field,
    focus: () => field.focus(),
    show: (messages) => showErrors(element, errors, field, messages),
  };
}

/** A field that holds others: a fieldset, whose legend is its name. */
export function group({ flat, name, required, untitled = false, tools = [] }, ...body) {
  const id = newId();
  const helps = help(id, flat);
  const errors = h("ul.errors", { id: `${id}-errors` });
  const title = flat.get("title");
  const legend = h("legend", { id: `${id}-legend`, tabindex: "-1", ...(untitled ? { class: "visually-hidden" } : {}) },
    ...nameOf({ title: typeof title === "string" ? title : "", name, required: required && !untitled }));
  const content = h("div.content", {}, ...body);
  const element = h("fieldset.group", { id, "aria-describedby": describedBy(id, helps) }, legend,
    tools.length ? h("div.field-tools", {}, ...tools) : null, ...helps, errors, content);
  return {
    id,
    element,
    content,
    legendId: `${id}-legend`,
    focus: () => legend.focus(),
    show: (messages) => showErrors(element, errors, null, messages),
  };
}

function showErrors(element, errors, control, messages) {
  replace(errors, ...messages.map((message) => h("li", {}, message)));
  element.classList.toggle("wrong", messages.length > 0);
  if (control) control.setAttribute("aria-invalid", String(messages.length > 0));
}
