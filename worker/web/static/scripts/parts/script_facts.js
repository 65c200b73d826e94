// Script facts: what a script declares besides its schema, and which worker runs it.

import { h } from "../element.js";
import { may } from "../session.js";
import { bytes, duration } from "../time.js";
import { badge } from "./badge.js";

export function scriptFacts(script) {
  const limits = script.limits;
  const seconds = (value, none) => (value === null ? none : duration(value * 1000));
  return h("section.card", { "aria-label": "What it is" },
    h("h2", "What it is"),
    facts([
      ["Command", h("code.break", script.command.map(quoted).join(" "))],
      ["Declared in", script.file ? h("code", script.file) : script.source === "registered" ? "the registry" : null],
      ["Digest", script.digest ? h("code.break", script.digest) : null],
      ["Who may run it", who(script)],
      ["Queue", h("code", script.queue)],
      ["Longest run", seconds(script.maxRunTimeS, "no limit")],
      ["Repeated", script.retries ? `at most ${script.retries} further runs` : "never"],
      ["At a time", script.concurrency === null ? null : `${script.concurrency} runs`],
      ["Starts", script.rateLimit ? `${script.rateLimit.count} in ${seconds(script.rateLimit.perS)}` : null],
      ["Exit codes", script.exitCodes],
      ["Variables", script.env.length ? h("code.break", script.env.join(", ")) : null],
      ["Log, artifacts", `${bytes(limits.logBytes)}; ${limits.artifactCount} of ${bytes(limits.artifactBytes)} each`],
    ]),
    script.admissions.length ? admissions(script.admissions) : null,
    script.source === "registered" && !script.admissions.length ? h("p.note.warn", "No worker has said that it runs this version.") : null);
}

function facts(entries) {
  return h("dl.facts", entries.filter(([, value]) => value !== null).map(([name, value]) => [h("dt", name), h("dd", value)]));
}

function who(script) {
  const needed = [h("code", `scripts:execute:${script.name}`)];
  if (script.allowedScopes.length) {
    needed.push(" and one of ", script.allowedScopes.map((each, index) => [index ? ", " : "", h("code", each), may(each) ? " (yours)" : ""]));
  }
  return ["who has ", needed];
}

function admissions(found) {
  return h("div.stack", h("h3", "Workers"), h("ul.plain", found.map((each) => h("li",
    badge(each.admits ? "enabled" : "denied", each.admits ? "runs it" : "does not"), " ", h("bdi", each.worker), ": ", each.why))));
}

/** As a shell would need it, so that a blank in an argument is seen. Nothing is ever given to a shell. */
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
