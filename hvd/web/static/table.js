/** A panel with a table: heading, columns that sort where they can, rows that are reused. */

import { Rows, make, makeTable, mark, say } from "./dom.js";
import { finish } from "./frames.js";
import { sessionStorageOrNone } from "./token.js";

export class Table {
  /**
   * @param {HTMLElement} section with an aria-labelledby that names the heading to be made
   * @param {{title: string, none: string, columns: {name: string, title?: string, number?: boolean, class?: string,
   *   sort?: (item: any) => number | string | null, create?: (cell: HTMLElement) => void,
   *   fill: (cell: HTMLElement, item: any) => void}[], sorted?: [number, number],
   *   among?: (item: any) => number, row?: (row: HTMLElement, item: any) => void, open?: (item: any) => void}} table
   *   `sorted` is the column that rows are sorted by at first, and 1 (ascending) or -1; what the user chose in this
   *   session goes before it. `among` rows of the same value those come first that have more of it. `open` is what a click on a row does
   */
  constructor(section, table) {
    this.table = table;
    this.store = `hvd sort ${section.id} ${new URL(".", document.baseURI)}`;
    this.sorted = this.#stored() ?? table.sorted ?? null;
    this.items = [];
    this.key = () => "";
    const id = section.getAttribute("aria-labelledby");
    this.aside = make("p", { class: "aside" });
    this.tools = make("div", { class: "tools" });
    this.note = make("p", { class: "note", role: "status" });
    this.empty = make("p", { class: "empty", text: table.none });
    this.heads = table.columns.map((column, i) => this.#head(column, i));
    this.body = make("tbody");
    this.rows = new Rows(this.body, () => this.#row(), (row, item) => this.#fill(row, item));
    this.scroll = makeTable(`${table.title}, table`, this.heads, this.body, { "aria-labelledby": id });
    section.append(
      make("div", { class: "heading" }, make("h2", { id, text: table.title }), this.aside, this.tools),
      make("div", { class: "panel" }, this.note, this.scroll, this.empty),
    );
    if (table.open) this.#followClicks();
    this.#markSorted();
  }

  #head(column, i) {
    const head = make("th", { scope: "col", class: classOf(column), title: column.title });
    if (!column.sort) {
      head.append(column.name);
      return head;
    }
    const button = make("button", { type: "button", text: column.name }, make("span", { "aria-hidden": "true" }));
    button.addEventListener("click", () => {
      const [sorted, way] = this.sorted ?? [];
      // numbers are wanted largest first, names from A on
      this.sorted = [i, sorted === i ? -way : column.number ? -1 : 1];
      sessionStorageOrNone()?.setItem(this.store, JSON.stringify([column.name, this.sorted[1]]));
      this.#markSorted();
      this.redraw();
    });
    head.append(button);
    return head;
  }

  /** What the user chose in this session, before the page was loaded anew. */
  #stored() {
    const [name, way] = JSON.parse(sessionStorageOrNone()?.getItem(this.store) ?? "[]");
    const i = this.table.columns.findIndex((column) => column.sort && column.name === name);
    return i < 0 ? null : [i, way];
  }

  #markSorted() {
    this.heads.forEach((head, i) => {
      const way = this.sorted?.[0] === i ? this.sorted[1] : 0;
      mark(head, "aria-sort", way ? (way > 0 ? "ascending" : "descending") : null);
      const arrow = head.querySelector("button span");
      if (arrow) say(arrow, way ? (way > 0 ? "▲" : "▼") : "");
    });
  }

  #followClicks() {
    this.body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      const isSelection = getSelection().type === "Range"; // somebody copies a part of it
      if (row && !isSelection && !event.target.closest("a, button, input, summary")) this.table.open(row.item);
    });
  }

  #row() {
    const row = make("tr");
    this.table.columns.forEach((column, i) => {
      const cell = make(i ? "td" : "th", { scope: i ? undefined : "row", class: classOf(column) });
      column.create?.(cell);
      row.append(cell);
    });
    return row;
  }

  #fill(row, item) {
    row.item = item;
    this.table.columns.forEach((column, i) => column.fill(row.cells[i], item));
    this.table.row?.(row, item);
  }

  /** The same rows once more, where something else has changed; on a page that is paused too. */
  redraw() {
    this.update(this.items, this.key);
  }

  /** @param {any[]} items @param {(item: any) => string | number} key */
  update(items, key) {
    finish(this.parts(items, key));
  }

  /** The same in parts, see Rows. */
  *parts(items, key) {
    this.items = items;
    this.key = key;
    const column = this.sorted && this.table.columns[this.sorted[0]];
    const rows = column ? [...items].sort(comparing(column.sort, this.sorted[1], key, this.table.among)) : items;
    this.empty.hidden = items.length > 0;
    this.scroll.hidden = !items.length;
    yield* this.rows.parts(rows, key);
  }
}

const classOf = ({ number, class: own }) => [number && "number", own].filter(Boolean).join(" ") || undefined;

const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);

/**
 * By value, what isn't known at the end either way; then the most of `among` first, then by key: rows of the same value would else change places at every
 * message.
 */
export function comparing(value, way, key, among = () => 0) {
  return (one, other) => {
    const [a, b] = [value(one) ?? null, value(other) ?? null];
    if ((a === null) !== (b === null)) return a === null ? 1 : -1;
    return way * compare(a, b) || compare(among(other), among(one)) || compare(key(one), key(other));
  };
}

/** A cell with text, and its exact value in the title. */
export function text(cell, value, title = null) {
  say(cell, value);
  mark(cell, "title", title);
}
