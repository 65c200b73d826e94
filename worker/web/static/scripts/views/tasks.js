// Tasks: what was submitted, newest first. The address bar holds every filter; rows stay where they are and change.

import { api, part } from "../api.js";
import { h, replace } from "../element.js";
import { follow } from "../events.js";
import { cancelTasks } from "../parts/bulk_cancel.js";
import { badge } from "../parts/badge.js";
import { empty } from "../parts/states.js";
import { table } from "../parts/table.js";
import { taskFilters } from "../parts/task_filters.js";
import { setQuery } from "../router.js";
import { may } from "../session.js";
import { FINAL } from "../statuses.js";
import { duration, timeAgo } from "../time.js";
import { follower } from "./tasks_live.js";

const LIMIT = 50;

export function title() {
  return "Tasks";
}

export async function show(root, params, query, signal) {
  const selected = new Set();
  const cancels = may("tasks:cancel");
  const filters = taskFilters(query, changed);
  let cursor = query.get("cursor");
  let asking = new AbortController();

  const list = table({
    caption: "Tasks",
    captionHidden: true,
    key: (task) => task.taskId,
    columns: [
      ...(cancels ? [{ label: "Select", hidden: true, className: "narrow", cell: choice }] : []),
      {
        label: "Task",
        header: true,
        className: "mono clip",
        cell: (task) => h("a", { href: `/tasks/${part(task.taskId)}`, title: task.taskId }, task.taskId),
      },
      { label: "Script", cell: (task) => h("a", { href: `/scripts/${part(task.script)}` }, task.script) },
      {
        label: "Status",
        cell: (task) => [badge(task.status), task.reason && task.reason !== task.status ? [" ", h("span.muted", task.reason)] : null],
      },
      { label: "Recorded", cell: (task) => timeAgo(task.createdAt) },
      { label: "Took", className: "number", cell: (task) => duration(task.durationMs) },
      { label: "Worker", className: "clip minor", cell: (task) => task.worker ?? (task.target === "_all" ? "all" : task.target) },
      { label: "By", className: "clip minor", cell: (task) => task.submittedBy ?? task.trigger },
    ],
  });
  const live = follower(list, { values: () => filters.values(), page, told }, signal);
  const fresh = h("button.primary", { type: "button", hidden: true, onclick: () => look(null, { moved: true }) }, "");
  const count = h("p.muted", { role: "status" });
  const chosen = h("button.danger", { type: "button", hidden: true, onclick: cancelChosen }, "");
  const every = h("button", { type: "button", onclick: chooseAll }, "Select all that can be cancelled");
  const none = h("div");
  const note = h("p.note", { hidden: true });
  const newest = h("button", { type: "button", onclick: () => look(null, { moved: true }) }, "Newest");
  const older = h("button", { type: "button", onclick: () => look(older.dataset.next, { moved: true }) }, "Older");
  const paging = h("nav.row", { "aria-label": "Pages" }, newest, older);

  follow("*", live.heard, signal);
  await look(cursor);
  replace(
    root,
    h(".spread", h("h1", "Tasks"), fresh),
    filters.node,
    h(".spread", count, cancels ? h(".row", every, chosen) : null),
    list.node,
    none,
    note,
    paging,
  );

  async function page(to, asked) {
    return api.get("/tasks", { ...filters.values(), cursor: to, limit: LIMIT }, { signal: asked });
  }

  /** Read a page; `moved` when that is another place, to which one can come back. */
  async function look(to, { moved = false } = {}) {
    asking.abort();
    const mine = (asking = new AbortController());
    signal.addEventListener("abort", () => mine.abort(), { once: true });
    live.rest();
    let found;
    try {
      found = await page(to, mine.signal);
    } catch (problem) {
      if (mine.signal.aborted) return;
      if (problem.status !== 400) throw problem;
      filters.complain(problem);
      live.stay();
      return;
    }
    filters.complain(null);
    cursor = to;
    setQuery({ ...filters.values(), cursor }, { replaced: !moved });
    selected.clear();
    list.update(found.tasks);
    live.shows(found.tasks, cursor);
    filters.counted(found.counts);
    drawAround(found);
    if (moved) root.querySelector("h1")?.scrollIntoView({ block: "nearest" });
  }

  function changed() {
    look(null, { moved: true }).catch((problem) => filters.complain(problem));
  }

  /** What stands around the rows says no more than is known. */
  function drawAround(found) {
    const here = found.tasks.length;
    list.node.hidden = !here;
    count.textContent =
      found.total === null
        ? `${here} shown; how many match was not counted`
        : cursor
          ? `${here} shown of ${found.total.toLocaleString()}`
          : `${found.total.toLocaleString()} ${found.total === 1 ? "task" : "tasks"}`;
    newest.hidden = !cursor;
    older.hidden = !found.next;
    older.dataset.next = found.next ?? "";
    note.hidden = !found.next || here >= LIMIT;
    note.textContent = here
      ? "Not all records were looked at for this page: older ones may match, too."
      : "None of the records that were looked at matches; older ones may.";
    none.replaceChildren();
    if (!here && !found.next) {
      none.append(
        filters.any() || cursor
          ? empty("No task matches.", h("button", { type: "button", onclick: filters.clear }, "Remove the filters"))
          : empty("There are no tasks yet.", h("a.button.primary", { href: "/scripts" }, "To the scripts")),
      );
    }
    drawChosen();
  }

  function told({ waiting }) {
    fresh.hidden = !waiting;
    fresh.textContent = `${waiting} new`;
    drawChosen();
  }

  function choice(task) {
    if (FINAL.has(task.status)) {
      selected.delete(task.taskId);
      return null;
    }
    return h("input", {
      type: "checkbox",
      checked: selected.has(task.taskId),
      "aria-label": `Select task ${task.taskId}`,
      onchange: (event) => {
        if (event.target.checked) selected.add(task.taskId);
        else selected.delete(task.taskId);
        drawChosen();
      },
    });
  }

  function chooseAll() {
    const boxes = [...list.node.querySelectorAll('input[type="checkbox"]')];
    const all = boxes.some((box) => !box.checked);
    for (const box of boxes) {
      if (box.checked !== all) box.click();
    }
  }

  function drawChosen() {
    chosen.hidden = !selected.size;
    chosen.textContent = `Cancel ${selected.size} ${selected.size === 1 ? "task" : "tasks"}`;
    every.hidden = !list.node.querySelector('input[type="checkbox"]');
  }

  async function cancelChosen() {
    if (!(await cancelTasks([...selected]))) return;
    selected.clear();
    for (const box of list.node.querySelectorAll('input[type="checkbox"]')) box.checked = false;
    drawChosen();
  }
}
