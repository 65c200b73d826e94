// Tasks, live: what is shown changes where it stands; what is new is counted, so that nothing jumps while one reads.

import { api, part } from "../api.js";
import { paced } from "../pace.js";
import { FINAL } from "../statuses.js";

// Changes of the rows that are shown are gathered for so long, and then asked for, a few at a time.
const GATHER_MS = 250;
const AT_ONCE = 6;
// Beyond this it says "99+": nobody counts further.
const MOST = 100;
// What an event cannot tell of: whether the task has this tag, say.
const UNTOLD = ["reason", "trigger", "worker", "parent", "workflow", "tag", "since", "until", "q"];

/**
 * `values()` are the filters, `page(cursor, signal)` reads a page, `told({waiting})` is called after each change.
 * Returns `{heard, rest, shows, stay}`: `rest()` before another page is read, `shows(tasks, cursor)` when it is there.
 */
export function follower(list, { values, page, told }, signal) {
  const rows = new Map();
  const changed = new Set();
  const fresh = new Set();
  // What happens while a page is being read may be in it or not, and is looked at afterwards.
  let meanwhile = [];
  let cursor = null;
  let gap = false;

  const read = paced(async () => {
    if (gap) {
      gap = false;
      const asked = cursor;
      const found = await page(asked, signal);
      if (asked !== cursor || meanwhile) return;
      const there = new Set(found.tasks.map((task) => task.taskId));
      for (const task of found.tasks) {
        if (rows.has(task.taskId)) put(task);
        else if (cursor === null) count(task.taskId);
      }
      for (const id of rows.keys()) if (!there.has(id)) changed.add(id);
    }
    const ids = [...changed].slice(0, AT_ONCE);
    for (const id of ids) changed.delete(id);
    await Promise.all(ids.map(readOne));
    if (changed.size) read();
  }, GATHER_MS, signal);

  async function readOne(id) {
    const row = rows.get(id);
    try {
      const task = await api.get(`/tasks/${part(id)}`, {}, { signal });
      if (row && rows.get(id) === row) put(picked(task, row));
    } catch (problem) {
      // A task that was removed stays as it was, until the list is read anew.
      if (problem.status !== 404) throw problem;
    }
  }

  function put(row) {
    rows.set(row.taskId, row);
    list.put(row);
    tell();
  }

  function count(id) {
    if (fresh.size < MOST) fresh.add(id);
    tell();
  }

  function tell() {
    told({ waiting: fresh.size >= MOST ? `${MOST - 1}+` : fresh.size });
  }

  /** One event of the stream. */
  function heard(event) {
    if (meanwhile && event.kind !== "gap") {
      meanwhile.push(event);
      return;
    }
    if (event.kind === "gap") {
      gap = true;
      read();
      return;
    }
    const row = rows.get(event.taskId);
    if (row) {
      put({ ...row, status: event.status, reason: event.reason || null, worker: event.worker ?? row.worker });
      // How long it took, and the like, only the record says.
      if (FINAL.has(event.status)) {
        changed.add(event.taskId);
        read();
      }
    } else if (cursor === null && matches(event)) {
      count(event.taskId);
    }
  }

  /** Whether a task that is not shown would be, as far as the event tells. */
  function matches(event) {
    const wanted = values();
    if (wanted.script?.length && !wanted.script.includes(event.script)) return false;
    if (UNTOLD.some((name) => wanted[name]?.length)) return false;
    return wanted.status?.length ? wanted.status.includes(event.status) : event.kind === "registered" && event.runId === 0;
  }

  return {
    heard,
    rest() {
      meanwhile ??= [];
      changed.clear();
    },
    shows(tasks, at) {
      rows.clear();
      for (const task of tasks) rows.set(task.taskId, task);
      cursor = at;
      fresh.clear();
      changed.clear();
      tell();
      stay();
    },
    /** There is no other page after all. */
    stay,
  };

  function stay() {
    const missed = meanwhile ?? [];
    meanwhile = null;
    for (const event of missed) {
      // The page may be newer than the event.
      if (rows.has(event.taskId)) changed.add(event.taskId);
      else heard(event);
    }
    if (changed.size) read();
  }
}

/** What a list shows of a whole task. */
function picked(task, row) {
  return Object.fromEntries(Object.keys(row).map((name) => [name, task[name]]));
}
