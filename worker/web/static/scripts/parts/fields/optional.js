// Optional field: an object, an array or a choice that may be absent. It is drawn when somebody asks for it, so that
// a schema that refers to itself ends somewhere.

import { h, replace } from "../../element.js";
import { nameOf, newId } from "./frame.js";

export function optionalField(context, options, make) {
  const { flat, name, value } = options;
  const id = newId();
  const title = typeof flat.get("title") === "string" ? flat.get("title") : "";
  const place = h("div.optional", {});
  let inner = null;

  const add = h("button.quiet", { id, type: "button", onclick: () => { show(undefined, true); inner.focus(); context.changed(null); } },
    "Add ", ...nameOf({ title, name }));
  const errors = h("ul.errors", {});

  function show(of, fresh) {
    const remove = h("button.quiet", { type: "button", onclick: away }, "Remove ", h("bdi", {}, title || name));
    inner = make({ ...options, value: of, fresh, tools: [remove] });
    replace(place, inner.element);
  }

  function away() {
    inner = null;
    replace(place, add, errors);
    add.focus();
    context.changed(null);
  }

  if (value === undefined) replace(place, add, errors);
  else show(value, false);
  return {
    id,
    element: place,
    get control() {
      return inner ? inner.control : add;
    },
    focus: () => (inner ?? add).focus(),
    get: () => inner?.get(),
    wrong: () => inner?.wrong() ?? [],
    show(messages) {
      if (inner) inner.show(messages);
      else replace(errors, ...messages.map((message) => h("li", {}, message)));
    },
    child: (segment) => inner?.child?.(segment) ?? null,
    children: () => inner?.children?.() ?? [],
    named: () => inner?.named?.() ?? [],
    missing: () => inner?.missing?.() ?? [],
  };
}
