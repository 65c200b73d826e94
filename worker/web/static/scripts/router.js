// Router: which view a path shows. One view at a time; all that it started ends with its signal.

import { replace } from "./element.js";
import { part } from "./api.js";
import { announce } from "./announce.js";
import { failed, loading, nothingHere } from "./parts/states.js";

// A view is imported when it is first shown. Views export `title(params)` and `show(root, params, query, signal)`.
const ROUTES = [
  ["/", "overview"],
  ["/scripts", "scripts"],
  ["/scripts/:name", "script"],
  ["/tasks", "tasks"],
  ["/tasks/:id", "task"],
  ["/workflows", "workflows"],
  ["/workflows/:name", "workflow"],
  ["/workflow-runs/:id", "workflow_run"],
  ["/schedules", "schedules"],
  ["/schedules/:name", "schedule"],
  ["/workers", "workers"],
  ["/workers/:name", "worker"],
  ["/keys", "keys"],
  ["/audit", "audit"],
  ["/register", "register"],
  ["/login", "login"],
].map(([pattern, view]) => ({ pattern, view, parts: pattern.split("/") }));

// A view that is there within this time needs no sign of waiting, which would only flicker.
const WAIT_MS = 150;

let ending = null;
// The path and query of what is shown.
let shown = null;
let watcher = () => {};
let guard = () => null;

/** `onShow(path)` after each change of place; `redirect(path)` may name another place to go to instead. */
export function start(onShow, redirect) {
  watcher = onShow;
  guard = redirect;
  document.addEventListener("click", followed);
  // A step back to another place in the same view is the view's own.
  window.addEventListener("popstate", () => placeOf() !== shown && show());
  return show();
}

/** Go to a path of the page, with its query. */
export function navigate(path, { replaced = false } = {}) {
  history[replaced ? "replaceState" : "pushState"](null, "", path);
  return show({ fresh: true });
}

/** Show the same place once more. */
export function again() {
  return show();
}

/** Another query in the address bar, of the view that is shown and goes on: it has drawn itself. */
export function setQuery(query, { replaced = true, hash = "" } = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== "") search.append(name, String(each));
    }
  }
  const text = search.toString();
  history[replaced ? "replaceState" : "pushState"](null, "", location.pathname + (text ? `?${text}` : "") + hash);
  shown = placeOf();
}

/** The path of a view: `path("/tasks/:id", {id})`. */
export function path(pattern, params = {}) {
  return pattern.replace(/:(\w+)/g, (_, name) => part(params[name]));
}

/** Whether a text is a place of this page to go to; anything else leads away. */
export function isPlace(text) {
  if (typeof text !== "string" || !text.startsWith("/")) return false;
  try {
    const url = new URL(text, location.origin);
    return url.origin === location.origin && found(url.pathname) !== null;
  } catch {
    return false;
  }
}

async function show({ fresh = false } = {}) {
  ending?.abort();
  const controller = (ending = new AbortController());
  const { signal } = controller;
  const elsewhere = guard(location.pathname);
  if (elsewhere) {
    history.replaceState(null, "", elsewhere);
  }
  shown = placeOf();
  const root = document.getElementById("main");
  const place = found(location.pathname);
  watcher(location.pathname);
  if (!place) {
    document.title = "Not found · Penstock";
    replace(root, nothingHere());
    return;
  }
  const waiting = setTimeout(() => replace(root, loading()), WAIT_MS);
  try {
    const view = await import(`./views/${place.view}.js`);
    if (signal.aborted) return;
    document.title = `${view.title(place.params)} · Penstock`;
    const drawn = document.createElement("div");
    drawn.className = "stack view";
    const query = new URLSearchParams(location.search);
    const settled = view.show(drawn, place.params, query, signal);
    // What it has drawn at once is shown at once; else when it is ready.
    if (drawn.childNodes.length === 0) await settled;
    if (signal.aborted) return;
    clearTimeout(waiting);
    replace(root, drawn);
    if (fresh) arrive(root);
    await settled;
  } catch (error) {
    if (signal.aborted) return;
    // A view that is not there any more is a newer version's: reloading gets that.
    const stale = error instanceof TypeError && /import|module/i.test(error.message);
    replace(root, failed(error, stale ? () => location.reload() : again));
    if (!("status" in error)) console.warn(error);
  } finally {
    clearTimeout(waiting);
  }
}

function placeOf() {
  // A payload in the fragment fills in a form; any other is a place within what is shown.
  return location.pathname + location.search + (location.hash.startsWith("#payload=") ? location.hash : "");
}

/** Readers with a keyboard or a screen reader begin at the heading of what is new. */
function arrive(root) {
  window.scrollTo(0, 0);
  const heading = root.querySelector("h1");
  const target = root.querySelector("[autofocus]") ?? heading ?? root;
  if (target === heading) heading.tabIndex = -1;
  target.focus({ preventScroll: true });
  announce(document.title);
}

function found(pathname) {
  const given = pathname.split("/");
  for (const route of ROUTES) {
    if (route.parts.length !== given.length) continue;
    const params = {};
    const same = route.parts.every((each, index) => {
      if (!each.startsWith(":")) return each === given[index];
      try {
        params[each.slice(1)] = decodeURIComponent(given[index]);
      } catch {
        return false;
      }
      return given[index] !== "";
    });
    if (same) return { view: route.view, params };
  }
  return null;
}

function followed(event) {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!link || link.target || link.hasAttribute("download")) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || found(url.pathname) === null) return;
  if (url.hash && url.pathname === location.pathname && url.search === location.search) return;
  event.preventDefault();
  navigate(url.pathname + url.search + url.hash);
}
