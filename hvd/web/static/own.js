/** The app's own metrics: which there are, which are charted, and the points of those. Nothing of the page. */

/** The name that a metric's n-th figure has as a column of the history; the daemon's columns have no blank in theirs. */
export const columnOf = (key, n) => `${key} ${n}`;

export class Own {
  /** @param {import("./history.js").History} history that has the points, too */
  constructor(history) {
    this.history = history;
    /** @type {Row[]} as the last message has them */
    this.rows = [];
    /** What the daemon keeps the last fifteen minutes of: by key, what it did lately. @type {Map<string, Recent>} */
    this.pinned = new Map();
    this.metrics = [];
    /** Keys of what is charted from now on. @type {Set<string>} */
    this.opened = new Set();
    /** @type {Map<string, Row>} what was last known of what is charted */
    this.charted = new Map();
    /** @type {Row[]} */
    this.beyond = [];
    this.lacksPoints = false; // something is pinned of which the daemon has points that aren't known here
  }

  /**
   * Take what a message `detail` says.
   * @param {any[]} metrics @param {Record<string, Recent>} pinned
   * @param {{time: number} | null} point of the history, if it has one
   */
  take(metrics, pinned, point) {
    this.metrics = metrics;
    this.rows = metrics.flatMap(rowsOf);
    this.lacksPoints ||= Object.keys(pinned).some((key) => !this.pinned.has(key));
    this.pinned = new Map(Object.entries(pinned));
    this.#chart();
    if (point) for (const [key, { recent }] of this.charted) this.#note(key, point.time, Object.values(recent));
  }

  /** Take an answer of api/v1/pins. */
  load({ pins }) {
    this.pinned = new Map(pins.map(({ key }) => [key, this.pinned.get(key) ?? {}]));
    this.#chart();
    for (const { key, points } of pins) for (const [time, ...values] of points) this.#note(key, time, values);
  }

  /** Chart it from now on, or no more. */
  toggle(key) {
    if (!this.opened.delete(key)) this.opened.add(key);
    this.#chart();
  }

  isCharted(key) {
    return this.pinned.has(key) || this.opened.has(key);
  }

  /** Whether there are series that the messages have no place for. */
  get isPartial() {
    return this.metrics.some(({ series, series_total: all }) => series.length < all);
  }

  /** Take all series, as api/v1/snapshot has them: those beyond the messages are found, and can be pinned. */
  know(metrics) {
    this.beyond = metrics.flatMap(rowsOf).map((row) => ({ ...row, isBeyond: true }));
  }

  /** The rows that have all of these words in name, labels or help; what is charted comes first. */
  found(words) {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    const told = new Set(this.rows.map(({ key }) => key));
    const all = wanted.length ? [...this.rows, ...this.beyond.filter(({ key }) => !told.has(key))] : this.rows;
    const rows = all.filter(({ text }) => wanted.every((word) => text.includes(word)));
    return [...rows.filter(({ key }) => this.isCharted(key)), ...rows.filter(({ key }) => !this.isCharted(key))];
  }

  #chart() {
    const rows = new Map(this.rows.map((row) => [row.key, row]));
    const known = this.charted;
    this.charted = new Map();
    for (const key of [...this.pinned.keys(), ...this.opened]) {
      const row = rows.get(key) ?? this.#rowBeyond(key) ?? known.get(key);
      if (!row) continue;
      // one that is gone has no figures by now, and keeps its chart
      const recent = rows.get(key)?.recent ?? this.pinned.get(key) ?? {};
      const figures = Object.keys(recent).length ? recent : blank(known.get(key)?.recent ?? {});
      if (Object.keys(figures).length) this.charted.set(key, { ...row, recent: figures });
    }
  }

  /** The row of a series that has no place in the messages, as there are too many: its metric is known. */
  #rowBeyond(key) {
    const metric = this.metrics.find((one) => key.startsWith(`${nameOf(one)}{`));
    return metric && rowOf(metric, key, null, {});
  }

  #note(key, time, values) {
    values.forEach((value, n) => this.history.note(columnOf(key, n), time, value ?? NaN));
  }
}

const blank = (recent) => Object.fromEntries(Object.keys(recent).map((figure) => [figure, null]));

/**
 * @typedef {Record<string, number | null>} Recent figures by name, null where one isn't known
 * @typedef {{key: string, kind: string, unit: string, help: string, value: any, text: string, recent: Recent}} Row
 *   a series, or all series of a metric together
 */

/** The rows of a metric: of each series, and before them of all together where there are several. @returns {Row[]} */
function rowsOf(metric) {
  const rows = metric.series.map((one) => rowOf(metric, keyOf(metric, one.labels), valueOf(one), one.recent ?? {}));
  const all = metric.series_total;
  if (all < 2 || metric.kind === "info") return rows;
  const isKnown = rows.length === all;
  const sum = rows.reduce((sum, { value }) => sum + (typeof value === "number" ? value : 0), 0);
  return [{ ...rowOf(metric, nameOf(metric), isKnown ? sum : null, metric.recent ?? {}), all }, ...rows];
}

function rowOf(metric, key, value, recent) {
  const { kind, help, unit, name } = metric;
  // its name says what it is measured in where the app doesn't
  const known = unit || (/_(seconds|bytes|ratio)$/.exec(name)?.[1] ?? "");
  return { key, kind, help, value, recent, unit: known, text: `${key} ${help}`.toLowerCase() };
}

const valueOf = ({ value, count, state, info }) => value ?? count ?? state ?? info ?? null;

/** The name by which people know a metric: a counter's has _total. */
const nameOf = ({ name, kind }) => (kind === "counter" ? `${name}_total` : name);

const escaped = (value) => value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');

/** The key of a series: what it is pinned by, as hvd/read/recent.py has it. */
export function keyOf(metric, labels) {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length ? `${nameOf(metric)}{${pairs.join(",")}}` : nameOf(metric);
}
