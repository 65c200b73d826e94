// Run options: what can be said of a task besides its payload.

import { h, replace } from "../element.js";

const TEXTS = [
  ["tags", "Tags", "Separated by commas."],
  ["dueAt", "Not before", "A time such as 2026-01-31T12:00Z, or a duration such as 10m."],
  ["deadline", "Ends by", "A time or a duration."],
  ["priority", "Priority", "0 to 9, 9 the most urgent."],
];

/** `text()` are members of the request's body, each with a comma behind it. `refuse(problem)`: whether it is about them. */
export function runOptions() {
  const inputs = new Map();
  const errors = new Map();
  const element = h("details.run-options", h("summary", "Tags, time and priority"),
    TEXTS.map(([name, label, help]) => {
      const id = `run-${name}`;
      inputs.set(name, h("input", { id, autocomplete: "off", "aria-describedby": `${id}-help ${id}-errors` }));
      errors.set(name, h("ul.errors", { id: `${id}-errors` }));
      return h("div.field", h("label", { for: id }, label), inputs.get(name), h("p.help", { id: `${id}-help` }, help), errors.get(name));
    }));

  function members() {
    const found = [];
    for (const [name, input] of inputs) {
      const text = input.value.trim();
      if (!text) continue;
      if (name === "tags") found.push([name, text.split(",").map((each) => each.trim()).filter(Boolean)]);
      else found.push([name, name === "priority" && /^\d{1,3}$/.test(text) ? Number(text) : text]);
    }
    return found;
  }

  return {
    element,
    text: () => members().map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)},`).join(""),
    clear() {
      for (const each of errors.values()) replace(each);
    },
    refuse(problem) {
      let told = false;
      for (const { pointer, message } of problem.errors ?? []) {
        const name = (pointer ?? "").split("/")[1];
        if (!inputs.has(name)) continue;
        replace(errors.get(name), h("li", message));
        element.open = true;
        if (!told) inputs.get(name).focus();
        told = true;
      }
      return told;
    },
  };
}
