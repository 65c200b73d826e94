// Badge: a status by its word, a drawing and a colour.

import { h } from "../element.js";
import { icon } from "./icon.js";

// Which of the five looks a status has; what is not here is idle.
const LOOKS = {
  completed: "ok",
  running: "run",
  partial: "warn",
  failed: "bad",
  exception: "bad",
  timeout: "warn",
  cancelled: "idle",
  pending: "idle",
  online: "ok",
  busy: "run",
  draining: "warn",
  paused: "warn",
  offline: "bad",
  active: "ok",
  revoked: "bad",
  expired: "warn",
  enabled: "ok",
  disabled: "idle",
  allowed: "ok",
  denied: "bad",
};
const DRAWN = { cancelled: "stop" };

/** The look of a status: `ok`, `bad`, `warn`, `run` or `idle`. */
export function look(status) {
  return Object.hasOwn(LOOKS, status) ? LOOKS[status] : "idle";
}

/** `text` is what it says when that is not the status itself. */
export function badge(status, text = status) {
  const kind = look(status);
  return h(`span.badge.${kind}`, { dataset: { status } }, icon(DRAWN[status] ?? kind), String(text));
}
