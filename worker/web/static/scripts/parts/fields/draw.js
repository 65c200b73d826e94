// Draw: which field is for a place of a schema, and for the value that is there. What fits none is shown as JSON.

import { replace } from "../../element.js";
import { typeOf } from "../../exact.js";
import { arrayField } from "./array.js";
import { choiceField } from "./choice.js";
import { objectField } from "./object.js";
import { optionalField } from "./optional.js";
import { rawField } from "./raw.js";
import { booleanField, nullField, selectField } from "./select.js";
import { numberField } from "./number.js";
import { showable, textField } from "./text.js";

// Objects in objects that are all required: no payload is deeper on the server.
const DEPTH = 30;
// More rows than that nobody fills in, and a browser takes seconds to draw: they are edited as JSON.
const ROWS = 200;
const TEXT = ["minLength", "maxLength", "pattern", "format"];
const NUMBERS = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
const PLAIN = new Map([
  ["string", textField],
  ["number", numberField],
  ["integer", numberField],
  ["boolean", booleanField],
  ["null", nullField],
]);

/**
 * The context of a form's fields. `changed(field)` is told of every change; `omit` are names of the root that the page
 * asks for in another way, unless the payload has them; `further` those that few people say anything about.
 */
export function contextOf({ schema, changed, omit = [], further = [] }) {
  const context = {
    schema,
    changed,
    omitted: (depth, name, value) => depth === 0 && omit.includes(name) && !value.has(name),
    further: (depth, name) => depth === 0 && further.includes(name),
    draw: (options) => draw(context, options),
  };
  return context;
}

function draw(context, { node, name, value, fresh = false, required = false, present = false, inner = false, depth }) {
  const flat = context.schema.flat(node);
  if (fresh && value === undefined && flat.has("default")) value = flat.get("default");
  const options = { node, flat: inner ? untold(flat) : flat, name, value, fresh, required, present, untitled: inner, depth };
  if (node === false || depth > DEPTH) return rawField(context, options);

  const constants = context.schema.constants(flat);
  if (constants) return orRaw(context, { ...options, constants }, selectField, () => value === undefined || context.schema.fits(node, value));

  const alternatives = context.schema.alternatives(flat);
  if (alternatives?.length) return mayBeAbsent(context, { ...options, alternatives }, choiceField);

  const type = typeFor(flat);
  if (type === "object") return orRaw(context, options, (ctx, its) => mayBeAbsent(ctx, its, objectField), (it) => it instanceof Map && it.size <= ROWS);
  if (type === "array") return orRaw(context, options, (ctx, its) => mayBeAbsent(ctx, its, arrayField), (it) => Array.isArray(it) && it.length <= ROWS);
  const make = PLAIN.get(type);
  return make ? orRaw(context, options, make, (it) => holds(type, it)) : rawField(context, options);
}

// The chooser around it has said what it is.
function untold(flat) {
  const found = new Map(flat);
  found.delete("description");
  return found;
}

function mayBeAbsent(context, options, make) {
  const asked = options.required || options.present;
  return asked ? make(context, options) : optionalField(context, options, (its) => make(context, its));
}

// A value of another kind stays as it is, as JSON, until somebody asks for the field.
function orRaw(context, options, make, fits) {
  if (options.value === undefined || fits(options.value)) return make(context, options);
  let current = null;
  const place = document.createElement("div");
  const back = (value) => {
    current = make(context, { ...options, value: fits(value) ? value : undefined });
    replace(place, current.element);
    current.focus();
    context.changed(current);
  };
  current = rawField(context, { ...options, back });
  replace(place, current.element);
  return {
    get id() {
      return current.id;
    },
    get control() {
      return current.control;
    },
    element: place,
    focus: () => current.focus(),
    get: () => current.get(),
    wrong: () => current.wrong(),
    show: (messages) => current.show(messages),
    child: (segment) => current.child?.(segment) ?? null,
    children: () => current.children?.() ?? [],
    named: () => current.named?.() ?? [],
    missing: () => current.missing?.() ?? [],
  };
}

function holds(type, value) {
  const found = typeOf(value);
  if (type === "number" || type === "integer") return found === "number" || found === "integer";
  return found === type && (type !== "string" || showable(value));
}

function typeFor(flat) {
  const said = flat.get("type");
  if (typeof said === "string") return said;
  if (Array.isArray(said) && said.length === 1) return said[0];
  if (flat.has("properties") || flat.get("additionalProperties") instanceof Map || flat.has("patternProperties")) return "object";
  if (flat.has("items") || flat.has("prefixItems")) return "array";
  if (TEXT.some((keyword) => flat.has(keyword)) || flat.get("writeOnly") === true) return "string";
  return NUMBERS.some((keyword) => flat.has(keyword)) ? "number" : null;
}
