/** The last rows of a table of numbers, in memory that never grows. */

export class Ring {
  /** @param {string[]} columns @param {number} capacity in rows */
  constructor(columns, capacity) {
    this.columns = columns;
    this.capacity = capacity;
    this.length = 0;
    this.start = 0; // where the oldest row is
    /** @type {Record<string, Float64Array>} */
    this.data = Object.fromEntries(columns.map((name) => [name, new Float64Array(capacity)]));
  }

  /**
   * Append a row; the oldest gives way.
   * @param {ArrayLike<number | null>} row in the order of the columns
   * @returns {number} the slot that it is in
   */
  push(row) {
    const slot = (this.start + this.length) % this.capacity;
    for (let i = 0; i < this.columns.length; i += 1) this.data[this.columns[i]][slot] = row[i] ?? NaN;
    if (this.length < this.capacity) this.length += 1;
    else this.start = (this.start + 1) % this.capacity;
    return slot;
  }

  /** The slot of row `i`; 0 is the oldest. */
  slot(i) {
    return (this.start + i) % this.capacity;
  }

  /** @returns {number} the value of row `i`; NaN where it isn't known */
  at(column, i) {
    return this.data[column]?.[this.slot(i)] ?? NaN;
  }

  /** The first row whose `column`, which has to be ascending, is at least `value`; `length` if there is none. */
  first(column, value) {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.at(column, middle) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  clear() {
    this.length = 0;
    this.start = 0;
  }
}
