// Object field: a fieldset with a field for each property, and rows for the names that the schema leaves open.

import { h } from "../../element.js";
import { group } from "./frame.js";
import { meant } from "../../pointer.js";
import { mapRows } from "./map.js";

export function objectField(context, options) {
  const { flat, value = new Map(), depth } = options;
  const required = new Set(flat.get("required") ?? []);
  const declared = context.schema.properties(flat);
  const members = new Map();
  for (const [name, node] of declared) {
    if (node === false || context.omitted(depth, name, value)) continue;
    members.set(name, context.draw({
      node,
      name,
      value: value.get(name),
      fresh: options.fresh,
      required: required.has(name),
      depth: depth + 1,
    }));
  }
  const others = new Map([...value].filter(([name]) => !members.has(name)));
  const rows = mapRows(context, { flat, values: others, depth, taken: (name) => members.has(name) });
  const shown = (further) => [...members].filter(([name]) => context.further(depth, name) === further).map(([, field]) => field.element);
  const more = shown(true);
  const frame = group(options, shown(false), more.length ? h("details.further", h("summary", "More"), h("div.content", more)) : null, rows?.element);
  return {
    ...frame,
    focus: () => {
      const first = [...members.values()][0];
      if (first && !frame.element.classList.contains("wrong")) first.focus();
      else frame.focus();
    },
    get() {
      const found = new Map();
      for (const [name, field] of members) {
        const member = field.get();
        if (member !== undefined) found.set(name, member);
      }
      for (const [name, member] of rows?.entries() ?? []) if (!found.has(name)) found.set(name, member);
      return found;
    },
    wrong: () => [],
    child(segment) {
      for (const [name, field] of members) if (meant(segment, name)) return field;
      return rows?.child(segment) ?? null;
    },
    children: () => [...members.values(), ...(rows?.children() ?? [])],
    named: () => [...members],
    missing: () => [...members].filter(([name, field]) => required.has(name) && field.get() === undefined).map(([name, field]) => ({ name, field })),
  };
}
