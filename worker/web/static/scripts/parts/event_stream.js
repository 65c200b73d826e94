// A stream of server-sent events that goes on where it was: read in batches, so that a fast one freezes nothing.

// The server sends something every 15 s; after this long without anything the connection is taken for lost.
const SILENT_MS = 40_000;
// A tab that nobody sees gives its connection back, of which a browser has only six to one server.
const HIDDEN_MS = 10_000;
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 5_000;
// So long at a time, then whatever else the page has to do.
const SLICE_MS = 8;
const FINAL = new Set([400, 401, 403, 404]);

export class StreamRefused extends Error {
  constructor(status) {
    super(`the server answered ${status}`);
    this.status = status;
  }
}

/** Batches of `{id, event, data}` until the server has no more, or `signal`. `onstate(connected)` hears of losses. */
export async function* eventBatches(path, { signal, onstate = () => {} }) {
  const place = { id: "" };
  let pause = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    await seen(signal);
    try {
      for await (const batch of connection(path, place, signal, onstate)) {
        pause = FIRST_PAUSE_MS;
        yield batch;
      }
      if (place.ended) return;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof StreamRefused && FINAL.has(error.status)) throw error;
    }
    onstate(false);
    await waited(pause, signal);
    pause = Math.min(LONGEST_PAUSE_MS, pause * 2);
  }
}

async function* connection(path, place, signal, onstate) {
  const silence = new AbortController();
  const both = AbortSignal.any([signal, silence.signal]);
  let timer = setTimeout(() => silence.abort(), SILENT_MS);
  let hidden = null;
  const looked = () => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(() => silence.abort(), HIDDEN_MS);
  };
  document.addEventListener("visibilitychange", looked, { signal: both });
  looked();
  try {
    const headers = { Accept: "text/event-stream", ...(place.id && { "Last-Event-ID": place.id }) };
    const response = await fetch(path, { headers, signal: both, cache: "no-store" });
    if (response.status === 204) {
      place.ended = true;
      return;
    }
    if (!response.ok) throw new StreamRefused(response.status);
    onstate(true);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let [held, since] = ["", performance.now()];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENT_MS);
      const parts = (held + value).split("\n\n");
      held = parts.pop();
      const batch = parts.map(parsed).filter((one) => one.data);
      for (const one of batch) if (one.id) place.id = one.id;
      if (batch.length) yield batch;
      if (performance.now() - since > SLICE_MS) {
        await new Promise((resolve) => setTimeout(resolve));
        since = performance.now();
      }
    }
  } finally {
    clearTimeout(timer);
    clearTimeout(hidden);
    silence.abort();
  }
}

function parsed(text) {
  const found = { id: "", event: "message", data: "" };
  for (const line of text.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0 && Object.hasOwn(found, line.slice(0, colon))) found[line.slice(0, colon)] = line.slice(colon + 2);
  }
  return found;
}

/** Once the page is seen. */
function seen(signal) {
  return new Promise((resolve) => {
    if (!document.hidden || signal.aborted) return resolve();
    const look = () => document.hidden || (document.removeEventListener("visibilitychange", look), resolve());
    document.addEventListener("visibilitychange", look, { signal });
    return signal.addEventListener("abort", resolve, { once: true });
  });
}

function waited(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
