// Timeline: the runs of a task on one scale of time: how long each waited, and how long it ran.

import { h } from "../element.js";
import { duration, timeAt, timeAgo } from "../time.js";
import { badge, look } from "./badge.js";

/** `runs` of a task's document, oldest first. */
export function timeline(runs, now = Date.now()) {
  const begin = Date.parse(runs[0]?.createdAt ?? "") || now;
  const end = Math.max(begin + 1, ...runs.map((run) => Date.parse(run.finishedAt ?? "") || now));
  const place = (from, to) => ({
    left: `${(100 * (from - begin)) / (end - begin)}%`,
    width: `${Math.max(0.3, (100 * (to - from)) / (end - begin))}%`,
  });
  return h("ol.timeline", runs.map((run) => row(run, now, place)));
}

function row(run, now, place) {
  const created = Date.parse(run.createdAt ?? "") || now;
  const finished = Date.parse(run.finishedAt ?? "") || now;
  const started = Date.parse(run.startedAt ?? run.claimedAt ?? "") || finished;
  const waited = started - created;
  const ran = run.startedAt ?? run.claimedAt ? (run.durationMs ?? finished - started) : null;
  const why = [run.reason, run.signal ? `signal ${run.signal}` : null, run.exitCode === null ? null : `exit code ${run.exitCode}`];
  return h(
    "li",
    h(
      "div.row",
      h("strong", `Run ${run.runId}`),
      badge(run.status),
      h("span.muted", why.filter(Boolean).join(", ")),
      run.worker ? h("span", "on ", h("a", { href: `/workers/${encodeURIComponent(run.worker)}` }, run.worker)) : null,
      h("span", `waited ${duration(waited)}${ran === null ? "" : `, ran ${duration(ran)}`}`),
      timeAgo(run.createdAt),
    ),
    run.message ? h("p.break", run.message) : null,
    h(
      "div.timeline-track",
      { "aria-hidden": "true" },
      h("div.timeline-wait", { style: place(created, started) }),
      ran === null ? null : h(`div.timeline-ran.${look(run.status)}`, { style: place(started, finished) }),
    ),
  );
}

/** All that happened to a task, in words. */
export function history(entries) {
  return h(
    "ol.history",
    entries.map((entry) =>
      h(
        "li",
        timeAt(entry.at),
        ` ${entry.event}`,
        entry.runId === null ? null : ` (run ${entry.runId})`,
        entry.worker ? ` on ${entry.worker}` : null,
      ),
    ),
  );
}
