// Shown text: several lines of somebody else's, with every control character made visible.

import { h } from "../element.js";
import { plain } from "./ansi.js";

export function shownText(text, label) {
  return h("pre.shown-text", { tabindex: 0, role: "region", "aria-label": label }, text.split("\n").map(plain).join("\n"));
}
