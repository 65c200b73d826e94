// Icon: a few drawings of our own. They say nothing that words beside them do not say.

import { s } from "../element.js";

const PATHS = {
  menu: "M2 4h12M2 8h12M2 12h12",
  theme: "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12",
  ok: "M3 8.5l3.5 3.5L13 4.5",
  bad: "M4 4l8 8M12 4l-8 8",
  warn: "M8 3v6M8 12v1",
  run: "M8 2a6 6 0 1 1-6 6",
  idle: "M8 2a6 6 0 1 0 .01 0",
  stop: "M4 4h8v8H4z",
  close: "M4 4l8 8M12 4l-8 8",
};

export function icon(name) {
  return s(
    "svg",
    { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true", focusable: "false" },
    s("path", {
      d: PATHS[name] ?? PATHS.idle,
      fill: "none",
      stroke: "currentColor",
      "stroke-width": 2,
      "stroke-linecap": "round",
      "stroke-linejoin": "round",
    }),
  );
}
