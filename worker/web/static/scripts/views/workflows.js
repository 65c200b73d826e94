// Workflows: all that the reader may see, and the newest runs.

import { api } from "../api.js";
import { h, replace } from "../element.js";
import { badge } from "../parts/badge.js";
import { empty } from "../parts/states.js";
import { table } from "../parts/table.js";
import { path } from "../router.js";
import { runTable } from "../parts/workflow_runs.js";

export function title() {
  return "Workflows";
}

export async function show(root, params, query, signal) {
  const { workflows } = await api.get("/workflows", {}, { signal });
  const list = table({
    caption: "Workflows",
    captionHidden: true,
    key: (row) => row.name,
    rows: workflows,
    columns: [
      { label: "Name", header: true, cell: (row) => h("a", { href: path("/workflows/:name", { name: row.name }) }, row.name) },
      { label: "Title", cell: (row) => row.title },
      { label: "State", cell: (row) => badge(row.enabled ? "enabled" : "disabled") },
      { label: "Scripts", cell: (row) => h("span.break", row.scripts.join(", ")) },
      { label: "Kept in", cell: (row) => (row.source === "file" ? "a file" : `the store, version ${row.version}`) },
    ],
  });
  const runs = runTable(null, signal);
  replace(
    root,
    h("h1", "Workflows"),
    workflows.length ? list.node : empty("There are no workflows yet. A file in config/workflows makes one."),
    h("h2", "Newest runs"),
    runs.element,
  );
  await runs.read();
}
