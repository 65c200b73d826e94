// Audit: who did what, and what was refused. The filters stand in the address.

import { address, api } from "../api.js";
import { h, replace } from "../element.js";
import { badge } from "../parts/badge.js";
import { empty } from "../parts/states.js";
import { table } from "../parts/table.js";
import { setQuery } from "../router.js";
import { timeAt } from "../time.js";

const RESULTS = ["", "allowed", "denied", "failed"];
const TEXTS = [
  ["who", "Who", ""],
  ["action", "Action", "keys"],
  ["target", "Of what", ""],
  ["since", "Since", "2026-01-31 or 24h"],
  ["until", "Until", "2026-01-31"],
];
const LIMIT = 50;

export function title() {
  return "Audit";
}

export async function show(root, params, query, signal) {
  const names = [...TEXTS.map(([name]) => name), "result"];
  let asked = Object.fromEntries(names.map((name) => [name, query.get(name) ?? ""]));
  let entries = [];
  let next = null;
  let latest = 0;
  const inputs = new Map(TEXTS.map(([name, , placeholder]) => [name, h("input", { id: `audit-${name}`, value: asked[name], placeholder, autocomplete: "off", spellcheck: "false" })]));
  const result = h("select", { id: "audit-result", value: asked.result }, RESULTS.map((each) => h("option", { value: each }, each || "any")));
  inputs.set("result", result);
  const complaint = h("p.note.bad", { role: "alert", hidden: true });
  const said = h("p.muted", { role: "status" });
  const rows = table({ caption: "Entries, newest first", captionHidden: true, key: (entry) => entry.id, columns: columns(filterBy) });
  const place = h("div.stack", {});
  const more = h("button", { type: "button", onclick: () => read(next) }, "Older entries");
  const all = h("a.button", { download: "audit.jsonl" }, "Download all that match");

  async function read(cursor) {
    const own = (latest += 1);
    complaint.hidden = true;
    more.disabled = true;
    try {
      const page = await api.get("/audit", { ...asked, limit: LIMIT, cursor }, { signal });
      if (own !== latest) return;
      entries = cursor ? [...entries, ...page.entries] : page.entries;
      next = page.next;
      draw();
    } catch (problem) {
      if (signal.aborted || own !== latest) return;
      complaint.textContent = [problem.message, ...(problem.errors ?? []).map((each) => `${each.pointer.slice(1)}: ${each.message}`)].join("; ");
      complaint.hidden = false;
      const wrong = inputs.get((problem.errors?.[0]?.pointer ?? "").slice(1));
      wrong?.setAttribute("aria-invalid", "true");
      wrong?.focus();
    } finally {
      more.disabled = false;
    }
  }

  function draw() {
    rows.update(entries);
    more.hidden = next === null;
    said.textContent = next === null ? `${entries.length} entries, and no older ones match.` : `${entries.length} entries; older ones were not looked at yet.`;
    all.setAttribute("href", address("/audit", { ...asked, format: "jsonl" }));
    replace(place, entries.length ? rows.node : empty(next === null ? "No entry matches." : "None of the newest entries matches; older ones may."));
  }

  function filter(event) {
    event?.preventDefault();
    asked = Object.fromEntries([...inputs].map(([name, input]) => [name, input.value.trim()]));
    for (const each of inputs.values()) each.removeAttribute("aria-invalid");
    setQuery(asked, { replaced: false });
    return read(null);
  }

  function filterBy(name, value) {
    inputs.get(name).value = value;
    return filter();
  }

  replace(
    root,
    h("div.spread", h("h1", "Audit"), all),
    h("form.filters", { role: "search", onsubmit: filter },
      TEXTS.map(([name, label]) => h("div.field", h("label", { for: `audit-${name}` }, label), inputs.get(name))),
      h("div.field", h("label", { for: "audit-result" }, "Result"), result),
      h("button", { type: "submit" }, "Filter")),
    complaint, said, place, h("div.row", more),
  );
  more.hidden = true;
  result.addEventListener("change", () => filter());
  await read(null);
}

function columns(filterBy) {
  const by = (name, value) => (value ? h("button.link", { type: "button", title: `Only ${value}`, onclick: () => filterBy(name, value) }, h("bdi", value)) : null);
  return [
    { label: "When", cell: (entry) => timeAt(entry.at) },
    { label: "Who", header: true, cell: (entry) => by("who", entry.who) ?? h("span.muted", "nobody") },
    { label: "Action", cell: (entry) => by("action", entry.action) },
    { label: "Of what", cell: (entry) => h("span.break", by("target", entry.target)) },
    { label: "Result", cell: (entry) => h("span.row", badge(entry.result), entry.status ? h("span.muted", String(entry.status)) : null) },
    { label: "From", cell: (entry) => entry.from },
    { label: "Detail", cell: (entry) => h("span.break", entry.detail ?? "") },
  ];
}
