// Choice field: one of several forms (oneOf, anyOf, several types). What was typed into another one is kept for the way back.

import { h, replace } from "../../element.js";
import { group } from "./frame.js";

export function choiceField(context, options) {
  const { alternatives, value, depth, fresh } = options;
  const { schema } = context;
  const kept = new Map();
  let current = 0;
  let inner = null;
  if (value !== undefined) {
    const found = alternatives.findIndex((each) => schema.fits(each.node, value));
    current = found < 0 ? nearest(value) : found;
  }
  const place = h("div.alternative", {});
  const select = h("select", {}, ...alternatives.map((each, index) => h("option", { value: String(index) }, each.label || `form ${index + 1}`)));
  select.value = String(current);
  const frame = group(options, h("div.field.chooser", {}, select), place);
  select.setAttribute("aria-labelledby", frame.legendId);

  // None fits a value that is wrong somewhere: the one that knows most of its names.
  function nearest(wrong) {
    if (!(wrong instanceof Map)) return 0;
    const known = alternatives.map((each) => {
      const properties = schema.properties(schema.flat(each.node));
      return [...wrong].filter(([name, member]) => properties.has(name) && schema.fits(properties.get(name), member)).length;
    });
    return known.indexOf(Math.max(...known));
  }

  function draw(of, isFresh) {
    const { node } = alternatives[current];
    inner = context.draw({ node, name: alternatives[current].label || options.name, value: of, fresh: isFresh, required: true, present: options.present, inner: true, depth: depth + 1 });
    replace(place, inner.element);
  }

  // Members that both forms have go along.
  function carried(from) {
    if (!(from instanceof Map)) return undefined;
    const properties = schema.properties(schema.flat(alternatives[current].node));
    const shared = [...from].filter(([name, member]) => properties.has(name) && schema.fits(properties.get(name), member));
    return shared.length ? new Map(shared) : undefined;
  }

  select.addEventListener("change", () => {
    const before = inner.get();
    if (!inner.wrong().length) kept.set(current, before);
    current = Number(select.value);
    const shared = carried(before);
    const mine = kept.get(current);
    if (mine instanceof Map && shared) draw(new Map([...mine, ...shared]), true);
    else draw(mine ?? shared, true);
    context.changed(frame);
  });
  draw(value, fresh);
  return {
    ...frame,
    control: select,
    focus: () => select.focus(),
    get: () => inner.get(),
    wrong: () => [],
    // It is one place with what is in it: a message about the whole stands at the chooser.
    child: (segment) => inner.child?.(segment) ?? null,
    children: () => [inner],
    named: () => [[null, inner]],
  };
}
