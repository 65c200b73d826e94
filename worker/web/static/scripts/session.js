// Session: who is logged in, and what they may do. The key itself is sent once and never kept.

import { api, request, useSession } from "./api.js";

let caller = null;
const watchers = new Set();

/** Who is logged in (`name kind scopes keyId expiresAt`), or null. */
export function me() {
  return caller;
}

/** Whether the caller holds a scope; the server decides all the same. */
export function may(scope) {
  return (caller?.scopes ?? []).some((held) =>
    held.endsWith("*") ? scope.startsWith(held.slice(0, -1)) : held === scope || scope.startsWith(`${held}:`),
  );
}

/** Whether the caller holds a scope for anything at all, such as the right to execute some script. */
export function mayAny(scope) {
  return may(scope) || (caller?.scopes ?? []).some((held) => held.startsWith(`${scope}:`));
}

/** `fn` is called after each log-in and log-out. */
export function watchSession(fn) {
  watchers.add(fn);
}

/** Ask the server who is logged in. False: nobody. Raises ApiProblem when it cannot be asked. */
export async function resume() {
  try {
    became(await api.get("/session", {}, { quiet: true }));
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    became(null);
  }
  return caller !== null;
}

/** Log in with `{key}` or `{user, password}`. Raises ApiProblem. */
export async function logIn(proof) {
  const headers = proof.key
    ? { "X-API-Key": asciiOnly(proof.key) }
    : { Authorization: `Basic ${base64(`${proof.user}:${proof.password}`)}` };
  const answer = await request("POST", "/session", { headers, quiet: true });
  became(await answer.json());
}

export async function logOut() {
  await api.delete("/session", { quiet: true });
  became(null);
}

/** The server says that the session is over. */
export function forget() {
  became(null);
}

function became(found) {
  const before = caller?.csrfToken;
  caller = found;
  useSession(found?.csrfToken ?? null);
  // Another tab may have logged in as somebody else.
  if (before !== found?.csrfToken) for (const fn of watchers) fn(found);
}

// A header holds no other characters, and no key has them.
function asciiOnly(text) {
  return text.trim().replace(/[^!-~]/g, "?");
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
