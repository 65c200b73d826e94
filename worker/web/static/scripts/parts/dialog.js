// Dialog: a question, or something to read, above the page. The browser keeps the focus in it and brings it back.

import { h } from "../element.js";

let count = 0;

/** Show it; `buttons(close)` makes those at its end, a close button without. Resolves with what it was closed with. */
export function openDialog(title, content, buttons = null) {
  const id = `dialog-${++count}`;
  return new Promise((resolve) => {
    const close = (value) => {
      result = value;
      dialog.close();
    };
    let result = null;
    const dialog = h(
      "dialog",
      {
        "aria-labelledby": id,
        onclose: () => {
          dialog.remove();
          resolve(result);
        },
        // A click beside it is no answer, and closes it like Esc.
        onclick: (event) => {
          if (event.target === dialog) close(null);
        },
      },
      h(
        "div",
        h("h2", { id }, title),
        content,
        h(
          ".dialog-buttons",
          buttons ? buttons(close) : h("button", { type: "button", onclick: () => close(null) }, "Close"),
        ),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Ask before something is done that cannot be undone. Resolves with whether to do it. */
export async function confirm(title, text, { action = "Yes", danger = false } = {}) {
  const answer = await openDialog(title, typeof text === "string" ? h("p", text) : text, (close) => [
    h("button", { type: "button", onclick: () => close(false), autofocus: danger }, "Back"),
    h(
      danger ? "button.danger" : "button.primary",
      { type: "button", onclick: () => close(true), autofocus: !danger },
      action,
    ),
  ]);
  return answer === true;
}
