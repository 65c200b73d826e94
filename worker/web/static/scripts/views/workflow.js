// Workflow: one definition: its graph, its steps, its runs, and a form to start one.

import { part, request } from "../api.js";
import { h, replace } from "../element.js";
import { parse } from "../exact.js";
import { badge } from "../parts/badge.js";
import { graph, graphFrame } from "../parts/graph.js";
import { needsOf } from "../parts/graph_layout.js";
import { pretty, readJson } from "../parts/json_text.js";
import { shownText } from "../parts/shown_text.js";
import { table } from "../parts/table.js";
import { workflowForm } from "../parts/workflow_form.js";
import { runTable } from "../parts/workflow_runs.js";
import { path } from "../router.js";
import { may } from "../session.js";

export function title(params) {
  return `Workflow ${params.name}`;
}

export async function show(root, params, query, signal) {
  const text = await (await request("GET", `/workflows/${part(params.name)}`, { signal })).text();
  const workflow = readJson(text);
  const { steps } = workflow.definition;
  const needs = needsOf(steps);
  const script = (step) => h("a", { href: path("/scripts/:name", { name: step.script }) }, step.script);
  const drawn = graph(steps, (step) => ({ text: step.script, href: path("/scripts/:name", { name: step.script }) }), `The graph of ${workflow.name}`);
  const rows = table({
    caption: "Steps",
    captionHidden: true,
    key: (step) => step.name,
    rows: steps,
    columns: [
      { label: "Step", header: true, cell: (step) => step.name },
      { label: "Script", cell: script },
      { label: "Needs", cell: (step) => needs.get(step.name).join(", ") },
      { label: "When", cell: (step) => (step.when ? h("code.break", step.when) : "") },
      { label: "On failure", cell: (step) => step.onFailure ?? "stop" },
      { label: "Retries", cell: (step) => step.retries ?? 0 },
    ],
  });
  const runs = runTable(workflow.name, signal);
  replace(
    root,
    h("div.row", h("h1", workflow.title || workflow.name), badge(workflow.enabled ? "enabled" : "disabled"), workflow.tags.map((tag) => h("span.tag", tag))),
    workflow.description ? h("p.break", workflow.description) : null,
    h("section.card", { "aria-label": "Steps" }, h("h2", "Steps"), graphFrame(drawn, rows.node)),
    workflow.enabled && may(`workflows:execute:${workflow.name}`)
      ? h("section.card", { "aria-label": "Start a run" }, h("h2", "Start a run"), workflowForm(workflow.name, parse(text).get("definition").get("schema"), query, signal))
      : null,
    h("section.card", { "aria-label": "Runs" }, h("h2", "Runs"), runs.element),
    h("details.card", h("summary", "Definition"), shownText(pretty(workflow.definition), "Definition")),
  );
  await runs.read();
}
