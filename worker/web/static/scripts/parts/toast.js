// Toast: a short word on what was done, or why not. It goes by itself, except a bad one.

import { h } from "../element.js";
import { icon } from "./icon.js";

const SHOWN_MS = 6000;

/** `kind`: `ok` or `bad`; a bad one stays until it is closed. `more`: a link, say. */
export function toast(text, { kind = "ok", more = null } = {}) {
  const node = h(
    `.toast.${kind}`,
    { role: kind === "bad" ? "alert" : "status" },
    h("span", text, more ? " " : null, more),
    h("button.quiet.icon", { type: "button", "aria-label": "Close the message", onclick: () => node.remove() }, icon("close")),
  );
  document.getElementById("toasts").append(node);
  if (kind !== "bad") setTimeout(() => node.remove(), SHOWN_MS);
  return node;
}

/** What the API refused. */
export function toastProblem(problem) {
  const first = problem.errors?.[0];
  return toast(first ? `${problem.message}: ${first.message}` : problem.message, { kind: "bad" });
}
