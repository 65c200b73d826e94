// Array field: entries that are added, removed and moved with buttons, or with Alt and the arrow keys.

import { h } from "../../element.js";
import { group } from "./frame.js";

// Entries that are there from the start, because the schema asks for so many.
const GIVEN = 20;

export function arrayField(context, options) {
  const { flat, value, fresh, depth } = options;
  const prefix = Array.isArray(flat.get("prefixItems")) ? flat.get("prefixItems") : [];
  const rest = flat.get("items") ?? true;
  const most = Number(flat.get("maxItems")?.text ?? Infinity);
  const rows = [];
  const list = h("ol.rows", {});
  const more = h("button.quiet", { type: "button", onclick: () => added() }, "Add an entry");
  const frame = group(options, list, more);

  function row(entry, isNew) {
    const node = prefix[rows.length] ?? rest;
    const found = { field: context.draw({ node, name: String(rows.length + 1), value: entry, fresh: isNew, present: true, depth: depth + 1 }) };
    found.up = h("button.quiet", { type: "button", onclick: () => move(found, -1, found.up) }, "↑");
    found.down = h("button.quiet", { type: "button", onclick: () => move(found, 1, found.down) }, "↓");
    found.gone = h("button.quiet", { type: "button", onclick: () => remove(found) }, "✕");
    found.element = h("li.row", {}, found.field.element,
      h("div.field-tools", {}, prefix.length ? null : found.up, prefix.length ? null : found.down, found.gone));
    found.element.addEventListener("keydown", (event) => {
      if (!event.altKey || prefix.length || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      move(found, event.key === "ArrowUp" ? -1 : 1, document.activeElement);
    });
    rows.push(found);
    list.append(found.element);
    return found;
  }

  function renumber() {
    rows.forEach((each, index) => {
      const place = index + 1;
      each.up.setAttribute("aria-label", `Move entry ${place} up`);
      each.down.setAttribute("aria-label", `Move entry ${place} down`);
      each.gone.setAttribute("aria-label", `Remove entry ${place}`);
      // Not `disabled`: a button that is would lose the focus in the middle of a move.
      each.up.setAttribute("aria-disabled", String(index === 0));
      each.down.setAttribute("aria-disabled", String(index === rows.length - 1));
      each.field.renamed?.(String(place));
    });
    more.hidden = rows.length >= most || (rest === false && rows.length >= prefix.length);
  }

  function added() {
    const found = row(undefined, true);
    renumber();
    found.field.focus();
    context.changed(null);
  }

  function remove(found) {
    const at = rows.indexOf(found);
    rows.splice(at, 1);
    found.element.remove();
    renumber();
    (rows[Math.min(at, rows.length - 1)]?.gone ?? more).focus();
    context.changed(null);
  }

  function move(found, by, focused) {
    const from = rows.indexOf(found);
    const to = from + by;
    if (to < 0 || to >= rows.length) return;
    rows.splice(from, 1);
    rows.splice(to, 0, found);
    list.insertBefore(found.element, rows[to + 1]?.element ?? null);
    renumber();
    focused.focus();
    context.changed(null);
  }

  for (const entry of value ?? []) row(entry, false);
  const least = Math.min(GIVEN, Number(flat.get("minItems")?.text ?? 0));
  if (fresh && value === undefined) while (rows.length < least) row(undefined, true);
  renumber();
  return {
    ...frame,
    focus: () => (rows[0]?.field ?? frame).focus(),
    get: () => rows.map((each) => each.field.get() ?? null),
    wrong: () => [],
    child: (segment) => rows[Number(segment)]?.field ?? null,
    children: () => rows.map((each) => each.field),
    named: () => rows.map((each, index) => [String(index), each.field]),
  };
}
