// Element: makes elements. Text becomes text nodes, whatever is in it: nothing is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";
const LINKS = new Set(["href", "src", "action", "formaction", "poster", "data", "xlink:href"]);
// They would be parsed as HTML, or as code.
const REFUSED = new Set(["srcdoc", "innerhtml", "outerhtml"]);
// Set as properties, after the children: a select has its value only once it has its options.
const PROPERTIES = new Set(["value", "checked", "indeterminate", "selected"]);

/**
 * `h("a.button.primary", {href, onclick: fn, "aria-label": text}, "text", node, [more], null)`.
 * Attributes: `null`, `undefined` and `false` are left out, `true` is empty (of `aria-*` both are written); `on*` have
 * to be functions; `href` and the like are dropped unless http(s) or relative; `style` is an object; `dataset` too.
 */
export function h(tag, attributes, ...children) {
  return made(null, tag, attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes, ...children) {
  return made(SVG, tag, attributes, children);
}

/** The children instead of what is in it. */
export function replace(node, ...children) {
  node.replaceChildren(...flat(children));
  return node;
}

/** The address if it leads to the web or to us; else null. */
export function safeLink(value, name = "href") {
  try {
    const url = new URL(String(value), document.baseURI);
    const image = name === "src" && url.protocol === "data:" && /^data:image\/(png|jpeg|gif|webp);/.test(url.href);
    return url.protocol === "http:" || url.protocol === "https:" || image ? String(value) : null;
  } catch {
    return null;
  }
}

function made(space, tag, attributes, children) {
  const [name, ...classes] = tag.split(".");
  const node = space ? document.createElementNS(space, name) : document.createElement(name || "div");
  for (const each of classes) node.classList.add(each);
  if (!isAttributes(attributes)) {
    children = [attributes, ...children];
    attributes = {};
  }
  const last = [];
  for (const [key, value] of Object.entries(attributes)) {
    if (PROPERTIES.has(key) && key in node) last.push([key, value]);
    else set(node, key, value);
  }
  node.append(...flat(children));
  for (const [key, value] of last) if (value !== null && value !== undefined) node[key] = value;
  return node;
}

function isAttributes(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) && !(value instanceof Node);
}

function set(node, key, value) {
  const name = key.toLowerCase();
  if (name.startsWith("on")) {
    if (value === null || value === undefined) return;
    if (typeof value !== "function") throw new TypeError(`${key} has to be a function`);
    node.addEventListener(name.slice(2), value);
  } else if (REFUSED.has(name)) {
    throw new TypeError(`${key} is not set here`);
  } else if (name === "style") {
    if (value && typeof value !== "object") throw new TypeError("style has to be an object");
    for (const [property, setting] of Object.entries(value ?? {})) {
      if (setting !== null && setting !== undefined) node.style.setProperty(property, String(setting));
    }
  } else if (name === "dataset") {
    for (const [property, setting] of Object.entries(value ?? {})) {
      if (setting !== null && setting !== undefined) node.dataset[property] = String(setting);
    }
  } else if (name === "class" || name === "classname") {
    for (const each of String(value ?? "").split(/\s+/)) if (each) node.classList.add(each);
  } else if (value === null || value === undefined) {
    return;
  } else if (name.startsWith("aria-")) {
    node.setAttribute(key, String(value));
  } else if (value === false) {
    return;
  } else if (LINKS.has(name)) {
    const link = safeLink(value, name);
    if (link !== null) node.setAttribute(key, link);
  } else {
    node.setAttribute(key, value === true ? "" : String(value));
  }
}

function flat(children) {
  return children
    .flat(Infinity)
    .filter((each) => each !== null && each !== undefined && each !== false && each !== true)
    .map((each) => (each instanceof Node ? each : document.createTextNode(String(each))));
}
