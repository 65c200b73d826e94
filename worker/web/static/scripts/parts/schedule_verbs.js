// Schedule verbs: what can be done with a schedule, for who may.

import { api, part } from "../api.js";
import { h } from "../element.js";
import { path } from "../router.js";
import { may } from "../session.js";
import { toast, toastProblem } from "./toast.js";

/** Buttons; `changed()` is called after each. */
export function scheduleVerbs(schedule, changed) {
  if (!may(`schedules:write:${schedule.name}`)) return null;
  const own = schedule.source === "store";

  const verb = (name, label, done) =>
    h("button", { type: "button", "aria-label": `${label} ${schedule.name}`, onclick: (event) => run(event.currentTarget, name, done) }, label);

  async function run(button, name, done) {
    button.disabled = true;
    try {
      const answer = await api.post(`/schedules/${part(schedule.name)}/${name}`, {});
      done(answer);
      await changed();
    } catch (problem) {
      toastProblem(problem);
    }
    button.disabled = false;
  }

  return h(
    "div.row",
    verb("trigger", "Run now", (answer) => toast("It is submitted now", { more: schedule.script ? h("a", { href: path("/tasks/:id", { id: answer.taskId }) }, "See the task") : null })),
    own && schedule.enabled ? verb("disable", "Disable", () => toast(`${schedule.name} is disabled`)) : null,
    own && !schedule.enabled ? verb("enable", "Enable", () => toast(`${schedule.name} is enabled`)) : null,
  );
}
