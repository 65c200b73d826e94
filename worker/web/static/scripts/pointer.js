// Pointer: JSON pointers (RFC 6901), as the server writes them.

export function segmentsOf(pointer) {
  return pointer.split("/").slice(1).map((each) => each.replaceAll("~1", "/").replaceAll("~0", "~"));
}

export function pointerOf(segments) {
  return segments.map((each) => `/${String(each).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

const SHOWN = 100;

/** Whether a segment that the server wrote may stand for a name: it shortens long ones and escapes what no line holds. */
export function meant(segment, name) {
  if (segment === name) return true;
  const cut = [...name].length > SHOWN ? `${[...name].slice(0, SHOWN - 1).join("")}…` : name;
  const escaped = [...cut].map((each) => (/[\p{C}\p{Zl}\p{Zp}]/u.test(each) || (/\p{Zs}/u.test(each) && each !== " ") ? escape(each) : each));
  return segment === escaped.join("");
}

function escape(character) {
  const short = JSON.stringify(character).slice(1, -1);
  if (short !== character) return short;
  return [...Array(character.length).keys()].map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");
}
