// States: what stands in the place of something that is not there: yet, at all, or for this reader.

import { h } from "../element.js";

export function loading(text = "Loading") {
  return h(".state", { "aria-busy": "true", role: "status" }, h("p.muted", `${text} …`));
}

/** There is nothing. `more`: what could be done about it. */
export function empty(text, ...more) {
  return h(".state", h("p", text), more.length ? h(".row", more) : null);
}

/** A place that is none. */
export function nothingHere() {
  return h(
    ".state",
    h("h1", "There is nothing here"),
    h("p.muted", "The address leads nowhere, or to something that was removed."),
    h("a.button", { href: "/" }, "To the overview"),
  );
}

export function forbidden(what = "this") {
  return h(
    ".state",
    h("h2", "Not for this key"),
    h("p.muted", `Who you are logged in as may not see ${what}. Another key may, or who made yours can add the right.`),
  );
}

/** What came instead of an answer, and a way to try again. Of a fault of the page's own, its message. */
export function failed(error, retry) {
  if (error?.status === 403) return forbidden();
  if (error?.status === 404) return nothingHere();
  const title =
    error?.status === 0
      ? "The server does not answer"
      : error?.status === 503
        ? "The store does not answer"
        : error?.status === 429
          ? "Too many requests"
          : "That did not work";
  return h(
    ".state",
    { role: "alert" },
    h("h2", title),
    h("p.muted", error?.message ?? String(error)),
    retry ? h("button", { type: "button", onclick: () => retry() }, "Try again") : null,
  );
}
