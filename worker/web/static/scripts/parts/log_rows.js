// Rows: of a list of any length only those that are seen are in the document.

import { h } from "../element.js";

export const ROW_PX = 20;
// Browsers hold no element that is higher than some 17 to 33 million pixels; beyond this rows are scrolled in scale.
const HIGHEST_PX = 8_000_000;
const OVERSCAN = 8;
// A browser that is busy, or takes the page for hidden, may give it no frame for as long as it likes.
const LATE_MS = 500;

/** `draw(index)` makes the element of a row; `onscroll(byReader)` is called when what is seen has changed. */
export class LogRows {
  #rows = h("div.log-rows");
  #spacer = h("div.log-spacer");
  #drawn = new Map();
  #top = 0;
  #set = 0;
  #count = 0;
  #frame = 0;
  #late = 0;
  #version = 0;
  #drawnVersion = 0;

  constructor(viewport, { draw, onscroll, signal }) {
    this.viewport = viewport;
    this.draw = draw;
    viewport.append(this.#spacer, this.#rows);
    const listen = (name, heard, more) => viewport.addEventListener(name, heard, { signal, ...more });
    listen("scroll", () => this.#scrolled(onscroll), { passive: true });
    listen("wheel", (event) => this.#wheeled(event, onscroll), { passive: false });
    const watcher = new ResizeObserver(() => this.refresh());
    watcher.observe(viewport);
    signal.addEventListener("abort", () => (watcher.disconnect(), this.#forget()));
  }

  get count() {
    return this.#count;
  }

  get atEnd() {
    return this.#top >= this.#most - ROW_PX;
  }

  get first() {
    return Math.floor(this.#top / ROW_PX);
  }

  get page() {
    return Math.max(1, Math.floor(this.viewport.clientHeight / ROW_PX) - 1);
  }

  /** So many rows now. `redraw`: what rows show has changed, too. */
  resize(count, redraw = false) {
    this.#count = count;
    if (redraw) this.#version += 1;
    this.refresh();
  }

  refresh() {
    if (this.#frame) return;
    const paint = () => {
      this.#forget();
      this.#paint();
    };
    this.#frame = requestAnimationFrame(paint);
    this.#late = setTimeout(paint, LATE_MS);
  }

  #forget() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#late);
    this.#frame = 0;
  }

  toEnd() {
    this.#go(Infinity);
  }

  by(rows) {
    this.#go(this.#top + rows * ROW_PX);
  }

  /** Row `index` comes into the middle, unless it is seen. */
  show(index) {
    const at = index * ROW_PX;
    const height = this.viewport.clientHeight;
    if (at < this.#top || at + ROW_PX * 2 > this.#top + height) this.#go(at - height / 2 + ROW_PX);
    else this.refresh();
  }

  get #most() {
    return Math.max(0, this.#count * ROW_PX - this.viewport.clientHeight);
  }

  /** Pixels of the list for each pixel of the scroll bar. */
  get #scale() {
    const height = this.#count * ROW_PX;
    return height <= HIGHEST_PX ? 1 : this.#most / (HIGHEST_PX - this.viewport.clientHeight);
  }

  #go(top) {
    this.#top = Math.min(this.#most, Math.max(0, top));
    this.refresh();
  }

  #scrolled(onscroll) {
    const at = this.viewport.scrollTop;
    if (Math.abs(at - this.#set) < 1) return this.refresh();
    const before = this.#top;
    this.#top = Math.min(this.#most, at * this.#scale);
    this.#set = at;
    onscroll(this.#top < before);
    return this.refresh();
  }

  #wheeled(event, onscroll) {
    if (this.#scale === 1 || event.deltaY === 0 || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    this.#go(this.#top + event.deltaY * (event.deltaMode ? ROW_PX : 1));
    onscroll(event.deltaY < 0);
  }

  #paint() {
    this.#top = Math.min(this.#top, this.#most);
    this.#spacer.style.height = `${Math.min(HIGHEST_PX, this.#count * ROW_PX)}px`;
    const at = this.#top / this.#scale;
    if (Math.abs(this.viewport.scrollTop - at) >= 1) this.viewport.scrollTop = at;
    this.#set = this.viewport.scrollTop;
    const first = Math.max(0, this.first - OVERSCAN);
    const last = Math.min(this.#count, this.first + this.page + 2 + OVERSCAN);
    if (this.#version !== this.#drawnVersion) this.#drawn.clear();
    this.#drawnVersion = this.#version;
    const wanted = new Map();
    for (let index = first; index < last; index += 1) {
      const row = this.#drawn.get(index) ?? this.draw(index);
      if (row) wanted.set(index, row);
    }
    this.#drawn = wanted;
    keep(this.#rows, [...wanted.values()]);
    this.#rows.style.transform = `translateY(${Math.round(this.#set + first * ROW_PX - this.#top)}px)`;
  }
}

/** Exactly these children, and no node that stays is moved: a selection of the reader's lives on. */
function keep(parent, nodes) {
  const staying = new Set(nodes);
  for (const child of [...parent.children]) if (!staying.has(child)) child.remove();
  let next = parent.firstChild;
  for (const node of nodes) {
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
  }
}
