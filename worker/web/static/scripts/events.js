// Events: one stream of all changes for the whole page. It comes back by itself, and says so while it is away.

import { BASE } from "./api.js";
import { h, replace } from "./element.js";
import { resume } from "./session.js";

// A tab that nobody sees gives its connection back: a browser has only six to one server.
const HIDDEN_MS = 10_000;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
// A proxy may cut a stream now and then; who reads is told only when it stays away.
const PATIENCE_MS = 1200;

const subscribers = new Set();
let source = null;
let last = null;
let tries = 0;
let timer = null;
let hidden = null;
let complaint = null;
let wanted = false;

/**
 * `fn({kind, taskId, script, runId, status, reason, worker, time})` for each change of that kind, or of all with "*".
 * The kind "gap" says that some may have been missed: what is shown has to be read anew. Subscribe before you read.
 * Returns what ends it.
 */
export function subscribe(kind, fn) {
  const entry = { kind, fn };
  subscribers.add(entry);
  connect();
  return () => {
    subscribers.delete(entry);
  };
}

/** As `subscribe`, until the signal aborts. */
export function follow(kind, fn, signal) {
  const stop = subscribe(kind, fn);
  signal?.addEventListener("abort", stop, { once: true });
}

/** Begin to listen, once somebody is logged in who may: early, so that a view that is drawn next misses nothing. */
export function listen() {
  wanted = true;
  connect();
}

/** Nobody is logged in any more. */
export function stopListening() {
  wanted = false;
  last = null;
  disconnect();
  comfort();
}

function connect() {
  if (!wanted || source || timer || document.hidden) return;
  const since = last === null ? "" : `?since=${encodeURIComponent(last)}`;
  source = new EventSource(`${BASE}/events${since}`);
  source.addEventListener("hello", (event) => {
    const first = last === null;
    tries = 0;
    last = event.lastEventId || last;
    comfort();
    // Who has read something before the stream was there does not know what happened in between.
    if (first) tell({ kind: "gap" });
  });
  source.addEventListener("task", (event) => {
    last = event.lastEventId || last;
    tell(JSON.parse(event.data));
  });
  source.addEventListener("gap", () => tell({ kind: "gap" }));
  // Of its own it would give up at the first answer that is no stream, such as a restarting server's.
  source.addEventListener("error", again);
}

function again() {
  disconnect();
  if (!wanted) return;
  complaint ??= setTimeout(complain, PATIENCE_MS);
  timer = setTimeout(
    async () => {
      try {
        // A session that ended meanwhile leads to the log-in, and not to endless tries; another one to its own view.
        await resume();
      } catch {
        timer = null;
        again();
        return;
      }
      timer = null;
      connect();
    },
    RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)],
  );
}

function disconnect() {
  source?.close();
  source = null;
  clearTimeout(timer);
  timer = null;
}

function complain() {
  replace(
    document.getElementById("banner"),
    h("span", "The connection to the server is lost. What you see may be old; it comes back by itself."),
  );
}

function comfort() {
  clearTimeout(complaint);
  complaint = null;
  document.getElementById("banner").replaceChildren();
}

function tell(event) {
  for (const { kind, fn } of [...subscribers]) {
    if (kind !== "*" && kind !== event.kind) continue;
    try {
      fn(event);
    } catch (error) {
      console.error(error);
    }
  }
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) hidden = setTimeout(disconnect, HIDDEN_MS);
  else connect();
});
