// Problem summary: all that is wrong with what was to be sent, with a link to each place.

import { h, replace } from "../element.js";

/** `jump(problem)` brings the reader to the place. Problems are `{message, pointer}`. */
export function problemSummary({ jump }) {
  const element = h("div.problem-summary", { tabindex: "-1", role: "alert", hidden: true });
  let shown = "";
  return {
    element,
    show(problems) {
      const said = JSON.stringify(problems.map((each) => [each.pointer, each.message, each.field?.id]));
      // Who is about to press one of the links must not have it taken away.
      if (said === shown) return;
      shown = said;
      element.hidden = !problems.length;
      const entries = problems.map((problem) => h("li", {}, h("button.link", { type: "button", onclick: () => jump(problem) },
        problem.pointer ? h("code", {}, h("bdi", {}, problem.pointer)) : null, problem.pointer ? ": " : null, problem.message)));
      const title = problems.length === 1 ? "There is a problem" : `There are ${problems.length} problems`;
      replace(element, ...(problems.length ? [h("h3", {}, title), h("ul", {}, ...entries)] : []));
    },
    focus: () => element.focus(),
  };
}
