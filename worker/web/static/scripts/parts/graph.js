// Graph: the steps of a workflow as boxes that are links, over lines drawn as SVG; alive when `update` is called.

import { h, replace, s } from "../element.js";
import { badge, look } from "./badge.js";
import { layout, NODE } from "./graph_layout.js";

const ARROW = 6;

/** `describe(step)`: `{status, text, href}` of a step; without a status it is only drawn. */
export function graph(steps, describe, label) {
  const { nodes, edges, width, height } = layout(steps);
  const boxes = new Map();
  const drawing = s("svg.graph-edges", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true", focusable: "false" });
  const canvas = h("div.graph-canvas", { style: { width: `${width}px`, height: `${height}px` } }, drawing);
  const element = h("div.graph", { role: "region", tabindex: 0, "aria-label": label }, canvas);
  const lines = edges.map((edge) => {
    const line = s("path.graph-edge", { d: curve(edge.points) });
    drawing.append(line, arrow(edge.points.at(-1)));
    return { line, from: edge.from };
  });

  function update() {
    const status = new Map();
    for (const step of steps) {
      const found = describe(step);
      status.set(step.name, found.status);
      const text = JSON.stringify(found);
      const old = boxes.get(step.name);
      if (old?.text === text) continue;
      const node = box(step, found, nodes.get(step.name));
      const focused = old?.node === document.activeElement;
      if (old) old.node.replaceWith(node);
      else canvas.append(node);
      if (focused) node.focus();
      boxes.set(step.name, { node, text });
    }
    for (const { line, from } of lines) line.classList.toggle("is-done", status.get(from) === "completed");
  }

  update();
  return { element, update };
}

function box(step, { status, text, href }, { x, y }) {
  const tag = `${href ? "a" : "div"}.graph-node${status ? `.${look(status)}` : ""}`;
  const style = { left: `${x}px`, top: `${y}px`, width: `${NODE.width}px`, height: `${NODE.height}px` };
  return h(
    tag,
    { href, style, title: step.name, dataset: { step: step.name } },
    h("span.graph-name", step.name),
    h("span.graph-text", status ? badge(status) : null, h("span.muted", text ?? "")),
  );
}

function curve(points) {
  const [first, ...rest] = points;
  let path = `M${first.x} ${first.y}`;
  let before = first;
  for (const point of rest) {
    const middle = (before.x + point.x) / 2;
    path += ` C${middle} ${before.y} ${middle} ${point.y} ${point.x} ${point.y}`;
    before = point;
  }
  return path;
}

function arrow({ x, y }) {
  return s("path.graph-arrow", { d: `M${x - ARROW} ${y - ARROW / 2}L${x} ${y}L${x - ARROW} ${y + ARROW / 2}z` });
}

/** The rows of a table of the same steps, for who does not see the drawing, are up to the view. */
export function graphFrame(drawn, table) {
  return h("div.stack", drawn.element, replace(h("details"), h("summary", "The steps as a table"), table));
}
