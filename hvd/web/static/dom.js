/** Elements, made once and reused. Text gets in as text only, and nothing unseen with it: it may come from anybody. */

import { plain } from "./format.js";
import { finish } from "./frames.js";

const PART = 8; // rows that are filled at once
const SPARE = 20; // rows that are kept for others

/**
 * @param {string} tag @param {Record<string, any>} [properties] attributes; `text` and `class` too
 * @param {...(Node | string)} children @returns {HTMLElement}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") element.append(value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** The same in SVG. Looks are attributes or classes: the page's policy forbids inline styles. */
export function draw(tag, properties, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A table that scrolls by itself: whoever has no mouse gets there by Tab. */
export function makeTable(label, heads, body, { hidden = false, ...properties } = {}) {
  const table = make("table", properties, make("thead", {}, make("tr", {}, ...heads)), body);
  return make("div", { class: "scroll", role: "region", tabindex: "0", hidden, "aria-label": label }, table);
}

/** Let the element say `text`, by its one text node, and only if it doesn't yet. */
export function say(element, text) {
  const node = element.firstChild ?? element.appendChild(document.createTextNode(""));
  if (node.data === text) return; // the same as before, and so plain: most of a frame's texts are
  const data = plain(text);
  if (node.data !== data) node.data = data;
}

/** Set an attribute if it isn't that yet; null takes it away. */
export function mark(element, name, value) {
  if (value === null || value === undefined) return element.removeAttribute(name);
  const before = element.getAttribute(name);
  if (before === value) return;
  const data = plain(value);
  if (before !== data) element.setAttribute(name, data);
}

/** Rows under a parent, one for each item: a row stays its item's, and spare ones wait for the next. */
export class Rows {
  /**
   * @param {Element} parent @param {() => HTMLElement} create a row
   * @param {(row: any, item: any) => void} fill a row with what its item says now
   */
  constructor(parent, create, fill) {
    this.parent = parent;
    this.create = create;
    this.fill = fill;
    /** @type {Map<string | number, HTMLElement>} */
    this.rows = new Map();
    this.spare = [];
    this.turn = 0;
  }

  /** @param {any[]} items in order @param {(item: any, i: number) => string | number} key */
  update(items, key) {
    finish(this.parts(items, key));
  }

  /**
   * The same in parts: rows are filled a few at a time, and come, go and move at once. What is left of it is dropped if
   * there are other items meanwhile.
   */
  *parts(items, key) {
    const turn = (this.turn += 1);
    const rows = [];
    for (const [i, item] of items.entries()) {
      const own = key(item, i);
      if (!this.rows.has(own)) this.rows.set(own, this.spare.pop() ?? this.create());
      const row = this.rows.get(own);
      this.fill(row, item);
      rows.push(row);
      if (i % PART !== PART - 1) continue;
      yield;
      if (turn !== this.turn) return;
    }
    this.rows = new Map(items.map((item, i) => [key(item, i), rows[i]]));
    this.#place(rows);
  }

  /** Let there be these rows in this order, and move no more of them than have to be. */
  #place(rows) {
    const wanted = new Set(rows);
    for (const row of [...this.parent.children]) {
      if (wanted.has(row)) continue;
      row.remove();
      if (this.spare.length < SPARE) this.spare.push(row);
    }
    const places = new Map(Array.from(this.parent.children, (row, place) => [row, place]));
    const stay = ascending(rows.map((row) => places.get(row) ?? -1));
    let next = null;
    for (let i = rows.length - 1; i >= 0; i -= 1) {
      if (!stay.has(i)) this.parent.insertBefore(rows[i], next);
      next = rows[i];
    }
  }
}

/**
 * Which of these numbers are one of the longest ascending sequences; those below 0 never.
 * @param {number[]} numbers none twice from 0 on @returns {Set<number>} their indexes
 */
export function ascending(numbers) {
  const ends = []; // of the sequences of each length, the index of the least end
  const before = new Map();
  numbers.forEach((number, i) => {
    if (number < 0) return;
    let low = 0;
    for (let high = ends.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (numbers[ends[middle]] < number) low = middle + 1;
      else high = middle;
    }
    before.set(i, ends[low - 1]);
    ends[low] = i;
  });
  const found = new Set();
  for (let i = ends.at(-1); i !== undefined; i = before.get(i)) found.add(i);
  return found;
}
