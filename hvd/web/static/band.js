/** Many points on few pixels: the least, the most and the mean of each column of pixels, so that no spike is lost. Pure. */

/** Columns for one line, in memory that is used again for each. */
export class Band {
  constructor() {
    this.length = 0;
    this.#reserve(512);
  }

  #reserve(capacity) {
    const before = this.times;
    for (const name of ["times", "least", "most", "mean"]) {
      const values = new Float64Array(capacity);
      if (before) values.set(this[name]);
      this[name] = values;
    }
    const starts = new Uint8Array(capacity);
    if (before) starts.set(this.starts);
    this.starts = starts;
  }

  /**
   * Sum up the points [first, end), by columns of so many seconds. Columns begin at whole multiples of that, and not at
   * the window's end: a point stays in its column as time goes on, and nothing shimmers.
   * @param {number} seconds that a column has; 0 for a column each point
   * @param {(i: number) => number} time @param {(i: number) => number} value NaN where there is none
   * @param {number} gap s from a point to the next, above which nothing was observed between them
   */
  fill(first, end, seconds, time, value, gap) {
    this.length = 0;
    let key = NaN;
    let number = 0;
    let isBroken = true;
    let before = -Infinity;
    for (let i = first; i < end; i += 1) {
      const y = value(i);
      const t = time(i);
      if (Number.isNaN(y) || t - before > gap) isBroken = true;
      before = t;
      if (Number.isNaN(y)) continue;
      const own = seconds ? Math.floor(t / seconds) : i;
      if (own !== key || isBroken) {
        number = 0;
        this.#begin(seconds ? (own + 0.5) * seconds : t, y, isBroken);
        key = own;
        isBroken = false;
      }
      this.#add(y, (number += 1));
    }
  }

  #begin(time, value, isBroken) {
    if (this.length === this.times.length) this.#reserve(2 * this.length);
    const at = this.length;
    this.times[at] = time;
    this.least[at] = this.most[at] = value;
    this.mean[at] = 0;
    this.starts[at] = isBroken ? 1 : 0;
    this.length += 1;
  }

  #add(value, number) {
    const at = this.length - 1;
    if (value < this.least[at]) this.least[at] = value;
    if (value > this.most[at]) this.most[at] = value;
    this.mean[at] += (value - this.mean[at]) / number;
  }

  /** The end of the stretch without gap that begins at column `start`. */
  stretch(start) {
    let end = start + 1;
    while (end < this.length && !this.starts[end]) end += 1;
    return end;
  }
}
