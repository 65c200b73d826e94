// Tabs: several views of one thing. Arrow keys move between them, as screen readers announce it.

import { h } from "../element.js";

let made = 0;

/** `leave()` may answer false: the tab stays. `current()` is the name of the one that is shown. */
export function tabs(label, entries, { leave = () => true } = {}) {
  const id = `tabs-${(made += 1)}`;
  let shown = 0;
  const buttons = entries.map((entry, index) => h("button", {
    type: "button",
    role: "tab",
    id: `${id}-tab-${index}`,
    "aria-controls": `${id}-panel-${index}`,
    onclick: () => show(index),
    onkeydown: (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      show((index + by + entries.length) % entries.length);
    },
  }, entry.name));
  const panels = entries.map((entry, index) => h("div", {
    role: "tabpanel",
    id: `${id}-panel-${index}`,
    "aria-labelledby": `${id}-tab-${index}`,
  }, entry.content));

  function mark() {
    buttons.forEach((button, index) => {
      button.setAttribute("aria-selected", String(index === shown));
      button.tabIndex = index === shown ? 0 : -1;
      panels[index].hidden = index !== shown;
    });
  }

  function show(index) {
    if (index === shown || leave() === false) return;
    shown = index;
    mark();
    buttons[index].focus();
  }

  mark();
  return {
    element: h("div.tabs", {}, h("div.tab-list", { role: "tablist", "aria-label": label }, ...buttons), ...panels),
    current: () => entries[shown].name,
  };
}
