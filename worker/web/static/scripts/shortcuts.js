// Shortcuts: keys for who prefers them. Never while something is being typed.

import { h } from "./element.js";
import { openDialog } from "./parts/dialog.js";
import { navigate } from "./router.js";
import { me } from "./session.js";
import { places } from "./frame.js";

const LETTERS = { o: "/", s: "/scripts", t: "/tasks", w: "/workflows", c: "/schedules", m: "/workers", k: "/keys", a: "/audit" };
// After `g` the letter has to follow soon.
const WAIT_MS = 1500;

let going = 0;

export function useShortcuts() {
  document.addEventListener("keydown", (event) => {
    if (!me() || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.timeStamp - going < WAIT_MS && going) {
      going = 0;
      const href = LETTERS[event.key];
      if (href && places().some((each) => each.href === href)) {
        event.preventDefault();
        navigate(href);
      }
    } else if (event.key === "g") {
      going = event.timeStamp;
    } else if (event.key === "/") {
      const field = document.querySelector('main input[type="search"]');
      if (!field) return;
      event.preventDefault();
      field.focus();
      field.select();
    } else if (event.key === "?") {
      event.preventDefault();
      showHelp();
    }
  });
}

/** What keys there are. */
export function showHelp() {
  const lines = [
    ["/", "Search on this page"],
    ["?", "This help"],
    ["Esc", "Close what is open"],
    ...Object.entries(LETTERS).flatMap(([letter, href]) => {
      const place = me() ? places().find((each) => each.href === href) : null;
      return place ? [[`g ${letter}`, place.text]] : [];
    }),
  ];
  openDialog(
    "Keyboard shortcuts",
    h(
      "dl.facts",
      lines.map(([keys, text]) => [
        h("dt", keys.split(" ").map((key, index) => [index ? " then " : null, h("kbd", key)])),
        h("dd", text),
      ]),
    ),
  );
}

function isTyping(node) {
  return node instanceof Element && node.closest("input, textarea, select, [contenteditable]") !== null;
}
