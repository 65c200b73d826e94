// Map rows: members of an object whose names the schema does not spell out. Nothing that was there is dropped.

import { h } from "../../element.js";
import { meant } from "../../pointer.js";
import { newId } from "./frame.js";

/** Null when there are no such members and there may be none. */
export function mapRows(context, { flat, values, depth, taken }) {
  const patterns = flat.get("patternProperties");
  const rest = flat.get("additionalProperties") ?? flat.get("unevaluatedProperties");
  // With one kind of value only it is clear which is meant; what a name has to look like is the server's to judge.
  const nodes = patterns instanceof Map ? [...patterns.values()] : [];
  const open = rest !== false || nodes.length > 0;
  const silent = rest === undefined && !nodes.length;
  if (!values.size && (!open || (silent && flat.has("properties")))) return null;
  const node = rest instanceof Map ? rest : nodes.length === 1 && rest === false ? nodes[0] : true;
  const rows = [];
  const list = h("ul.rows", {});

  function add(name, value, fresh) {
    const id = newId();
    const row = { name: () => input.value };
    const input = h("input", { id, type: "text", value: name, autocomplete: "off", spellcheck: "false", "aria-describedby": `${id}-twice` });
    const twice = h("p.problem", { id: `${id}-twice`, hidden: true }, "this name stands there twice");
    input.addEventListener("input", () => {
      for (const each of rows) each.look();
      context.changed(row.field);
    });
    row.look = () => {
      twice.hidden = !doubled(row);
      input.setAttribute("aria-invalid", String(doubled(row)));
    };
    row.field = context.draw({ node, name: "value", value, fresh, present: true, depth: depth + 1 });
    row.input = input;
    row.element = h("li.row", {},
      h("div.field", {}, h("label", { for: id }, "name"), input, twice),
      row.field.element,
      h("button.quiet", { type: "button", onclick: () => remove(row), "aria-label": "Remove this entry" }, "Remove"));
    rows.push(row);
    list.append(row.element);
    return row;
  }

  function remove(row) {
    const at = rows.indexOf(row);
    rows.splice(at, 1);
    row.element.remove();
    for (const each of rows) each.look();
    (rows[Math.min(at, rows.length - 1)]?.input ?? more).focus();
    context.changed(null);
  }

  const doubled = (row) => taken(row.name()) || rows.some((each) => each !== row && each.name() === row.name());
  const more = h("button.quiet", {
    type: "button",
    onclick: () => {
      add("", undefined, true).input.focus();
      context.changed(null);
    },
  }, "Add an entry");
  for (const [name, value] of values) add(name, value, false);
  return {
    element: h("div.map", {}, list, open ? more : null),
    entries: () => rows.map((row) => [row.name(), row.field.get() ?? null]),
    child: (segment) => rows.find((row) => meant(segment, row.name()))?.field ?? null,
    children: () => rows.map((row) => ({
      ...row.field,
      wrong: () => [...row.field.wrong(), ...(doubled(row) ? ["this name stands there twice"] : [])],
    })),
  };
}
