// Search: which lines hold a text, in any case of letters; slice by slice, and on with what comes.

import { plain } from "./ansi.js";

const SLICE_MS = 10;
// The clock is looked at once for so many lines.
const LOOK_EVERY = 500;
// A line that somebody looks for an error with; the words of the common languages and tools.
const ERROR = /\b(?:error|fatal|panic|exception|traceback|segmentation fault|failed|failure)\b/i;

export class LogSearch {
  #lines;
  #found = [];
  #next = 0;
  #run = 0;
  needle = "";

  constructor(lines, onchange) {
    this.#lines = lines;
    this.onchange = onchange;
  }

  /** Lines, in their order, from 0. */
  get found() {
    return this.#found;
  }

  start(needle) {
    this.needle = needle.toLowerCase();
    this.#found = [];
    this.#next = 0;
    this.#run += 1;
    this.onchange();
    this.grow();
  }

  /** Look at the lines that came since. A line that is not whole yet is looked at as it stands. */
  async grow() {
    if (!this.needle || this.busy) return;
    this.busy = true;
    const run = this.#run;
    try {
      await eachLine(this.#lines, this.#next, () => run === this.#run, (text, index) => {
        if (plain(text).toLowerCase().includes(this.needle)) this.#found.push(index);
        this.#next = index + 1;
      }, this.onchange);
    } finally {
      this.busy = false;
    }
    if (run !== this.#run) this.grow();
    else this.onchange();
  }
}

/** The first line that speaks of an error; else the first of stderr; else -1. */
export async function firstError(lines) {
  let [error, stderr] = [-1, -1];
  await eachLine(lines, 0, () => error < 0, (text, index) => {
    if (stderr < 0 && lines.source(index) === 1) stderr = index;
    if (error < 0 && ERROR.test(plain(text))) error = index;
  });
  return error >= 0 ? error : stderr;
}

/** `look(text, index)` at every line from `from` on, as long as `wanted()`; the page goes on meanwhile, at `pause()`. */
export async function eachLine(lines, from, wanted, look, pause = () => {}) {
  let since = performance.now();
  const rest = async () => {
    pause();
    await new Promise((resolve) => setTimeout(resolve));
    since = performance.now();
  };
  for (let number = 0; number < lines.blocks; number += 1) {
    if (lines.lastOf(number) < from) continue;
    const { first, lines: texts } = await lines.blockLines(number);
    const last = lines.lastOf(number);
    for (let index = Math.max(first, from); texts.length && index <= last; index += 1) {
      if (!wanted()) return;
      look(texts[index - first], index);
      if (index % LOOK_EVERY === 0 && performance.now() - since > SLICE_MS) await rest();
    }
    if (performance.now() - since > SLICE_MS) await rest();
  }
}
