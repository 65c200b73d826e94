// Main: the frame around the views, and what holds for all of them.

import { useSession } from "./api.js";
import { replace } from "./element.js";
import { listen, stopListening } from "./events.js";
import { drawFrame, markPlace } from "./frame.js";
import { failed } from "./parts/states.js";
import { isPlace, navigate, start } from "./router.js";
import { forget, may, me, resume, watchSession } from "./session.js";
import { useShortcuts } from "./shortcuts.js";

function place() {
  return location.pathname + location.search + location.hash;
}

/** Where to go instead: everything but the log-in needs somebody. */
function redirect(pathname) {
  if (!me() && pathname !== "/login") return `/login?next=${encodeURIComponent(place())}`;
  if (me() && pathname === "/login") {
    const next = new URLSearchParams(location.search).get("next");
    return isPlace(next) && !next.startsWith("/login") ? next : "/";
  }
  return null;
}

async function run() {
  useSession(null, forget);
  const root = document.getElementById("main");
  try {
    await resume();
  } catch (problem) {
    replace(root, failed(problem, run));
    return;
  }
  drawFrame();
  if (may("tasks:read")) listen();
  watchSession(changed);
  await start(markPlace, redirect);
}

function changed(who) {
  drawFrame();
  if (who && may("tasks:read")) {
    listen();
  } else {
    stopListening();
  }
  navigate(redirect(location.pathname) ?? place(), { replaced: true });
}

useShortcuts();
run();
