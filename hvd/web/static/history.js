/** The points of the charts: what `api/v1/history` answered, then what `detail` messages bring. */

const CAPACITY = 1024; // points: the 450 of a history, and as many again while the page is paused
export const GAP = 2.5; // intervals between two points, above which there was nobody to observe

/** Columns that nothing is known of while there are no responses: times taken, shares of responses. */
const OF_RESPONSES = /^p\d+$|error_rate$/;
const REQUESTS = "requests_per_second";

const named = (name) => ({ name, unit: "", title: name, chart: name });

export class History {
  constructor() {
    this.interval = 2; // s between two points
    /** @type {{name: string, unit: string, title: string, chart: string}[]} what a point has, as the daemon says */
    this.columns = [];
    /** @type {number[]} upper ends of the latency buckets, in ms; one more bucket follows them */
    this.bounds = [];
    this.ring = new Ring(["time"], CAPACITY);
    this.counts = new Uint32Array(0); // of each slot of the ring, a row of buckets
    /** @type {Map<string, Map<number, number>>} by column, then by time: what points have beside the daemon's columns */
    this.more = new Map();
    this.version = 0; // changes whenever the points do
  }

  get length() {
    return this.ring.length;
  }

  get width() {
    return this.bounds.length + 1;
  }

  /** Take what the daemon says of its columns; the same again is no other list. */
  describe(columns) {
    if (JSON.stringify(columns) !== JSON.stringify(this.columns)) this.columns = columns;
  }

  /** Take an answer of api/v1/history, and keep what came after it by message meanwhile. */
  load(answer) {
    const last = answer.points.at(-1)?.[answer.columns.indexOf("time")] ?? 0;
    const later = this.#after(last, answer.columns);
    const details = answer.column_details;
    // a daemon of the version before, at an upgrade, has names only
    if (details || !this.columns.length) this.describe(details ?? answer.columns.map(named));
    this.interval = answer.interval_seconds;
    this.bounds = answer.latency.bounds_ms;
    this.ring = new Ring(answer.columns, CAPACITY);
    this.counts = new Uint32Array(CAPACITY * this.width);
    answer.points.forEach((row, i) => this.#push(row, answer.latency.counts[i]));
    for (const [row, counts] of later) this.#push(row, counts);
  }

  /**
   * Take a point that a message brought. One that isn't newer is known already, by the answer that came in parallel.
   * @param {Record<string, number | null>} point @param {number[] | null} latency
   */
  add(point, latency) {
    if (!point || point.time <= this.time(this.length - 1)) return;
    if (this.ring.columns.length === 1) this.ring = new Ring(Object.keys(point), CAPACITY);
    this.#push(this.ring.columns.map((name) => point[name]), latency);
  }

  #push(row, counts) {
    const slot = this.ring.push(this.#withoutTraffic(row));
    if (counts?.length === this.width && this.counts.length) this.counts.set(counts, slot * this.width);
    else this.counts.fill(0, slot * this.width, (slot + 1) * this.width);
    this.version += 1;
  }

  /** A point of no traffic says 0 of times and shares, which would pass for fast, and for free of errors. */
  #withoutTraffic(row) {
    const { columns } = this.ring;
    if (row[columns.indexOf(REQUESTS)] !== 0) return row;
    return columns.map((name, i) => (OF_RESPONSES.test(name) ? null : row[i]));
  }

  #after(time, columns) {
    const rows = [];
    for (let i = this.ring.first("time", time + 1e-3); i < this.length; i += 1) {
      rows.push([columns.map((name) => this.ring.at(name, i)), this.counts.length ? Array.from(this.latency(i)) : null]);
    }
    return rows;
  }

  /** Unix time of point `i`; before all times where there is none. */
  time(i) {
    return i >= 0 && i < this.length ? this.ring.at("time", i) : -Infinity;
  }

  at(column, i) {
    const values = this.more.get(column);
    return values ? (values.get(this.time(i)) ?? NaN) : this.ring.at(column, i);
  }

  /** The same as a function of the point, valid until the next one comes: for whoever reads hundreds of them. @returns {(i: number) => number} */
  reader(column) {
    if (this.more.has(column)) return (i) => this.at(column, i);
    const { data, start, capacity } = this.ring;
    const values = data[column];
    return values ? (i) => values[(start + i) % capacity] : () => NaN;
  }

  /** Note a value of the point of that time, in a column that the daemon's points don't have. */
  note(column, time, value) {
    if (!this.more.has(column)) this.more.set(column, new Map());
    const values = this.more.get(column);
    values.set(time, value);
    if (values.size > CAPACITY) values.delete(values.keys().next().value);
    this.version += 1;
  }

  /** Counts by bucket of point `i`: a view, valid until the next point. */
  latency(i) {
    const slot = this.ring.slot(i);
    return this.counts.subarray(slot * this.width, (slot + 1) * this.width);
  }

  /** True if nothing was observed between point `i` and the one before it. */
  isAfterGap(i) {
    return i === 0 || this.time(i) - this.time(i - 1) > GAP * this.interval;
  }

  /** The points of a time span, and one beyond each end, for lines that leave the chart -> [first, end). */
  span(from, to) {
    const first = Math.max(0, this.ring.first("time", from) - 1);
    return [first, Math.min(this.length, this.ring.first("time", to) + 1)];
  }

  /** The point nearest to that time; -1 where there is none. */
  nearest(time) {
    const after = this.ring.first("time", time);
    if (after === this.length) return this.length - 1;
    return after > 0 && time - this.time(after - 1) < this.time(after) - time ? after - 1 : after;
  }
}

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
}
