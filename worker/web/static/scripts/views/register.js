// Register: a script of a file that no script names yet, or of a body; or the next version of one that is registered.

import { api, part, request } from "../api.js";
import { h, replace } from "../element.js";
import { parse } from "../exact.js";
import { schemaForm } from "../parts/form.js";
import { empty } from "../parts/states.js";
import { table } from "../parts/table.js";
import { toast } from "../parts/toast.js";
import { navigate, path } from "../router.js";
import { bytes, timeAgo } from "../time.js";

// What people say first; all else follows.
const FIRST = ["name", "path", "body", "type", "args", "title", "description", "category", "tags", "parameters", "schema"];
// Taken from the file by the server, and refused when they are sent.
const TAKEN = ["kind", "sha256"];

export function title() {
  return "Register a script";
}

export async function show(root, params, query, signal) {
  const change = query.get("change");
  const [schema, current] = await Promise.all([registrationSchema(signal), change ? newest(change, signal) : null]);
  const place = h("div.stack", {});

  function fill(value) {
    replace(place, registration({ schema, value, change, signal }));
    place.querySelector("h2").focus();
  }

  if (change) {
    replace(root, h("h1", "Change ", h("bdi", change)),
      h("p.muted", "This makes a new version, which says everything anew and needs an approval of its own."), place);
    replace(place, registration({ schema, value: current, change, signal }));
    return;
  }
  const { files } = await api.get("/scripts/available", {}, { signal });
  replace(
    root,
    h("h1", "Register a script"),
    h("p.muted", "To register a script is not to be able to run it: the operators of workers admit it, by a list or by an approval."),
    files.length ? table({
      caption: "Files that no script names yet",
      key: (file) => file.path,
      rows: files,
      columns: [
        { label: "File", header: true, cell: (file) => h("code.break", h("bdi", file.path)) },
        { label: "Kind", cell: (file) => file.kind },
        { label: "Size", className: "number", cell: (file) => bytes(file.size) },
        { label: "Changed", cell: (file) => timeAgo(file.modifiedAt) },
        { label: "Choose", hidden: true, cell: (file) => h("button", { type: "button", "aria-label": `Register ${file.path}`, onclick: () => fill(ofFile(file)) }, "Register") },
      ],
    }).node : empty("Every executable file below scripts/ is a script already."),
    h("div.row", h("button", { type: "button", onclick: () => fill(ofBody()) }, "Write one here instead")),
    place,
  );
}

function registration({ schema, value, change, signal }) {
  const complaint = h("p.note.bad", { role: "alert", hidden: true });
  const button = h("button.primary", { type: "submit" }, change ? "Save as a new version" : "Register");
  const form = schemaForm({
    document: schema,
    value,
    fresh: false,
    omit: change ? ["name"] : [],
    further: [...schema.get("properties").keys()].filter((name) => !FIRST.includes(name)),
    // There is nothing to ask before it is sent: a registration is judged with its file, when it is made.
    check: async () => ({ valid: true, errors: [] }),
    signal,
  });

  async function send(event) {
    event.preventDefault();
    complaint.hidden = true;
    const text = await form.ready();
    if (text === null || button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
      const answer = await request(change ? "PUT" : "POST", change ? `/scripts/${part(change)}` : "/scripts", { text, signal });
      const made = await answer.json();
      toast(`${made.name} is registered, version ${made.version}. It runs when a worker admits it.`);
      await navigate(path("/scripts/:name", { name: made.name }));
    } catch (problem) {
      if (signal.aborted) return;
      if (problem.errors?.length) form.refuse(problem.errors);
      else {
        complaint.textContent = problem.message;
        complaint.hidden = false;
      }
    } finally {
      button.setAttribute("aria-disabled", "false");
    }
  }

  return h("form.card", { novalidate: true, onsubmit: send, "aria-label": "Registration" },
    h("h2", { tabindex: "-1" }, "What it is"), complaint, form.element, h("div.row", button));
}

function ofFile(file) {
  return new Map([...(file.name ? [["name", file.name]] : []), ["path", file.path], ["parameters", []]]);
}

function ofBody() {
  return new Map([["type", "bash"], ["parameters", []]]);
}

/** As the API documents what it takes; so the page knows no field by itself. */
async function registrationSchema(signal) {
  const document = parse(await (await request("GET", "/openapi.json", { signal })).text());
  const route = document.get("paths").get("/api/v1/scripts").get("post");
  const schema = new Map(route.get("requestBody").get("content").get("application/json").get("schema"));
  const properties = schema.get("properties");
  const named = FIRST.filter((name) => properties.has(name)).map((name) => [name, properties.get(name)]);
  const body = new Map([["body", new Map([...properties.get("body"), ["x-multiline", true]])]]);
  schema.set("properties", new Map([...named, ...properties, ...body]));
  return schema;
}

async function newest(name, signal) {
  const at = `/scripts/${part(name)}/versions`;
  const { versions } = await api.get(at, {}, { signal });
  const answer = await request("GET", `${at}/${versions[0].version}`, { signal });
  const declaration = new Map(parse(await answer.text()).get("declaration"));
  for (const key of TAKEN) declaration.delete(key);
  return declaration;
}
