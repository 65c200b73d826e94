// JSON text: values as they were written. Numbers that a float cannot hold keep all their digits.

/** The value of a JSON text. Raises SyntaxError. */
export function readJson(text) {
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && JSON.rawJSON && context?.source !== String(value) ? JSON.rawJSON(context.source) : value,
  );
}

/** On several lines, for people. */
export function pretty(value) {
  return JSON.stringify(value, null, 2) ?? "null";
}

/** What is in a value, by JSON pointer: `Map(pointer -> JSON text)` of all that is no object or list. */
export function leaves(value, pointer = "", found = new Map()) {
  const inner = value !== null && typeof value === "object" && !JSON.isRawJSON?.(value) ? Object.entries(value) : [];
  for (const [name, member] of inner) {
    leaves(member, `${pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`, found);
  }
  if (!inner.length) found.set(pointer || "/", JSON.stringify(value) ?? "");
  return found;
}
