// Keys: the API keys: make one (it is shown once), put another in its place, end it.

import { api, part } from "../api.js";
import { h, replace } from "../element.js";
import { badge } from "../parts/badge.js";
import { confirm, openDialog } from "../parts/dialog.js";
import { empty } from "../parts/states.js";
import { table } from "../parts/table.js";
import { toast, toastProblem } from "../parts/toast.js";
import { me } from "../session.js";
import { timeAgo } from "../time.js";

const ROLES = ["reader", "operator", "admin"];

export function title() {
  return "Keys";
}

export async function show(root, params, query, signal) {
  const place = h("div.stack", {});
  const rows = table({ caption: "API keys", key: (key) => key.id, columns: columns(read) });

  async function read() {
    const { keys } = await api.get("/keys", {}, { signal });
    rows.update(keys);
    replace(place, keys.length ? rows.node : empty("There are no keys yet."));
  }

  await read();
  replace(root, h("h1", "Keys"), creation(read), place);
}

function columns(read) {
  return [
    { label: "Name", header: true, cell: (key) => [h("bdi", key.name), " ", key.id === me()?.keyId ? h("span.tag", "yours") : null] },
    { label: "Id", cell: (key) => h("code", key.id) },
    { label: "State", cell: (key) => [badge(key.state), key.state === "active" && key.replacedBy ? h("span.tag", "replaced") : null] },
    { label: "May", cell: (key) => h("span.break", [key.role ? `role ${key.role}` : null, ...key.scopes].filter(Boolean).join(", ")) },
    { label: "Made", cell: (key) => h("span", timeAgo(key.createdAt), key.createdBy ? [" by ", h("bdi", key.createdBy)] : null) },
    { label: "Ends", cell: (key) => (key.expiresAt ? timeAgo(key.expiresAt) : "never") },
    { label: "Used", cell: (key) => (key.lastUsedAt ? timeAgo(latest(key.lastUsedAt, key.createdAt)) : "not yet") },
    { label: "Change", hidden: true, cell: (key) => (key.state === "active" ? h("span.row",
      key.replacedBy ? null : h("button", { type: "button", "aria-label": `Rotate ${key.name} (${key.id})`, onclick: () => rotate(key, read) }, "Rotate"),
      h("button.danger", { type: "button", "aria-label": `Revoke ${key.name} (${key.id})`, onclick: () => revoke(key, read) }, "Revoke")) : null) },
  ];
}

function creation(read) {
  const name = field("key-name", "Name", "Who or what uses it.");
  const role = h("select", { id: "key-role" }, ["", ...ROLES].map((each) => h("option", { value: each }, each || "none")));
  const own = field("key-own-role", "Another role", "One of the deployment's own.");
  const scopes = field("key-scopes", "Scopes", "Separated by blanks: tasks:read scripts:execute:sign-file");
  const expiry = field("key-expires", "Works for", "Such as 90d or 12h; empty: until it is revoked.");
  const places = new Map([["name", name], ["scopes", scopes], ["role", own], ["expiresIn", expiry]]);
  const complaint = h("p.note.bad", { role: "alert", hidden: true });
  const form = h("form.stack", { onsubmit: send, novalidate: true }, complaint, name.element,
    h("div.field", h("label", { for: "key-role" }, "Role"), role), own.element, scopes.element, expiry.element,
    h("div.row", h("button.primary", { type: "submit" }, "Make the key")));
  const element = h("details.card", h("summary", "Make a key"), form);

  async function send(event) {
    event.preventDefault();
    complaint.hidden = true;
    for (const each of places.values()) each.show([]);
    const body = { name: name.input.value.trim(), scopes: scopes.input.value.split(/[\s,]+/).filter(Boolean) };
    const asked = own.input.value.trim() || role.value;
    if (asked) body.role = asked;
    if (expiry.input.value.trim()) body.expiresIn = expiry.input.value.trim();
    try {
      const made = await api.post("/keys", body);
      form.reset();
      element.open = false;
      await shownOnce(made);
      await read();
    } catch (problem) {
      refused(problem);
    }
  }

  function refused(problem) {
    const rest = [];
    for (const each of problem.errors ?? []) {
      const place = places.get((each.pointer ?? "").split("/")[1]);
      if (place) place.show([each.message]);
      else rest.push(each.message);
    }
    complaint.textContent = [problem.message, ...rest].join(": ");
    complaint.hidden = false;
    const wrong = [...places.values()].find((each) => each.input.getAttribute("aria-invalid") === "true");
    (wrong ?? name).input.focus();
  }
  return element;
}

function field(id, label, help) {
  const input = h("input", { id, autocomplete: "off", spellcheck: "false", "aria-describedby": `${id}-help ${id}-errors` });
  const errors = h("ul.errors", { id: `${id}-errors` });
  return {
    input,
    element: h("div.field", h("label", { for: id }, label), input, h("p.help", { id: `${id}-help` }, help), errors),
    show(messages) {
      replace(errors, messages.map((each) => h("li", each)));
      input.setAttribute("aria-invalid", String(messages.length > 0));
    },
  };
}

/** The secret part is in the document only as long as the dialog is open. */
function shownOnce(made) {
  const text = h("input.code", { id: "new-key", readonly: true, value: made.key, autocomplete: "off" });
  text.addEventListener("focus", () => text.select());
  async function copy() {
    try {
      await navigator.clipboard.writeText(made.key);
      toast("The key is copied.");
    } catch {
      text.focus();
    }
  }
  return openDialog(
    `The key for ${made.name}`,
    h("div.stack",
      h("p.note.warn", "It is shown this once. Keep it where its user finds it, and nobody else."),
      h("div.field", h("label", { for: "new-key" }, "Key"), text)),
    (close) => [h("button", { type: "button", onclick: copy }, "Copy"), h("button.primary", { type: "button", onclick: () => close(true) }, "I have it")],
  );
}

async function rotate(key, read) {
  const overlap = field("overlap", "The old one works for", "Such as 1d or 10m; 0s: it ends at once.");
  overlap.input.value = "1d";
  const go = await openDialog(`Rotate ${key.name}?`, h("div.stack", h("p", "A new key takes over its name and rights."), overlap.element), (close) => [
    h("button", { type: "button", onclick: () => close(false) }, "Back"),
    h("button.primary", { type: "button", onclick: () => close(true) }, "Rotate"),
  ]);
  if (!go) return;
  try {
    await shownOnce(await api.post(`/keys/${part(key.id)}/rotate`, { overlap: overlap.input.value.trim() }));
    await read();
  } catch (problem) {
    toastProblem(problem);
  }
}

async function revoke(key, read) {
  const own = key.id === me()?.keyId ? " It is the one that you are logged in with: this ends your session, too." : "";
  const sure = await confirm(`Revoke ${key.name}?`, `From the next call on it is refused. That cannot be undone.${own}`, { action: "Revoke", danger: true });
  if (!sure) return;
  try {
    await api.delete(`/keys/${part(key.id)}`);
    toast(`${key.name} is revoked.`);
    await read();
  } catch (problem) {
    toastProblem(problem);
  }
}

/** The last use is kept rounded down: nobody used a key before it was made. */
function latest(one, other) {
  return Date.parse(one) > Date.parse(other) ? one : other;
}
