// Lines of a log, held in blocks: lines that came live as text, those of a kept log as bytes that can be read again.
// Neither grows without bound: what nobody looked at is dropped, of a live log what came first.

export const SOURCES = ["stdout", "stderr", "worker"];
const LIVE_BLOCK = 1000;
// More bytes of a kept log than this are dropped again, those that nobody looked at for the longest time first.
const HELD_BYTES = 96 * 1024 * 1024;
// Characters of a live log, of which a browser holds most in one byte; the kept log has them when the run has ended.
const LIVE_CHARACTERS = 64 * 1024 * 1024;
// Of one line that came live, which may be all that a command ever writes.
const LINE_CHARACTERS = 8 * 1024 * 1024;
const DECODED_BLOCKS = 16;

export class LogLines {
  #blocks = [];
  #sources = new Uint8Array(4096);
  #decoded = new Map();
  #held = 0;
  #clock = 0;
  #live = 0;
  #most;
  #gone = 0;
  #cut = false;
  length = 0;
  /** Counts what has changed of lines that were there: one that went on, and those that were fetched again. */
  returned = 0;
  /** Where the bytes of a block come from when they were dropped: `async (start, end) -> Uint8Array`. */
  fetch = null;
  /** Called when lines came, or came back. */
  onchange = () => {};

  /** `most`: characters of lines that came live. */
  constructor({ most = LIVE_CHARACTERS } = {}) {
    this.#most = most;
  }

  /** Whether the kept log has more than is here. */
  get partial() {
    return this.#gone > 0 || this.#cut;
  }

  /** So many lines are not held any more, the first ones of a live log. */
  get dropped() {
    return this.#gone ? this.lastOf(this.#gone - 1) + 1 : 0;
  }

  get blocks() {
    return this.#blocks.length;
  }

  /** The last line of a block. */
  lastOf(number) {
    const block = this.#blocks[number];
    return block.first + block.count - 1;
  }

  /** Of line `index`, from 0. */
  source(index) {
    return this.#sources[index];
  }

  /** The text of line `index`; undefined while it is being fetched again, null once it is dropped. */
  text(index) {
    const number = this.#find(index);
    const block = this.#blocks[number];
    if (!block) return undefined;
    if (number < this.#gone) return null;
    const lines = block.lines ?? this.#decode(number);
    if (!lines) {
      this.blockLines(number).then(() => this.onchange(), () => {});
      return undefined;
    }
    return lines[index - block.first];
  }

  /** All lines of a block with the number of its first: `{first, lines}`; no lines of one that is dropped. */
  async blockLines(number) {
    const block = this.#blocks[number];
    if (number < this.#gone) return { first: block.first, lines: [] };
    if (!block.lines && !block.bytes) {
      block.coming ??= this.fetch(block.start, block.end).finally(() => (block.coming = null));
      this.#hold(block, await block.coming);
      this.returned += 1;
    }
    return { first: block.first, lines: block.lines ?? this.#decode(number) };
  }

  /** A line that came live. `more`: it goes on with the next one that is appended. */
  append(text, source, more) {
    let block = this.#blocks.at(-1);
    if (block?.open) {
      if (block.lines[block.count - 1].length > LINE_CHARACTERS) {
        this.#cut = true;
        text = "";
      }
      block.lines[block.count - 1] += text;
      block.open = more;
      this.returned += 1;
    } else {
      if (!block?.lines || block.count >= LIVE_BLOCK) {
        block = { first: this.length, count: 0, lines: [], size: 0, open: false };
        this.#blocks.push(block);
      }
      block.lines.push(text);
      block.count += 1;
      block.open = more;
      this.#count(source);
    }
    this.#live += text.length;
    block.size += text.length;
    // The newest block stays, however long its lines are.
    while (this.#live > this.#most && this.#gone < this.#blocks.length - 1) {
      const oldest = this.#blocks[this.#gone];
      this.#live -= oldest.size;
      oldest.lines = [];
      this.#gone += 1;
      this.returned += 1;
    }
  }

  /** Whole lines of a kept log, from byte `start` on. `sourceOf(offset, bytes, at)` says where a line came from. */
  appendBytes(bytes, start, sourceOf) {
    const block = { first: this.length, count: 0, start, end: start + bytes.length, bytes: null, used: 0 };
    for (let at = 0; at < bytes.length; ) {
      this.#count(sourceOf(start + at, bytes, at));
      block.count += 1;
      const end = bytes.indexOf(10, at);
      at = end < 0 ? bytes.length : end + 1;
    }
    this.#blocks.push(block);
    this.#hold(block, bytes);
  }

  #count(source) {
    if (this.length === this.#sources.length) {
      const larger = new Uint8Array(this.#sources.length * 2);
      larger.set(this.#sources);
      this.#sources = larger;
    }
    this.#sources[this.length] = source;
    this.length += 1;
  }

  #find(index) {
    let [low, high] = [0, this.#blocks.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#blocks[middle].first <= index) low = middle;
      else high = middle;
    }
    return low;
  }

  #decode(number) {
    const block = this.#blocks[number];
    block.used = this.#clock += 1;
    let lines = this.#decoded.get(number);
    if (!lines && block.bytes) {
      lines = new TextDecoder().decode(block.bytes).split("\n");
      if (this.#decoded.size >= DECODED_BLOCKS) this.#decoded.delete(this.#decoded.keys().next().value);
      this.#decoded.set(number, lines);
    }
    return lines;
  }

  #hold(block, bytes) {
    if (block.bytes) return;
    block.bytes = bytes;
    block.used = this.#clock += 1;
    this.#held += bytes.length;
    while (this.#held > HELD_BYTES && this.fetch) {
      const idle = this.#blocks.filter((one) => one.bytes && one !== block);
      if (!idle.length) return;
      const oldest = idle.reduce((a, b) => (a.used < b.used ? a : b));
      this.#held -= oldest.bytes.length;
      oldest.bytes = null;
    }
  }
}
