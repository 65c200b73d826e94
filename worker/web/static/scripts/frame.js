// Frame: the bar at the top: where to go, who is logged in, light or dark.

import { h, replace } from "./element.js";
import { icon } from "./parts/icon.js";
import { toastProblem } from "./parts/toast.js";
import { logOut, may, mayAny, me } from "./session.js";
import { showHelp } from "./shortcuts.js";

// What nobody may use is not offered. `also`: places below it that have addresses of their own.
const PLACES = [
  { href: "/", text: "Overview", needs: () => true },
  { href: "/scripts", text: "Scripts", needs: () => mayAny("scripts:read"), also: ["/register"] },
  { href: "/tasks", text: "Tasks", needs: () => may("tasks:read") && mayAny("scripts:read") },
  { href: "/workflows", text: "Workflows", needs: () => may("workflows:read"), also: ["/workflow-runs"] },
  { href: "/schedules", text: "Schedules", needs: () => may("schedules:read") },
  { href: "/workers", text: "Workers", needs: () => may("workers:read") },
  { href: "/keys", text: "Keys", needs: () => may("keys:write") },
  { href: "/audit", text: "Audit", needs: () => may("audit:read") },
];

/** The places that the caller may use. */
export function places() {
  return PLACES.filter((each) => each.needs());
}

export function drawFrame() {
  const who = me();
  const mark = document.querySelector('link[rel="icon"]').href;
  const brand = h("a.brand", { href: "/" }, h("img", { src: mark, alt: "" }), "Penstock");
  const inner = who
    ? [brand, menuButton(), navigation(), h(".tools", h("span.who", { title: who.name }, who.name), ...tools(), out())]
    : [brand, h(".tools", { style: { "margin-left": "auto" } }, ...tools())];
  replace(document.getElementById("top"), h(".top-inner", inner));
  markPlace(location.pathname);
}

/** Shows in the bar where the page is. */
export function markPlace(pathname) {
  for (const link of document.querySelectorAll("#places a")) {
    const each = PLACES.find(({ href }) => href === link.getAttribute("href"));
    const below = [each.href, ...(each.also ?? [])];
    const here = below.some((one) => pathname === one || (one !== "/" && pathname.startsWith(`${one}/`)));
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  openMenu(false);
}

function navigation() {
  return h(
    "nav",
    { id: "places", "aria-label": "Places", "data-open": "false" },
    h("ul", places().map(({ href, text }) => h("li", h("a", { href }, text)))),
  );
}

function menuButton() {
  return h(
    "button.quiet.menu-button",
    {
      type: "button",
      "aria-controls": "places",
      "aria-expanded": "false",
      onclick: () => openMenu(document.getElementById("places").dataset.open !== "true"),
    },
    icon("menu"),
    "Menu",
  );
}

function openMenu(open) {
  const places = document.getElementById("places");
  if (!places) return;
  places.dataset.open = String(open);
  document.querySelector(".menu-button")?.setAttribute("aria-expanded", String(open));
}

function tools() {
  return [
    h("button.quiet.icon.help", { type: "button", "aria-label": "Keyboard shortcuts", onclick: showHelp }, "?"),
    h("button.quiet.icon", { type: "button", "aria-label": "Light or dark", onclick: otherTheme }, icon("theme")),
  ];
}

function out() {
  return h(
    "button.quiet",
    {
      type: "button",
      onclick: () => logOut().catch((problem) => toastProblem(problem)),
    },
    "Log out",
  );
}

function otherTheme() {
  const root = document.documentElement;
  const dark = getComputedStyle(root).colorScheme === "dark";
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("penstock-theme", root.dataset.theme);
  } catch {
    // Then it holds until the page is closed.
  }
}
