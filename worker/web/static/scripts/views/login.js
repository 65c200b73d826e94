// Log-in: with an API key, or as the bootstrap admin. What is typed is sent once and kept nowhere.

import { h, replace } from "../element.js";
import { logIn } from "../session.js";

export function title() {
  return "Log in";
}

export async function show(root) {
  const complaint = h("p.note.bad", { role: "alert", hidden: true });
  const key = field("API key", { name: "key", type: "password", autocomplete: "current-password", autofocus: true });
  const user = field("User", { name: "user", autocomplete: "username" });
  const password = field("Password", { name: "password", type: "password", autocomplete: "current-password" });
  const byKey = h(".stack", key);
  const byPassword = h(".stack", { hidden: true }, user, password);
  const button = h("button.primary", { type: "submit" }, "Log in");
  const other = h("button.quiet", { type: "button", onclick: swap }, "");
  const hint = h(
    "p.muted",
    "On its first start Penstock keeps a key in ",
    h("code", ".penstock/api-key"),
    "; more are made with ",
    h("code", "penstock keys create"),
    ".",
  );
  let admin = false;
  name();

  replace(
    root,
    h(
      "form.card.login",
      { onsubmit: submit, novalidate: true },
      h("h1", "Log in"),
      complaint,
      byKey,
      byPassword,
      h(".row", button, other),
      hint,
    ),
  );

  function swap() {
    admin = !admin;
    byKey.hidden = admin;
    byPassword.hidden = !admin;
    hint.hidden = admin;
    complain("");
    name();
    (admin ? user : key).querySelector("input").focus();
  }

  function name() {
    other.textContent = admin ? "Use an API key" : "Log in as admin";
  }

  async function submit(event) {
    event.preventDefault();
    const proof = admin ? { user: value(user), password: value(password) } : { key: value(key) };
    const missing = Object.entries(proof).find(([, text]) => !text);
    if (missing) {
      complain(`Give the ${missing[0]}.`);
      root.querySelector(`[name="${missing[0]}"]`).focus();
      return;
    }
    button.disabled = true;
    try {
      await logIn(proof);
    } catch (problem) {
      button.disabled = false;
      complain(problem.status === 401 ? (admin ? "User or password is wrong." : "That key is not valid.") : problem.message);
      root.querySelector(admin ? '[name="password"]' : '[name="key"]').select();
    }
  }

  function complain(text) {
    complaint.textContent = text;
    complaint.hidden = !text;
  }
}

function field(label, attributes) {
  const id = `login-${attributes.name}`;
  return h(".field", h("label", { for: id }, label), h("input", { id, required: true, ...attributes }));
}

function value(node) {
  return node.querySelector("input").value;
}
