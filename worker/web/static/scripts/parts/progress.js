// Progress: a line `::progress 40 Uploading::` of a command, and the bar that it moves.

import { h, replace } from "../element.js";
import { plain } from "./ansi.js";

const LINE = /^::progress (\d{1,3})(?: ([^\n]*))?::\r?$/;
const TEXT_CHARACTERS = 200;

/** `{percent, text}` of a line of a log, or null. */
export function progressOf(line) {
  if (!line.startsWith("::progress ")) return null;
  const found = LINE.exec(line);
  const percent = found ? Number(found[1]) : 101;
  if (percent > 100) return null;
  return { percent, text: [...plain((found[2] ?? "").trim())].slice(0, TEXT_CHARACTERS).join("") };
}

/** A bar that is hidden until `show` is called. */
export function progressBar() {
  const label = h("span.progress-text");
  const bar = h("progress", { max: "100", "aria-label": "Progress" });
  const element = h("div.progress", { hidden: "" }, bar, label);
  return {
    element,
    show({ percent, text }, running = true) {
      element.hidden = false;
      element.classList.toggle("is-over", !running);
      bar.value = percent;
      replace(label, text ? `${percent} % ${text}` : `${percent} %`);
    },
    hide() {
      element.hidden = true;
    },
  };
}
