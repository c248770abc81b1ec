/** A panel with a table: heading, columns that sort where they can, rows that are reused. */

import { Rows, make, makeTable, mark, say } from "./dom.js";

export class Table {
  /**
   * @param {HTMLElement} section with an aria-labelledby that names the heading to be made
   * @param {{title: string, none: string, columns: {name: string, title?: string, number?: boolean, class?: string,
   *   sort?: (item: any) => number | string, create?: (cell: HTMLElement) => void,
   *   fill: (cell: HTMLElement, item: any) => void}[], sorted?: [number, number]}} table
   *   `sorted` is the column that rows are sorted by at first, and 1 (ascending) or -1
   */
  constructor(section, table) {
    this.table = table;
    this.sorted = table.sorted ?? null;
    this.changed = () => {};
    const id = section.getAttribute("aria-labelledby");
    this.aside = make("p", { class: "aside" });
    this.tools = make("div", { class: "tools" });
    this.note = make("p", { class: "note", role: "status" });
    this.empty = make("p", { class: "empty", text: table.none });
    this.heads = table.columns.map((column, i) => this.#head(column, i));
    const body = make("tbody");
    this.rows = new Rows(body, () => this.#row(), (row, item) => this.#fill(row, item));
    this.scroll = makeTable(`${table.title}, table`, this.heads, body, { "aria-labelledby": id });
    section.append(
      make("div", { class: "heading" }, make("h2", { id, text: table.title }), this.aside, this.tools),
      make("div", { class: "panel" }, this.note, this.scroll, this.empty),
    );
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
      this.#markSorted();
      this.changed();
    });
    head.append(button);
    return head;
  }

  #markSorted() {
    this.heads.forEach((head, i) => {
      const way = this.sorted?.[0] === i ? this.sorted[1] : 0;
      mark(head, "aria-sort", way ? (way > 0 ? "ascending" : "descending") : null);
      const arrow = head.querySelector("button span");
      if (arrow) say(arrow, way ? (way > 0 ? "▲" : "▼") : "");
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
    this.table.columns.forEach((column, i) => column.fill(row.cells[i], item));
    this.table.row?.(row, item);
  }

  /** @param {any[]} items @param {(item: any) => string | number} key */
  update(items, key) {
    const column = this.sorted && this.table.columns[this.sorted[0]];
    const rows = column ? [...items].sort(comparing(column.sort, this.sorted[1], key)) : items;
    this.rows.update(rows, key);
    this.empty.hidden = items.length > 0;
    this.scroll.hidden = !items.length;
  }
}

const classOf = ({ number, class: own }) => [number && "number", own].filter(Boolean).join(" ") || undefined;

/** By value, then by key: rows of the same value would else change places at every message. */
function comparing(value, way, key) {
  const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);
  return (one, other) => way * compare(value(one) ?? -1, value(other) ?? -1) || compare(key(one), key(other));
}

/** A cell with text, and its exact value in the title. */
export function text(cell, value, title = null) {
  say(cell, value);
  mark(cell, "title", title);
}
