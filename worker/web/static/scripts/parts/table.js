// Table: rows of the same kind, with a name for each column. Below 640 px each row is a card.

import { h, replace } from "../element.js";

/**
 * `columns`: `{label, cell(row), className, header}`; `header` makes the cell the row's heading, `hidden` hides the
 * label, the class `minor` leaves it out of cards. `key(row)` names a row. Returns `{node, update(rows), put(row),
 * row(key)}`.
 */
export function table({ caption, columns, key, rows = [], captionHidden = false }) {
  const body = h("tbody");
  const shown = new Map();
  const node = h(
    ".table-frame",
    { tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table.cards",
      h(captionHidden ? "caption.visually-hidden" : "caption", caption),
      h(
        "thead",
        h(
          "tr",
          columns.map((column) =>
            h(
              "th",
              { scope: "col", class: column.className },
              column.hidden ? h("span.visually-hidden", column.label) : column.label,
            ),
          ),
        ),
      ),
      body,
    ),
  );

  function drawn(row) {
    return h(
      "tr",
      { dataset: { key: key(row) } },
      columns.map((column) => {
        const cell = h("div.cell", column.cell(row));
        const attributes = { class: column.className, "data-label": column.hidden ? null : column.label };
        if (!cell.textContent && !cell.querySelector("input, svg, img")) attributes["data-empty"] = "";
        return h(column.header ? "th" : "td", column.header ? { ...attributes, scope: "row" } : attributes, cell);
      }),
    );
  }

  /** These rows and no others, in this order; a row that is the same as before stays as it is. */
  function update(rows) {
    const before = new Map(shown);
    shown.clear();
    const nodes = rows.map((row) => {
      const name = String(key(row));
      const text = JSON.stringify(row);
      const old = before.get(name);
      const entry = old && old.text === text ? old : { text, node: drawn(row) };
      shown.set(name, entry);
      return entry.node;
    });
    // Rows that stay where they are keep the focus that is in them.
    if (nodes.length !== body.children.length || nodes.some((each, index) => body.children[index] !== each)) {
      replace(body, nodes);
    }
  }

  /** One row anew, where it stands. False when it is not shown. */
  function put(row) {
    const name = String(key(row));
    const entry = shown.get(name);
    if (!entry) return false;
    const text = JSON.stringify(row);
    if (entry.text === text) return true;
    const fresh = drawn(row);
    const focused = focusPlace(entry.node);
    entry.node.replaceWith(fresh);
    shown.set(name, { text, node: fresh });
    refocus(fresh, focused);
    return true;
  }

  update(rows);
  return { node, update, put, row: (name) => shown.get(String(name))?.node ?? null };
}

const FOCUSABLE = "a[href], button, input, select";

function focusPlace(row) {
  return [...row.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
}

function refocus(row, place) {
  if (place >= 0) [...row.querySelectorAll(FOCUSABLE)][place]?.focus({ preventScroll: true });
}
