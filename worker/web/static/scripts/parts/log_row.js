// Row: one line of a log, with its number as a link, its source, its colours, and what was looked for.

import { h } from "../element.js";
import { pieces, plain } from "./ansi.js";

export const SHORT = ["out", "err", "worker"];
// A longer line is shown in full below the log when it is chosen.
export const SHOWN_CHARACTERS = 2000;

/** `marked`: what to highlight, in small letters, or "". */
export function logRow({ text, number, source, chosen, marked, onchoose }) {
  if (text === null) return h("div.log-row", h("span.log-text.muted", "not held here while the run lasts"));
  if (text === undefined) return h("div.log-row", h("span.log-text.muted", "…"));
  const shown = text.length > SHOWN_CHARACTERS ? text.slice(0, SHOWN_CHARACTERS) : text;
  const href = `#L${number}`;
  const link = h("a.log-number", { href, tabindex: -1, onclick: (event) => choose(event, number, onchoose) }, number);
  const rest = text.length > shown.length ? h("span.log-more", ` … ${text.length - shown.length} more characters`) : null;
  return h(
    `div.log-row.log-${SHORT[source]}${chosen ? ".is-chosen" : ""}`,
    { id: `L${number}` },
    link,
    h("span.log-source", SHORT[source]),
    h("span.log-text", painted(shown, marked), rest),
  );
}

/** The line as spans, `marked` in `<mark>` even where it reaches over several colours. */
export function painted(text, marked) {
  const hits = marked ? places(plain(text).toLowerCase(), marked) : [];
  let at = 0;
  return pieces(text).flatMap((piece) => {
    const from = at;
    at += piece.text.length;
    return cut(piece.text, from, hits).map(([part, hit]) => {
      const tag = hit ? "mark" : piece.classes ? "span" : null;
      return tag ? h(tag, { class: piece.classes }, part) : part;
    });
  });
}

function choose(event, number, onchoose) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  onchoose(number, event.shiftKey);
}

function places(text, marked) {
  const found = [];
  for (let at = text.indexOf(marked); at >= 0; at = text.indexOf(marked, at + marked.length)) {
    found.push([at, at + marked.length]);
  }
  return found;
}

function cut(text, from, hits) {
  const parts = [];
  let at = 0;
  for (const [start, end] of hits) {
    const [low, high] = [Math.max(at, start - from), Math.min(text.length, end - from)];
    if (low >= high) continue;
    if (low > at) parts.push([text.slice(at, low), false]);
    parts.push([text.slice(low, high), true]);
    at = high;
  }
  if (at < text.length) parts.push([text.slice(at), false]);
  return parts;
}
