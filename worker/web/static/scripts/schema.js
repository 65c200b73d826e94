// Schema: a JSON Schema 2020-12 document (as Maps, see exact.js), and what a form has to know of one place in it.
// It judges nothing: that is for the server.

import { Exact, equal, stringify, typeOf } from "./exact.js";
import { segmentsOf } from "./pointer.js";

const NONE = new Map();
// How many references may follow each other without a value in between.
const HOPS = 40;

export class Schema {
  constructor(document) {
    this.root = document;
    this.resources = new Map();
    this.anchors = new Map();
    this.home = new Map();
    if (document instanceof Map) this.walk(document, document);
  }

  // Every object of the document learns in which resource it stands: `#` in a plugin's part means that part.
  walk(node, resource) {
    const stack = [[node, resource]];
    while (stack.length) {
      const [each, around] = stack.pop();
      let here = around;
      if (each instanceof Map) {
        const id = each.get("$id");
        if (typeof id === "string") {
          this.resources.set(id, each);
          here = each;
        }
        this.home.set(each, here);
        const anchor = each.get("$anchor");
        if (typeof anchor === "string") {
          if (!this.anchors.has(here)) this.anchors.set(here, new Map());
          this.anchors.get(here).set(anchor, each);
        }
      }
      const below = each instanceof Map ? each.values() : Array.isArray(each) ? each : [];
      for (const child of below) if (child !== null && typeof child === "object") stack.push([child, here]);
    }
  }

  /** What a `$ref` in `node` leads to; undefined when that is out of reach. */
  lookUp(reference, node) {
    const [base, fragment = ""] = reference.split("#", 2);
    const resource = base ? this.resources.get(base) : (this.home.get(node) ?? this.root);
    if (!resource || !fragment) return resource;
    let text;
    try {
      text = decodeURIComponent(fragment);
    } catch {
      return undefined;
    }
    if (!text.startsWith("/")) return this.anchors.get(resource)?.get(text);
    let found = resource;
    for (const part of segmentsOf(text)) {
      found = found instanceof Map ? found.get(part) : Array.isArray(found) ? found[Number(part)] : undefined;
    }
    return found;
  }

  /** One Map that says what the node, its references and its `allOf` say together. `true` is an empty one. */
  flat(node, hops = 0) {
    if (!(node instanceof Map)) return NONE;
    if (hops > HOPS) return NONE;
    let found = new Map(node);
    this.home.set(found, this.home.get(node) ?? this.root);
    const reference = node.get("$ref") ?? node.get("$dynamicRef");
    found.delete("$ref");
    found.delete("$dynamicRef");
    found.delete("allOf");
    if (typeof reference === "string") found = this.joined(found, this.flat(this.lookUp(reference, node), hops + 1));
    const all = node.get("allOf");
    if (Array.isArray(all)) for (const each of all) found = this.joined(found, this.flat(each, hops + 1));
    return found;
  }

  /** What holds where both do; of two titles and the like the first counts. */
  joined(one, other) {
    if (!one.size) return other;
    const found = new Map(one);
    for (const [keyword, value] of other) {
      const mine = found.get(keyword);
      if (mine === undefined) found.set(keyword, value);
      else if (keyword === "properties") found.set(keyword, this.bothProperties(mine, value));
      else if (keyword === "required") found.set(keyword, [...new Set([...mine, ...value])]);
      else if (keyword === "type") found.set(keyword, bothTypes(mine, value));
      else if (keyword === "enum") found.set(keyword, mine.filter((each) => value.some((its) => equal(each, its))));
      else if (keyword === "additionalProperties" && value === false) found.set(keyword, false);
    }
    this.home.set(found, this.home.get(one) ?? this.root);
    return found;
  }

  bothProperties(one, other) {
    const found = new Map(one);
    for (const [name, node] of other) {
      const both = found.has(name) && found.get(name) !== true ? new Map([["allOf", [found.get(name), node]]]) : node;
      if (both !== node) this.home.set(both, this.root);
      found.set(name, both);
    }
    return found;
  }

  /** The properties of an object's schema, also those that only `then`, `else` or `dependentSchemas` speak of. */
  properties(flat) {
    const found = new Map(flat.get("properties") ?? NONE);
    const dependent = flat.get("dependentSchemas");
    const further = [flat.get("then"), flat.get("else"), ...(dependent instanceof Map ? dependent.values() : [])];
    for (const each of further) {
      const its = this.flat(each).get("properties");
      if (its instanceof Map) for (const [name, node] of its) if (!found.has(name) && node !== false) found.set(name, node);
    }
    return found;
  }

  /** The alternatives of a place, each with what is common to them; null when it has one form only. */
  alternatives(flat) {
    for (const keyword of ["oneOf", "anyOf"]) {
      const options = flat.get(keyword);
      if (!Array.isArray(options) || !options.length) continue;
      const common = new Map(flat);
      common.delete(keyword);
      this.home.set(common, this.home.get(flat) ?? this.root);
      // `anyOf: [{required: [a]}, {required: [b]}]` is a rule and no choice between forms.
      if (options.every((each) => each instanceof Map && [...each.keys()].every((key) => RULES.has(key)))) {
        flat.delete(keyword);
        continue;
      }
      return options.filter((each) => each !== false).map((each) => {
        const own = this.flat(each);
        const whole = this.joined(new Map([...own].filter(([key]) => ABOUT.has(key))), this.joined(common, own));
        return { node: whole, label: labelOf(own, whole) };
      });
    }
    const types = flat.get("type");
    if (Array.isArray(types) && types.length > 1 && !flat.has("enum") && !flat.has("const")) {
      return types.map((type) => {
        const node = new Map(flat).set("type", type);
        this.home.set(node, this.home.get(flat) ?? this.root);
        return { node, label: type === "null" ? "nothing (null)" : type };
      });
    }
    return null;
  }

  /** The constants to choose from, as `{value, label}`; null when it is not about constants. */
  constants(flat) {
    const labels = flat.get("x-labels");
    if (flat.has("const")) return [{ value: flat.get("const"), label: constantLabel(flat.get("const"), labels) }];
    if (Array.isArray(flat.get("enum"))) {
      return flat.get("enum").map((value) => ({ value, label: constantLabel(value, labels) }));
    }
    for (const keyword of ["oneOf", "anyOf"]) {
      const options = flat.get(keyword);
      if (!Array.isArray(options) || !options.length) continue;
      const each = options.map((option) => this.flat(option));
      if (each.every((option) => option.has("const"))) {
        return each.map((option) => {
          const title = option.get("title");
          return { value: option.get("const"), label: typeof title === "string" ? title : constantLabel(option.get("const")) };
        });
      }
    }
    return null;
  }

  /** A light look whether a value is meant for this form: types, constants, names. Which form to show, no verdict. */
  fits(node, value, depth = 0) {
    if (node === false) return false;
    const flat = this.flat(node);
    if (depth > 8) return true;
    const choice = this.constants(flat);
    if (choice) return choice.some((each) => equal(each.value, value));
    const types = [flat.get("type") ?? []].flat();
    const type = typeOf(value);
    if (types.length && !types.includes(type) && !(type === "integer" && types.includes("number"))) return false;
    if (value instanceof Map) {
      const properties = this.properties(flat);
      if ((flat.get("required") ?? []).some((name) => !value.has(name))) return false;
      for (const [name, member] of value) {
        if (properties.has(name) ? !this.fits(properties.get(name), member, depth + 1) : flat.get("additionalProperties") === false) return false;
      }
    }
    if (Array.isArray(value) && flat.get("items") instanceof Map) {
      if (!value.slice(0, 20).every((each) => this.fits(flat.get("items"), each, depth + 1))) return false;
    }
    const options = flat.get("oneOf") ?? flat.get("anyOf");
    return !Array.isArray(options) || options.some((each) => this.fits(each, value, depth + 1));
  }
}

const RULES = new Set(["required", "not", "minProperties", "maxProperties", "dependentRequired", "$comment"]);
const ABOUT = new Set(["title", "description", "default", "examples"]);

function bothTypes(one, other) {
  const mine = [one].flat();
  const its = [other].flat();
  const both = [...mine, ...its].filter((type) => (mine.includes(type) || (type === "integer" && mine.includes("number")))
    && (its.includes(type) || (type === "integer" && its.includes("number"))));
  const found = [...new Set(both)];
  return found.length === 1 ? found[0] : found;
}

function constantLabel(value, labels) {
  if (typeof value === "string") {
    const label = labels instanceof Map ? labels.get(value) : undefined;
    return typeof label === "string" ? label : value || '"" (empty)';
  }
  if (value instanceof Exact) return value.text;
  if (typeof value === "boolean") return value ? "yes (true)" : "no (false)";
  return value === null ? "nothing (null)" : stringify(value).slice(0, 80);
}

// By its title, or by the constant that tells it from the others, or by its type.
function labelOf(own, whole) {
  const title = own.get("title");
  if (typeof title === "string" && title) return title;
  const properties = own.get("properties");
  if (properties instanceof Map) {
    for (const [name, node] of properties) {
      if (node instanceof Map && node.has("const")) return `${name}: ${constantLabel(node.get("const"))}`;
    }
    if (properties.size) return [...properties.keys()].slice(0, 3).join(", ");
  }
  const type = whole.get("type");
  return type === "null" ? "nothing (null)" : typeof type === "string" ? type : "";
}
