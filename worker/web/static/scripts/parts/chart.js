// Chart: stacked bars over time, drawn here. Kinds differ by pattern as well as by colour, and a table tells the same.

import { h, replace, s } from "../element.js";
import { look } from "./badge.js";

// As wide as there is room, so that letters have the size of letters.
const WIDEST = 1300;
const NARROWEST = 280;
const LABEL = 110;
const HEIGHT = 180;
const LEFT = 44;
const BOTTOM = 22;
const TOP = 8;
let made = 0;

// By their shape: lines of some direction, crossed ones, dots, or plain. What is not here is plain.
const DRAWN = {
  failed: "M0 6L6 0",
  exception: "M0 6L6 0M0 0L6 6",
  timeout: "M0 3H6",
  running: "M3 0V6",
  pending: "M2 2h2v2h-2z",
};

/**
 * `update({kinds, bars, label})`: `bars` are `{at, title, values: {kind: number}}`, oldest first; `kinds` in the order
 * in which they are stacked; `axis(at)` writes a moment under it. Returns `{node, update}`.
 */
export function chart({ caption, kinds, axis }) {
  const prefix = `chart-${++made}`;
  const figure = h("figure.chart");
  const node = h("div", figure);

  function update(bars) {
    const used = kinds.filter((kind) => bars.some((bar) => bar.values[kind]));
    const totals = bars.map((bar) => used.reduce((sum, kind) => sum + (bar.values[kind] ?? 0), 0));
    const most = nice(Math.max(1, ...totals));
    const width = Math.max(NARROWEST, Math.min(WIDEST, node.clientWidth || window.innerWidth - 64));
    const step = (width - LEFT) / Math.max(1, bars.length);
    const scale = (HEIGHT - BOTTOM - TOP) / most;
    const sum = totals.reduce((one, other) => one + other, 0);
    const opened = node.querySelector("details")?.open ?? false;
    replace(
      figure,
      s(
        "svg",
        { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `${caption}: ${sum} in all. The table below has the numbers.` },
        s("defs", used.map((kind) => pattern(`${prefix}-${kind}`, kind))),
        [0, most / 2, most].map((value) => line(value, HEIGHT - BOTTOM - value * scale, width)),
        bars.map((bar, index) => stack(bar, index)),
        labels(),
      ),
      h("ul.legend", used.map((kind) => h("li", swatch(kind), kind))),
      h("details", { open: opened }, h("summary", "As a table"), asTable()),
    );

    function stack(bar, index) {
      let below = 0;
      return s(
        "g",
        s("title", bar.title),
        s("rect.hit", { x: LEFT + index * step, y: TOP, width: step, height: HEIGHT - BOTTOM - TOP }),
        used.map((kind) => {
          const value = bar.values[kind] ?? 0;
          if (!value) return null;
          // What is there is seen, however much more there is of something else.
          const height = Math.max(1.5, value * scale);
          below += height;
          return s(`rect.${look(kind)}`, {
            x: LEFT + index * step + 1,
            y: HEIGHT - BOTTOM - below,
            width: Math.max(1, step - 2),
            height,
            fill: `url(#${prefix}-${kind})`,
          });
        }),
      );
    }

    function labels() {
      const every = Math.max(1, Math.ceil((bars.length * LABEL) / width));
      return bars.map((bar, index) =>
        index % every ? null : s("text", { x: LEFT + index * step, y: HEIGHT - 6 }, axis(bar.at)),
      );
    }

    function asTable() {
      const rows = bars.filter((_, index) => totals[index]);
      return h(
        ".table-frame",
        { tabindex: "0", role: "region", "aria-label": caption },
        h(
          "table",
          h("caption.visually-hidden", caption),
          h("thead", h("tr", h("th", { scope: "col" }, "From"), used.map((kind) => h("th.number", { scope: "col" }, kind)))),
          h(
            "tbody",
            rows.map((bar) =>
              h(
                "tr",
                h("th", { scope: "row" }, axis(bar.at)),
                used.map((kind) => h("td.number", String(bar.values[kind] ?? 0))),
              ),
            ),
          ),
        ),
      );
    }
  }

  function swatch(kind) {
    return s(
      "svg",
      { viewBox: "0 0 12 12", width: 12, height: 12, "aria-hidden": "true" },
      s(`rect.${look(kind)}`, { width: 12, height: 12, rx: 2, fill: `url(#${prefix}-${kind})` }),
    );
  }

  return { node, update };
}

function pattern(id, kind) {
  const drawn = Object.hasOwn(DRAWN, kind) ? DRAWN[kind] : null;
  return s(
    `pattern.${look(kind)}`,
    { id, width: 6, height: 6, patternUnits: "userSpaceOnUse" },
    s("rect.ground", { width: 6, height: 6 }),
    drawn ? s("path.drawn", { d: drawn }) : null,
  );
}

function line(value, y, width) {
  return [
    s("line.axis", { x1: LEFT, x2: width, y1: y, y2: y }),
    s("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, short(value)),
  ];
}

/** The next number with one digit and zeros, or its half. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((each) => each * power).find((each) => each >= value);
}

function short(value) {
  if (value >= 1e6) return `${value / 1e6}M`;
  return value >= 1e4 ? `${value / 1000}k` : String(Math.round(value * 10) / 10);
}
