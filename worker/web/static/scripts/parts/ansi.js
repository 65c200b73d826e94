// ANSI: the colours and styles of a line as class names; every other control character becomes visible text.
//
// Each line begins without colours: a line can be drawn alone, wherever the reader is in the log. Nothing is hidden:
// concealed text stays readable, and so does text in the colour of its background.

// As `penstock logs` shows them on a terminal: C0 but tab, DEL, C1, separators, what turns the direction of writing.
const UNSAFE = "\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069";
const CONTROL = new RegExp(`\\x1b\\[([0-9;:]{0,64})m|[${UNSAFE}]`, "g");
const ANY_CONTROL = new RegExp(`[${UNSAFE}]`);
// Of the sixteen colours that have classes.
const PALETTE = [
  [0, 0, 0], [205, 0, 0], [0, 205, 0], [205, 205, 0], [0, 0, 238], [205, 0, 205], [0, 205, 205], [229, 229, 229],
  [127, 127, 127], [255, 0, 0], [0, 255, 0], [255, 255, 0], [92, 92, 255], [255, 0, 255], [0, 255, 255], [255, 255, 255],
];
const STEPS = [0, 95, 135, 175, 215, 255];

/** The line as `[{text, classes}]`; put together the texts are `plain(line)`. */
export function pieces(line) {
  const text = line.endsWith("\r") ? line.slice(0, -1) : line;
  if (!ANY_CONTROL.test(text)) return text ? [{ text, classes: "" }] : [];
  const found = [];
  let style = {};
  let from = 0;
  const add = (part, classes) => part && found.push({ text: part, classes });
  for (const match of text.matchAll(CONTROL)) {
    add(text.slice(from, match.index), classesOf(style));
    from = match.index + match[0].length;
    if (match[1] === undefined) add(visible(match[0]), "ansi-control");
    else style = applied(style, match[1]);
  }
  add(text.slice(from), classesOf(style));
  return found;
}

/** What a person reads of the line. */
export function plain(line) {
  const text = line.endsWith("\r") ? line.slice(0, -1) : line;
  if (!ANY_CONTROL.test(text)) return text;
  return text.replace(CONTROL, (whole, codes) => (codes === undefined ? visible(whole) : ""));
}

function visible(character) {
  const code = character.charCodeAt(0);
  if (code < 0x20 || code === 0x7f) return `^${String.fromCharCode(code ^ 0x40)}`;
  return `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
}

function classesOf(style) {
  const names = [];
  if (style.fg !== undefined) names.push(`ansi-fg-${style.fg}`);
  if (style.bg !== undefined && style.bg !== style.fg) names.push(`ansi-bg-${style.bg}`);
  for (const name of ["bold", "dim", "italic", "underline", "strike"]) if (style[name]) names.push(`ansi-${name}`);
  return names.join(" ");
}

function applied(style, text) {
  let next = { ...style };
  const codes = text.split(";");
  for (let at = 0; at < codes.length; at += 1) {
    const parts = codes[at].split(":");
    const code = Number(parts[0]);
    if (code === 0) next = {};
    else if (code === 38 || code === 48) {
      const rest = parts.length > 1 ? parts.slice(1) : codes.slice(at + 1);
      const [color, used] = extended(rest, parts.length > 1);
      if (parts.length === 1) at += used;
      next[code === 38 ? "fg" : "bg"] = color;
    } else simple(next, code, parts[1]);
  }
  return next;
}

function simple(style, code, part) {
  if (code === 1) style.bold = true;
  else if (code === 2) style.dim = true;
  else if (code === 3) style.italic = true;
  else if (code === 4) style.underline = part !== "0";
  else if (code === 9) style.strike = true;
  else if (code === 7) [style.fg, style.bg] = [style.bg ?? 0, style.fg ?? 7];
  else if (code === 22) style.bold = style.dim = false;
  else if (code === 23) style.italic = false;
  else if (code === 24) style.underline = false;
  else if (code === 29) style.strike = false;
  else if (code === 39) style.fg = undefined;
  else if (code === 49) style.bg = undefined;
  else if (code >= 30 && code <= 37) style.fg = code - 30;
  else if (code >= 40 && code <= 47) style.bg = code - 40;
  else if (code >= 90 && code <= 97) style.fg = code - 82;
  else if (code >= 100 && code <= 107) style.bg = code - 92;
}

/** One of 256 colours, or red, green and blue, as the nearest of the sixteen; and how many codes that took. */
function extended(rest, colons) {
  if (rest[0] === "5") return [ofIndex(Number(rest[1])), 2];
  if (rest[0] === "2") return [nearest((colons ? rest.slice(-3) : rest.slice(1, 4)).map(Number)), 4];
  return [undefined, rest.length];
}

function ofIndex(index) {
  if (!(index >= 0 && index <= 255)) return undefined;
  if (index < 16) return index;
  if (index >= 232) return nearest(Array(3).fill(8 + (index - 232) * 10));
  const cube = index - 16;
  return nearest([STEPS[Math.floor(cube / 36)], STEPS[Math.floor(cube / 6) % 6], STEPS[cube % 6]]);
}

function nearest(color) {
  if (color.length !== 3 || !color.every((part) => part >= 0 && part <= 255)) return undefined;
  const distances = PALETTE.map((one) => one.reduce((sum, part, at) => sum + (part - color[at]) ** 2, 0));
  return distances.indexOf(Math.min(...distances));
}
