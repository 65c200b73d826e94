// Artifacts: what a run has left, with a preview of what can be shown without running anything of it.

import { address, part, request } from "../api.js";
import { h, replace } from "../element.js";
import { bytes } from "../time.js";
import { pretty, readJson } from "./json_text.js";
import { shownText } from "./shown_text.js";
import { empty } from "./states.js";

const TEXT_BYTES = 256 * 1024;
const IMAGES = /^image\/(?:png|jpeg|gif|webp|avif|bmp|svg\+xml)$/;
const FRAMED = new Set(["text/html", "application/xhtml+xml"]);
const TEXTS = /^(?:text\/(?!html)|application\/(?:json|xml|x-sh|javascript|yaml|toml|x-ndjson)|[^;]*\+json)/;

/** Of one run, as its document lists them. */
export function artifactList(taskId, run, signal) {
  if (!run.artifacts.length) return empty("This run has left no artifacts");
  return h("ul.artifacts", run.artifacts.map((artifact) => item(taskId, run.runId, artifact, signal)));
}

function item(taskId, runId, artifact, signal) {
  const path = `/tasks/${part(taskId)}/artifacts/${artifact.name.split("/").map(part).join("/")}`;
  const show = preview(path, runId, artifact);
  const frame = h("div.artifact-preview", { hidden: "" });
  const opener = h("button", { type: "button", "aria-expanded": "false", "aria-label": `Preview ${artifact.name}` }, "Preview");
  opener.addEventListener("click", async () => {
    const open = frame.hidden;
    frame.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (!open) return;
    try {
      replace(frame, await show(signal));
    } catch (problem) {
      if (!signal.aborted) replace(frame, h("p.note.warn", problem.message));
    }
  });
  return h(
    "li",
    h(
      "div.spread",
      h("span.break", h("code", artifact.name), " ", artifact.public ? h("span.tag", "public") : null),
      h(
        "span.row",
        h("span.muted", `${artifact.contentType}, ${bytes(artifact.size)}`),
        show ? opener : null,
        h("a.button", { href: address(path, { run: runId }), download: "", "aria-label": `Download ${artifact.name}` }, "Download"),
      ),
    ),
    frame,
  );
}

/** What makes the preview, or null when there is none of that kind. */
function preview(path, runId, artifact) {
  const type = artifact.contentType;
  if (IMAGES.test(type)) {
    return () => h("img", { src: address(path, { run: runId }), alt: `The image ${artifact.name}` });
  }
  if (FRAMED.has(type)) {
    // Without scripts and with an origin of its own, by the attribute and by what the server says of it.
    const src = address(path, { run: runId, preview: true });
    return () => h("iframe", { src, sandbox: "", title: `Preview of ${artifact.name}`, referrerpolicy: "no-referrer" });
  }
  if (!TEXTS.test(type)) return null;
  return async (signal) => {
    if (!artifact.size) return h("p.muted", "It is empty");
    const headers = { Range: `bytes=0-${TEXT_BYTES - 1}` };
    const text = await (await request("GET", path, { query: { run: runId }, headers, signal })).text();
    const cut = artifact.size > TEXT_BYTES ? h("p.muted", `The first ${bytes(TEXT_BYTES)} of it`) : null;
    return [shownText(cut ? text : indented(text, type), `Preview of ${artifact.name}`), cut];
  };
}

function indented(text, type) {
  try {
    return /json$/.test(type) ? pretty(readJson(text)) : text;
  } catch {
    return text;
  }
}
