// Scripts: what may be run, by category, with a search. What is off, or admitted by no worker, says so.

import { api } from "../api.js";
import { h, replace } from "../element.js";
import { badge } from "../parts/badge.js";
import { empty } from "../parts/states.js";
import { path, setQuery } from "../router.js";
import { may } from "../session.js";

export function title() {
  return "Scripts";
}

export async function show(root, params, query, signal) {
  const { scripts } = await api.get("/scripts", {}, { signal });
  const chosen = { q: query.get("q") ?? "", category: query.get("category") ?? "", tag: query.get("tag") ?? "" };
  const count = h("p.muted", { role: "status" });
  const found = h("div.stack", {});
  const search = h("input", { id: "scripts-search", type: "search", value: chosen.q, autocomplete: "off", "data-search": "" });
  const category = select("scripts-category", ["", ...distinct(scripts.map((each) => each.category))], chosen.category);
  const tag = select("scripts-tag", ["", ...distinct(scripts.flatMap((each) => each.tags))], chosen.tag);

  function draw() {
    const left = scripts.filter((each) => matches(each, chosen));
    count.textContent = left.length === scripts.length ? `${scripts.length} scripts` : `${left.length} of ${scripts.length} scripts`;
    if (!left.length) {
      replace(found, scripts.length ? empty("No script matches.") : empty("There are no scripts that this key may see."));
      return;
    }
    const groups = grouped(left);
    replace(found, ...[...groups].sort(([one], [other]) => (one === "") - (other === "") || one.localeCompare(other)).map(section));
  }

  function changed() {
    Object.assign(chosen, { q: search.value.trim(), category: category.value, tag: tag.value });
    setQuery(chosen);
    draw();
  }

  search.addEventListener("input", changed);
  category.addEventListener("change", changed);
  tag.addEventListener("change", changed);
  draw();
  replace(
    root,
    h("div.spread", h("h1", "Scripts"), may("scripts:write") ? h("a.button", { href: "/register" }, "Register a script") : null),
    h("form.filters", { role: "search", onsubmit: (event) => event.preventDefault() },
      h("div.field", h("label", { for: "scripts-search" }, "Search"), search),
      h("div.field", h("label", { for: "scripts-category" }, "Category"), category),
      h("div.field", h("label", { for: "scripts-tag" }, "Tag"), tag)),
    count,
    found,
  );
}

/** Each of the words that were searched for has to be somewhere. */
function matches(script, { q, category, tag }) {
  const text = [script.name, script.title, script.description, script.category, ...script.tags].join("\n").toLowerCase();
  return (
    (!category || script.category === category) &&
    (!tag || script.tags.includes(tag)) &&
    q.toLowerCase().split(/\s+/).every((word) => text.includes(word))
  );
}

function section([category, scripts]) {
  return h("section.stack", { "aria-label": category || "Other" },
    h("h2", h("bdi", category || "Other")),
    h("ul.script-list", scripts.map((script) => h("li.card", entry(script)))));
}

function entry(script) {
  return [
    h("div.spread",
      h("h3", h("a", { href: path("/scripts/:name", { name: script.name }) }, h("bdi", script.title || script.name))),
      states(script)),
    script.title && script.title !== script.name ? h("code.muted", script.name) : null,
    script.description ? h("p.muted.clamped", script.description) : null,
    script.tags.length ? h("p.row", script.tags.map((each) => h("span.tag", h("bdi", each)))) : null,
  ];
}

/** What keeps a script from being run, and where it comes from. */
export function states(script) {
  return h("span.row",
    script.enabled ? null : badge("disabled"),
    script.enabled && !script.runnable ? badge("paused", "not admitted") : null,
    script.source === "registered" ? h("span.tag", `registered, version ${script.version}`) : null);
}

function select(id, values, value) {
  return h("select", { id, value: values.includes(value) ? value : "" }, values.map((each) => h("option", { value: each }, each || "any")));
}

function distinct(values) {
  return [...new Set(values.filter(Boolean))].sort((one, other) => one.localeCompare(other));
}

function grouped(scripts) {
  const found = new Map();
  for (const each of scripts) found.set(each.category, [...(found.get(each.category) ?? []), each]);
  return found;
}
