// Graph layout: steps in layers from left to right, each behind all that it needs, with few crossings. Pure.

export const NODE = { width: 208, height: 60 };
const GAP = { x: 56, y: 20 };
const SWEEPS = 6;

/** `steps`: `{name, needs}` in the order of the definition. Where no step has `needs` each waits for the one before. */
export function needsOf(steps) {
  const chained = steps.every((step) => !step.needs?.length);
  const known = new Set(steps.map((step) => step.name));
  return new Map(
    steps.map((step, at) => [
      step.name,
      chained ? (at ? [steps[at - 1].name] : []) : (step.needs ?? []).filter((name) => known.has(name) && name !== step.name),
    ]),
  );
}

/** `{nodes: Map(name -> {x, y}), edges: [{from, to, points}], width, height}`, in pixels. */
export function layout(steps) {
  const needs = needsOf(steps);
  const depth = depths(needs);
  const layers = [];
  const put = (layer, item) => (layers[layer] ??= []).push(item);
  const items = new Map();
  for (const { name } of steps) {
    items.set(name, { name, layer: depth.get(name), before: [], after: [] });
    put(depth.get(name), items.get(name));
  }
  const edges = [];
  for (const [name, needed] of needs) {
    for (const from of needed) {
      const chain = [items.get(from)];
      // A long edge keeps a place in each layer that it crosses.
      for (let layer = depth.get(from) + 1; layer < depth.get(name); layer += 1) {
        const bend = { layer, before: [], after: [] };
        put(layer, bend);
        chain.push(bend);
      }
      chain.push(items.get(name));
      for (let at = 1; at < chain.length; at += 1) {
        chain[at - 1].after.push(chain[at]);
        chain[at].before.push(chain[at - 1]);
      }
      edges.push({ from, to: name, chain });
    }
  }
  arrange(layers);
  return placed(layers, items, edges);
}

function depths(needs) {
  const found = new Map();
  const open = new Set();
  const of = (name) => {
    if (found.has(name)) return found.get(name);
    if (open.has(name)) return 0; // a cycle, which is never saved
    open.add(name);
    const depth = needs.get(name).reduce((most, before) => Math.max(most, of(before) + 1), 0);
    open.delete(name);
    found.set(name, depth);
    return depth;
  };
  for (const name of needs.keys()) of(name);
  return found;
}

function arrange(layers) {
  const number = () => layers.forEach((layer) => layer.forEach((item, at) => (item.at = at)));
  number();
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const forth = sweep % 2 === 0;
    for (const layer of forth ? layers : [...layers].reverse()) {
      for (const item of layer) {
        const beside = forth ? item.before : item.after;
        item.weight = beside.length ? beside.reduce((sum, one) => sum + one.at, 0) / beside.length : item.at;
      }
      layer.sort((a, b) => a.weight - b.weight || a.at - b.at);
      layer.forEach((item, at) => (item.at = at));
    }
  }
}

function placed(layers, items, edges) {
  const tallest = Math.max(1, ...layers.map((layer) => layer.length));
  const row = NODE.height + GAP.y;
  for (const layer of layers) {
    const top = ((tallest - layer.length) * row) / 2;
    for (const item of layer) {
      item.x = item.layer * (NODE.width + GAP.x);
      item.y = top + item.at * row;
    }
  }
  return {
    nodes: new Map([...items].map(([name, { x, y }]) => [name, { x, y }])),
    edges: edges.map(({ from, to, chain }) => ({ from, to, points: chain.flatMap((item, at) => ends(item, at, chain.length)) })),
    width: layers.length * (NODE.width + GAP.x) - GAP.x,
    height: tallest * row - GAP.y,
  };
}

function ends(item, at, count) {
  const y = item.y + NODE.height / 2;
  if (at === 0) return [{ x: item.x + NODE.width, y }];
  if (at === count - 1) return [{ x: item.x, y }];
  return [{ x: item.x, y }, { x: item.x + NODE.width, y }];
}
