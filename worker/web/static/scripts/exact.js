// Exact: JSON without loss. Objects are Maps (any name is just a name, in the order written), numbers keep their text.

/** A number as it is written: what does not fit a float is kept to the last digit. */
export class Exact {
  constructor(text) {
    this.text = text;
    Object.freeze(this);
  }
}

export class JsonError extends Error {
  /** `line` and `column` count from 1. */
  constructor(message, text, at) {
    const before = text.slice(0, at);
    const line = before.split("\n").length;
    const column = at - before.lastIndexOf("\n");
    super(`line ${line}, column ${column}: ${message}`);
    this.line = line;
    this.column = column;
    this.at = at;
  }
}

export const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
export const INTEGER = /^-?(?:0|[1-9]\d*)$/;
const NUMBER_HERE = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const STRING_HERE = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SPACE = /[ \t\n\r]*/y;
// As deep as the server reads; a deeper text would end in a stack that is too high.
const DEPTH = 70;

/** The value that a text holds. Raises JsonError, also for a name that stands twice in one object. */
export function parse(text) {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.space();
  if (reader.at < text.length) reader.wrong("there is more after the end of the value");
  return value;
}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  wrong(message, at = this.at) {
    throw new JsonError(message, this.text, at);
  }

  match(expression) {
    expression.lastIndex = this.at;
    const found = expression.exec(this.text);
    if (found) this.at = expression.lastIndex;
    return found?.[0];
  }

  space() {
    this.match(SPACE);
  }

  value(depth) {
    this.space();
    if (depth > DEPTH) this.wrong("nested too deeply");
    const first = this.text[this.at];
    if (first === "{") return this.object(depth);
    if (first === "[") return this.array(depth);
    if (first === '"') return this.string();
    for (const [word, value] of [["true", true], ["false", false], ["null", null]]) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    const number = this.match(NUMBER_HERE);
    if (number === undefined || number === "") this.wrong(first === undefined ? "the text ends too early" : "a value is expected");
    return new Exact(number);
  }

  string() {
    const found = this.match(STRING_HERE);
    if (found === undefined) this.wrong("this text has no end, or holds what has to be escaped");
    return JSON.parse(found);
  }

  object(depth) {
    const found = new Map();
    this.at += 1;
    this.space();
    if (this.take("}")) return found;
    for (;;) {
      this.space();
      const place = this.at;
      if (this.text[place] !== '"') this.wrong('a name in "quotes" is expected');
      const name = this.string();
      if (found.has(name)) this.wrong(`the name ${JSON.stringify(name)} stands there twice`, place);
      this.space();
      if (!this.take(":")) this.wrong("a colon is expected after the name");
      found.set(name, this.value(depth + 1));
      this.space();
      if (this.take("}")) return found;
      if (!this.take(",")) this.wrong("a comma or } is expected");
    }
  }

  array(depth) {
    const found = [];
    this.at += 1;
    this.space();
    if (this.take("]")) return found;
    for (;;) {
      found.push(this.value(depth + 1));
      this.space();
      if (this.take("]")) return found;
      if (!this.take(",")) this.wrong("a comma or ] is expected");
    }
  }

  take(character) {
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }
}

/** The text of a value; on several lines when `indent` is given. Plain objects and numbers are written, too. */
export function stringify(value, indent = "", margin = "") {
  const inner = margin + indent;
  const [open, close, between] = indent ? [`\n${inner}`, `\n${margin}`, `,\n${inner}`] : ["", "", ","];
  if (value instanceof Exact) return value.text;
  if (Array.isArray(value)) {
    if (!value.length) return "[]";
    return `[${open}${value.map((each) => stringify(each, indent, inner)).join(between)}${close}]`;
  }
  if (value !== null && typeof value === "object") {
    const members = value instanceof Map ? [...value] : Object.entries(value);
    const kept = members.filter(([, member]) => member !== undefined);
    if (!kept.length) return "{}";
    const colon = indent ? ": " : ":";
    const written = kept.map(([name, member]) => JSON.stringify(name) + colon + stringify(member, indent, inner));
    return `{${open}${written.join(between)}${close}}`;
  }
  return JSON.stringify(value) ?? "null";
}

/** The same value: numbers by what they are worth as far as that is exact, names in any order. */
export function equal(one, other) {
  if (one instanceof Exact && other instanceof Exact) return canonical(one.text) === canonical(other.text);
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((each, index) => equal(each, other[index]));
  }
  if (one instanceof Map && other instanceof Map) {
    return one.size === other.size && [...one].every(([name, each]) => other.has(name) && equal(each, other.get(name)));
  }
  return one === other;
}

/** What a value is in JSON's words; a whole number is `integer`. */
export function typeOf(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (value instanceof Map) return "object";
  if (value instanceof Exact) return whole(value.text) ? "integer" : "number";
  return typeof value;
}

// Digits and a power of ten: 1, 1.0 and 10e-1 are all "1e0".
function canonical(text) {
  const [, sign, digits, fraction = "", power = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  const all = (digits + fraction).replace(/^0+/, "");
  const kept = all.replace(/0+$/, "");
  if (!kept) return "0";
  return `${sign}${kept}e${BigInt(power) - BigInt(fraction.length) + BigInt(all.length - kept.length)}`;
}

function whole(text) {
  return INTEGER.test(text) || !/e-|^0$/.test(canonical(text).replace(/^0$/, ""));
}
