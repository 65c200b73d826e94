// Prefill: a payload from the address: `?payload=<base64url of JSON>`, or `?p.name=value` for single members.

import { parse, stringify } from "./exact.js";

const MEMBER = "p.";
// An address that a server still reads.
const LONGEST = 6000;

/** `{value, fresh, problem}`: `value` undefined when the address says nothing. `query`: URLSearchParams. */
export function prefilled(query, schema) {
  const whole = query.get("payload");
  if (whole) {
    try {
      const value = parse(fromBase64url(whole));
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
  const query = `?payload=${toBase64url(text)}`;
  return query.length > LONGEST ? null : query;
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

function fromBase64url(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

function toBase64url(text) {
  const bytes = new TextEncoder().encode(text);
  const binary = Array.from(bytes, (each) => String.fromCharCode(each)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** A payload as the text of an address, for links of others. `value`: plain JSON. */
export function payloadLink(script, value) {
  const query = linkOf(stringify(value));
  return query && `/scripts/${encodeURIComponent(script)}${query}`;
}
