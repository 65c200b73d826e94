// Prefill: a payload from the address: `?payload=<base64url of JSON>`, `#payload=` for a long one, or `?p.name=value` for
// single members.

import { decode, encode } from "./base64url.js";
import { parse } from "./exact.js";

const MEMBER = "p.";
// An address that a server still reads. What follows a # is not sent to it.
const LONGEST = 6000;

/** `{value, fresh, problem}`: `value` undefined when the address says nothing. `query`: URLSearchParams. */
export function prefilled(query, schema) {
  const whole = query.get("payload") ?? new URLSearchParams(location.hash.slice(1)).get("payload");
  if (whole) {
    try {
      const value = parse(decode(whole));
      if (!(value instanceof Map)) throw new Error("it is no object");
      return { value, fresh: false, problem: null };
    } catch (error) {
      return { value: undefined, fresh: true, problem: `The payload in the address cannot be read: ${error.message}` };
    }
  }
  const value = new Map();
  const properties = schema.properties(schema.flat(schema.root));
  for (const [key, text] of query) {
    if (!key.startsWith(MEMBER)) continue;
    const name = key.slice(MEMBER.length);
    value.set(name, read(text, properties.get(name), schema));
  }
  return { value: value.size ? value : undefined, fresh: true, problem: null };
}

/** The query of a link that fills in this payload; null when that would be too long. */
export function linkOf(text) {
  const query = `?payload=${encode(text)}`;
  return query.length > LONGEST ? null : query;
}

/** The same for a link within the page, which is never too long. `text`: JSON. `more`: lists of values by their name. */
export function filledIn(text, more = {}) {
  const pairs = Object.entries(more).flatMap(([name, values]) => values.map((value) => [name, value]));
  const rest = new URLSearchParams(pairs).toString();
  const query = linkOf(text);
  return query ? query + (rest && `&${rest}`) : `${rest && `?${rest}`}#payload=${encode(text)}`;
}

// A text stays a text where the schema takes one; else it is JSON, where it is any.
function read(text, node, schema) {
  if (node === undefined || schema.fits(node, text)) return text;
  try {
    return parse(text);
  } catch {
    return text;
  }
}
