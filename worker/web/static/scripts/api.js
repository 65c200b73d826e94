// Api: calls of the HTTP API, with JSON both ways. Every refusal is an ApiProblem; nothing is tried twice.

export const BASE = "/api/v1";
const CHANGES = new Set(["POST", "PUT", "PATCH", "DELETE"]);

let token = null;
let onLoggedOut = () => {};

/** What the API refused, or `status` 0: it could not be reached. `errors`: `{message, pointer}` each. */
export class ApiProblem extends Error {
  constructor(status, error, message, errors = [], retryAfterS = null) {
    super(message);
    this.name = "ApiProblem";
    this.status = status;
    this.error = error;
    this.errors = errors;
    this.retryAfterS = retryAfterS;
  }
}

/** The token that shows that a change is the page's own; and what to do when the session is over. */
export function useSession(csrfToken, loggedOut) {
  token = csrfToken;
  if (loggedOut) onLoggedOut = loggedOut;
}

/** The address of a route; `query`: an object, whose lists are repeated and whose nulls are left out. */
export function address(path, query = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== "") search.append(name, String(each));
    }
  }
  const text = search.toString();
  return BASE + path + (text ? `?${text}` : "");
}

/** A part of a path: what a name holds must not become another path. Nothing is named by steps alone. */
export function part(name) {
  const text = String(name);
  if (text === "" || text === "." || text === "..") throw new ApiProblem(404, "not-found", "there is nothing of that name");
  return encodeURIComponent(text);
}

/** The answer as the browser has it, for what is no JSON. Raises ApiProblem. `options` as fetch has them. */
export async function request(method, path, { query, body, text, headers = {}, signal, quiet = false } = {}) {
  const sent = { ...headers };
  if (body !== undefined || text !== undefined) sent["Content-Type"] = "application/json";
  if (CHANGES.has(method) && token) sent["X-CSRF-Token"] = token;
  let answer;
  try {
    answer = await fetch(address(path, query), {
      method,
      headers: sent,
      body: text ?? (body === undefined ? undefined : JSON.stringify(body)),
      signal,
      credentials: "same-origin",
      redirect: "error",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiProblem(0, "unreachable", "the server does not answer");
  }
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  if (problem.status === 401 && !quiet) onLoggedOut();
  throw problem;
}

async function json(method, path, options) {
  const answer = await request(method, path, options);
  return answer.status === 204 ? null : answer.json();
}

/** JSON in and out. `text` instead of `body`: JSON that is written already, numbers of any size as they are. */
export const api = {
  get: (path, query, options) => json("GET", path, { ...options, query }),
  post: (path, body, options) => json("POST", path, { ...options, body }),
  put: (path, body, options) => json("PUT", path, { ...options, body }),
  delete: (path, options) => json("DELETE", path, options),
};

async function problemOf(answer) {
  const retryAfterS = Number(answer.headers.get("Retry-After")) || null;
  try {
    const found = await answer.json();
    return new ApiProblem(answer.status, found.error, found.message, found.problems ?? [], retryAfterS);
  } catch {
    return new ApiProblem(answer.status, "error", `the server answered with ${answer.status}`, [], retryAfterS);
  }
}
