// Bulk cancel: asks once, cancels many, and says what became of each.

import { api, part } from "../api.js";
import { h } from "../element.js";
import { openDialog } from "./dialog.js";
import { toast } from "./toast.js";

const AT_ONCE = 4;
const WHY_CHARACTERS = 500;

/** Resolves with true when all were asked for, with false when nobody wanted to. */
export async function cancelTasks(ids) {
  if (!ids.length) return false;
  const many = `${ids.length} ${ids.length === 1 ? "task" : "tasks"}`;
  const why = h("input", { id: "cancel-why", maxlength: WHY_CHARACTERS, autocomplete: "off" });
  const sure = await openDialog(
    `Cancel ${many}?`,
    [
      h("p", "What waits never starts; what runs is ended, with all its processes. This cannot be undone."),
      h(".field", h("label", { for: "cancel-why" }, "Why (for the record)"), why),
    ],
    (close) => [
      h("button", { type: "button", onclick: () => close(false) }, "Back"),
      h("button.danger", { type: "button", onclick: () => close(true) }, `Cancel ${many}`),
    ],
  );
  if (!sure) return false;
  const waiting = [...ids];
  const done = { cancelled: 0, ended: 0 };
  const refused = [];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
        try {
          await api.post(`/tasks/${part(id)}/cancel`, why.value ? { why: why.value } : {});
          done.cancelled += 1;
        } catch (problem) {
          if (problem.status === 409) done.ended += 1;
          else refused.push(problem);
        }
      }
    }),
  );
  const said = [`${done.cancelled} cancelled`];
  if (done.ended) said.push(`${done.ended} had ended already`);
  if (refused.length) said.push(`${refused.length} refused: ${refused[0].message}`);
  toast(said.join(", "), { kind: refused.length ? "bad" : "ok" });
  return true;
}
