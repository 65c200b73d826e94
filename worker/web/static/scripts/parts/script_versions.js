// Script versions: of a registered script: its history, what changed, approvals, and the ways to change or remove it.

import { api, part } from "../api.js";
import { h, replace } from "../element.js";
import { again, navigate } from "../router.js";
import { timeAgo } from "../time.js";
import { confirm, openDialog } from "./dialog.js";
import { toast, toastProblem } from "./toast.js";

export function scriptVersions(script, signal) {
  const at = `/scripts/${part(script.name)}`;
  const list = h("div", h("p.muted", "Loading …"));

  async function read() {
    try {
      const { versions } = await api.get(`${at}/versions`, {}, { signal });
      replace(list, h("ul.plain", versions.map((each, index) => h("li.spread",
        h("span", `Version ${each.version}`, each.removed ? " (removed)" : "", " by ", h("bdi", each.registeredBy), " ", timeAgo(each.registeredAt)),
        index < versions.length - 1
          ? h("button.quiet", { type: "button", "aria-label": `What changed in version ${each.version}`, onclick: () => changes(each.version, versions[index + 1].version) }, "What changed")
          : null))));
    } catch (problem) {
      if (!signal.aborted) replace(list, h("p.note.bad", problem.message));
    }
  }

  async function changes(to, from) {
    try {
      const { diff } = await api.get(`${at}/diff`, { from, to }, { signal });
      await openDialog(`Version ${from} and ${to}`, diff ? h("pre.code.diff", { tabindex: "0" }, diff.split("\n").map(line)) : h("p", "They are the same."));
    } catch (problem) {
      toastProblem(problem);
    }
  }

  async function remove() {
    const sure = await confirm(`Remove ${script.name}?`, "Nobody can run it any more. Its history stays; tasks that wait for it end.", { action: "Remove", danger: true });
    if (!sure) return;
    try {
      await api.delete(at);
      toast(`${script.name} is removed.`);
      await navigate("/scripts");
    } catch (problem) {
      toastProblem(problem);
    }
  }

  read();
  return h("section.card", { "aria-label": "Registration" },
    h("h2", "Registration"), list, approval(at),
    h("div.row",
      h("a.button", { href: `/register?change=${encodeURIComponent(script.name)}` }, "Change it"),
      h("button.danger", { type: "button", onclick: remove }, "Remove it")));
}

/** A signature that somebody made elsewhere, with `penstock scripts approve --print`. */
function approval(at) {
  const text = h("textarea.code", { id: "approval", rows: 3, spellcheck: "false", autocomplete: "off", "aria-describedby": "approval-help approval-problem" });
  const problem = h("p.problem", { id: "approval-problem", role: "alert" });
  async function send(event) {
    event.preventDefault();
    problem.textContent = "";
    try {
      await api.post(`${at}/approvals`, { approval: text.value.trim() });
      toast("The approval is kept. Workers verify it.");
      await again();
    } catch (refused) {
      problem.textContent = [refused.message, ...(refused.errors ?? []).map((each) => each.message)].join(": ");
      text.focus();
    }
  }
  return h("details", h("summary", "Approve this version"),
    h("form.stack", { onsubmit: send, novalidate: true },
      h("div.field", h("label", { for: "approval" }, "Approval"), text,
        h("p.help", { id: "approval-help" }, "What ", h("code", "penstock scripts approve --print"), " printed where the key is."), problem),
      h("div.row", h("button", { type: "submit" }, "Keep the approval"))));
}

function line(text) {
  const kind = text.startsWith("+") ? "added" : text.startsWith("-") ? "gone" : "same";
  return h(`span.${kind}`, `${text}\n`);
}
