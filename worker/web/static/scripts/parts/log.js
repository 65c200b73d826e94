// Log: shows the lines of a log, however many, while they come; with search, sources, links to lines and keys.

import { h, replace } from "../element.js";
import { plain } from "./ansi.js";
import { SOURCES } from "./log_lines.js";
import { LogRows, ROW_PX } from "./log_rows.js";
import { eachLine, firstError, LogSearch } from "./log_search.js";
import { logRow, painted, SHORT } from "./log_row.js";

const ANNOUNCE_MS = 5000;
const COPIED_CHARACTERS = 4 * 1024 * 1024;
const WHOLE_CHARACTERS = 100_000;
const TYPING_MS = 150;
const LEAST_PX = 120;

/** `{element, changed(), state(text), setFollow(on)}` for LogLines. `live`: begin at the end and follow. */
export function logView(lines, { live, download, signal, tell = () => {} }) {
  return new LogView(lines, live, download, signal, tell);
}

class LogView {
  #lines;
  #rows;
  #search;
  #wanted = new Set([0, 1, 2]);
  #shown = null;
  #looked = 0;
  #chosen = [0, 0];
  #hit = -1;
  #following;
  #said = 0;
  #timer = 0;
  #hash;
  #signal;

  constructor(lines, live, download, signal, tell) {
    this.#lines = lines;
    this.#signal = signal;
    this.#hash = lineOf(location.hash);
    this.#following = live && !this.#hash;
    this.tell = tell;
    this.#build(download);
    this.follow.hidden = !live;
    this.#search = new LogSearch(lines, () => this.#found());
    this.#rows = new LogRows(this.viewport, {
      draw: (row) => this.#row(row),
      onscroll: (up) => this.#scrolled(up),
      signal,
    });
    lines.onchange = () => this.changed();
    window.addEventListener("hashchange", () => this.#go(lineOf(location.hash)), { signal });
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
    this.changed();
  }

  /** Lines came, or came back. */
  changed() {
    if (this.#shown) this.#filter();
    this.#rows.resize(this.#count, this.#lines.returned !== this.returned);
    this.returned = this.#lines.returned;
    if (this.#following) this.#rows.toEnd();
    if (this.#hash && this.#lines.length >= this.#hash[1]) this.#go(this.#hash);
    this.#search.grow();
    this.#sized();
    this.#counted();
  }

  /** What does not grow any more takes no more room than it has lines. */
  #sized() {
    const rows = this.said ? null : (this.#lines.length + 2) * ROW_PX;
    this.viewport.style.setProperty("--digits", String(String(this.#lines.length).length));
    this.viewport.style.maxHeight = rows === null ? "" : `${Math.max(LEAST_PX, rows)}px`;
  }

  /** What is said beside the number of lines, such as "live"; "" once no line can follow. */
  state(text) {
    this.said = text;
    if (!text) this.follow.hidden = true;
    this.#sized();
    this.#counted();
  }

  setFollow(on) {
    this.#following = on;
    this.follow.setAttribute("aria-pressed", String(on));
    replace(this.follow, on ? "Following" : "Follow");
    if (on) this.#rows.toEnd();
  }

  get #count() {
    return this.#shown ? this.#shown.length : this.#lines.length;
  }

  #build(download) {
    this.viewport = h("div.log-viewport", {
      tabindex: 0,
      role: "log",
      "aria-live": "off",
      "aria-label": "Log",
      onkeydown: (event) => this.#key(event),
    });
    this.input = h("input", {
      type: "search",
      placeholder: "Search the log",
      "aria-label": "Search the log",
      oninput: () => this.#typed(),
      onkeydown: (event) => event.key === "Enter" && (event.preventDefault(), this.#step(event.shiftKey ? -1 : 1)),
    });
    this.hits = h("output.log-hits", { "aria-live": "polite" });
    this.count = h("span.log-count.muted");
    this.announcer = h("div.visually-hidden", { role: "status" });
    this.whole = h("div.log-whole", { hidden: "" });
    this.follow = button("Follow", () => this.setFollow(!this.#following));
    this.resume = h("button.log-resume", { type: "button", hidden: "", onclick: () => this.setFollow(true) }, "Follow again");
    const sources = SOURCES.map((name, number) =>
      h("label.log-filter", h("input", { type: "checkbox", checked: true, onchange: (e) => this.#want(number, e.target.checked) }), name),
    );
    this.element = h(
      "section.log",
      { "aria-label": "Log of the run" },
      h(
        "div.log-tools",
        { role: "group", "aria-label": "Log tools" },
        h("div.log-group", this.input, button("Previous", () => this.#step(-1)), button("Next", () => this.#step(1)), this.hits),
        h("fieldset.log-group", h("legend.visually-hidden", "Sources"), sources),
        h(
          "div.log-group",
          button("First error", () => this.#error()),
          this.follow,
          button("Copy", () => this.#copy()),
          download ? h("a.button", { href: download.href, download: download.name }, "Download") : null,
        ),
      ),
      h("div.log-frame", this.viewport, this.resume),
      this.whole,
      this.count,
      this.announcer,
    );
    this.setFollowLabel();
  }

  setFollowLabel() {
    this.follow.setAttribute("aria-pressed", String(this.#following));
    replace(this.follow, this.#following ? "Following" : "Follow");
  }

  #row(row) {
    const index = this.#shown ? this.#shown[row] : row;
    return logRow({
      text: this.#lines.text(index),
      number: index + 1,
      source: this.#lines.source(index),
      chosen: index + 1 >= this.#chosen[0] && index + 1 <= this.#chosen[1],
      marked: this.#search.needle,
      onchoose: (number, extend) => this.#choose(!extend && this.#only(number) ? 0 : number, extend),
    });
  }

  #scrolled(up) {
    if (up && this.#following) this.setFollow(false);
    this.resume.hidden = this.#following || !this.said || this.#rows.atEnd;
  }

  #filter() {
    for (; this.#looked < this.#lines.length; this.#looked += 1) {
      if (this.#wanted.has(this.#lines.source(this.#looked))) this.#shown.push(this.#looked);
    }
  }

  #want(source, on) {
    if (on) this.#wanted.add(source);
    else this.#wanted.delete(source);
    this.#shown = this.#wanted.size === SOURCES.length ? null : [];
    this.#looked = 0;
    if (this.#shown) this.#filter();
    this.#rows.resize(this.#count, true);
    this.#counted();
  }

  #typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => {
      this.#hit = -1;
      this.#search.start(this.input.value);
      this.#rows.resize(this.#count, true);
    }, TYPING_MS);
  }

  #found() {
    const { found, needle } = this.#search;
    const place = this.#hit >= 0 ? `${this.#hit + 1} of ` : "";
    replace(this.hits, needle ? `${place}${found.length.toLocaleString()} ${found.length === 1 ? "line" : "lines"}` : "");
  }

  #step(by) {
    const { found } = this.#search;
    if (!found.length) return;
    const from = this.#hit >= 0 ? this.#hit + by : by > 0 ? this.#firstFrom(found) : found.length - 1;
    this.#hit = (from + found.length) % found.length;
    this.#found();
    this.#see(found[this.#hit] + 1);
  }

  #firstFrom(found) {
    const top = this.#shown ? (this.#shown[this.#rows.first] ?? 0) : this.#rows.first;
    return Math.max(0, found.findIndex((index) => index >= top));
  }

  async #error() {
    const index = await firstError(this.#lines);
    if (index < 0) this.#announce("No line speaks of an error", true);
    else this.#see(index + 1);
  }

  /** Show a line and choose it. */
  #see(number) {
    if (this.#shown && !this.#wanted.has(this.#lines.source(number - 1))) {
      for (const box of this.element.querySelectorAll("input[type=checkbox]")) box.checked = true;
      SOURCES.forEach((_, source) => this.#wanted.add(source));
      this.#shown = null;
    }
    this.setFollow(false);
    this.#choose(number, false);
    this.#rows.show(this.#shown ? this.#shown.indexOf(number - 1) : number - 1);
  }

  #go(range) {
    this.#hash = null;
    if (!range || range[0] > this.#lines.length) return;
    this.#see(range[0]);
    this.#choose(range[1], range[1] > range[0]);
  }

  #only(number) {
    return this.#chosen[0] === number && this.#chosen[1] === number;
  }

  /** Line `number`, or none with 0; `extend`: all from what is chosen to there. */
  #choose(number, extend) {
    const [first, last] = this.#chosen;
    this.#chosen = extend && first ? [Math.min(first, number), Math.max(first, number)] : [number, number];
    const [from, to] = this.#chosen;
    const hash = from ? (to > from ? `#L${from}-L${to}` : `#L${from}`) : "";
    history.replaceState(history.state, "", `${location.pathname}${location.search}${hash}`);
    const text = from && from === to ? this.#lines.text(from - 1) : undefined;
    this.whole.hidden = typeof text !== "string";
    if (typeof text === "string") {
      const source = SHORT[this.#lines.source(from - 1)];
      replace(this.whole, h("span.muted", `Line ${from}, ${source}`), h("div.log-whole-text", painted(text.slice(0, WHOLE_CHARACTERS), this.#search.needle)));
    }
    this.#rows.resize(this.#count, true);
  }

  /** What is chosen, else all of it, as bare text. */
  async #copy() {
    const [from, to] = this.#chosen[0] ? this.#chosen : [1, this.#lines.length];
    const texts = [];
    let size = 0;
    await eachLine(this.#lines, from - 1, () => size < COPIED_CHARACTERS, (text, index) => {
      if (index < to) {
        texts.push(plain(text));
        size += text.length + 1;
      }
    });
    try {
      await navigator.clipboard.writeText(`${texts.join("\n")}\n`);
      this.tell(`${texts.length.toLocaleString()} ${texts.length === 1 ? "line" : "lines"} copied`);
    } catch {
      this.tell("the browser does not let the page copy; choose the text, or download the log");
    }
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.viewport) return;
    const does = {
      ArrowUp: () => this.#move(-1),
      ArrowDown: () => this.#move(1),
      PageUp: () => this.#move(-this.#rows.page),
      PageDown: () => this.#move(this.#rows.page),
      Home: () => this.#move(-Infinity),
      End: () => this.#rows.toEnd(),
      n: () => this.#step(1),
      N: () => this.#step(-1),
      e: () => this.#error(),
      f: () => this.setFollow(!this.#following),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    event.stopPropagation();
    does();
  }

  #move(rows) {
    if (rows < 0) this.setFollow(false);
    this.#rows.by(rows);
    this.#scrolled(rows < 0);
  }

  #counted() {
    const all = this.#lines.length.toLocaleString();
    const some = this.#shown ? `${this.#shown.length.toLocaleString()} of ` : "";
    const { dropped } = this.#lines;
    const held = dropped ? `, the first ${dropped.toLocaleString()} are shown again when the run has ended` : "";
    const text = `${some}${all} ${this.#lines.length === 1 ? "line" : "lines"}${held}${this.said ? `, ${this.said}` : ""}`;
    replace(this.count, text);
    this.#announce(text);
  }

  #announce(text, now = false) {
    clearTimeout(this.#timer);
    const wait = now ? 0 : Math.max(0, this.#said + ANNOUNCE_MS - Date.now());
    this.#timer = setTimeout(() => {
      this.#said = Date.now();
      replace(this.announcer, text);
    }, wait);
  }
}

function button(label, onclick) {
  return h("button", { type: "button", onclick }, label);
}

/** Lines of `#L120` or `#L120-L130`, or null. */
export function lineOf(hash) {
  const found = /^#L(\d{1,9})(?:-L(\d{1,9}))?$/.exec(hash);
  if (!found || found[1] === "0") return null;
  return [Number(found[1]), Math.max(Number(found[1]), Number(found[2] ?? found[1]))];
}
