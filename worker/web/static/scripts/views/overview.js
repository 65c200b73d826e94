// Overview: what waits, what runs, and what needs a look.

import { api } from "../api.js";
import { h, replace } from "../element.js";
import { badge } from "../parts/badge.js";
import { empty } from "../parts/states.js";
import { may } from "../session.js";

export function title() {
  return "Overview";
}

export async function show(root, params, query, signal) {
  const status = may("workers:read") ? await api.get("/status", {}, { signal }) : null;
  replace(
    root,
    h("h1", "Overview"),
    status
      ? h("section.card", h("h2", "Tasks"), h(".row", Object.entries(status.tasks).map(([name, n]) => badge(name, `${n} ${name}`))))
      : empty("This key may not see the state of the whole. What it may see is in the bar above."),
  );
}
