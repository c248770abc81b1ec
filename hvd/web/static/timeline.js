/** What all charts share: the time that they show, the cursor, zoom and pause. Nothing of the page. */

const LEAST = 4; // s that a zoom shows at least

export class Timeline {
  /** @param {import("./history.js").History} history @param {() => void} changed called after each change */
  constructor(history, changed) {
    this.history = history;
    this.changed = changed;
    this.span = 900; // s that the window has while nothing is zoomed
    /** @type {[number, number] | null} */
    this.zoom = null;
    /** @type {number | null} Unix time that a paused page ends at */
    this.end = null;
    /** @type {number | null} Unix time of a point */
    this.cursor = null;
    /** @type {[number, number] | null} what is being dragged over */
    this.drag = null;
  }

  /** The Unix times of both ends. */
  window() {
    if (this.zoom) return this.zoom;
    const { history } = this;
    const last = this.end ?? (history.length ? history.time(history.length - 1) : Date.now() / 1000);
    return [last - this.span, last];
  }

  /** The point whose values are read: the cursor's, else the last one in the window; -1 where there is none. */
  current() {
    if (this.cursor !== null) return this.history.nearest(this.cursor);
    return this.history.ring.first("time", this.window()[1] + 1e-3) - 1;
  }

  pause(on) {
    this.end = on ? this.window()[1] : null;
    this.changed();
  }

  show(span) {
    this.span = span;
    this.zoom = null;
    this.changed();
  }

  /** Put the cursor at the point nearest to that time; null takes it away. */
  point(time) {
    if (time === null) this.cursor = null;
    else {
      const [from, to] = this.window();
      const i = this.history.nearest(Math.min(to, Math.max(from, time)));
      this.cursor = i < 0 ? null : this.history.time(i);
    }
    this.changed();
  }

  /** Move the cursor by so many points, from the newest one where it isn't set; the window follows. */
  step(by) {
    const { history } = this;
    if (!history.length) return;
    const i = this.cursor === null ? this.current() + Math.min(0, by + 1) : history.nearest(this.cursor) + by;
    this.cursor = history.time(Math.min(history.length - 1, Math.max(0, i)));
    const [from, to] = this.window();
    const beyond = this.cursor < from ? this.cursor - from : this.cursor > to ? this.cursor - to : 0;
    if (this.zoom && beyond) this.zoom = [from + beyond, to + beyond];
    else if (beyond) this.cursor = Math.min(to, Math.max(from, this.cursor));
    this.changed();
  }

  select(from, to) {
    this.drag = from === null ? null : [Math.min(from, to), Math.max(from, to)];
    this.changed();
  }

  /** Show what was dragged over. */
  zoomIn() {
    if (this.drag) this.#zoomTo(...this.drag);
    this.drag = null;
    this.changed();
  }

  /** Show `factor` times as much, around the cursor. */
  zoomBy(factor) {
    const [from, to] = this.window();
    const middle = this.cursor ?? to;
    if ((to - from) * factor >= this.span) this.zoom = null;
    else this.#zoomTo(middle - (middle - from) * factor, middle + (to - middle) * factor);
    this.changed();
  }

  #zoomTo(from, to) {
    const middle = (from + to) / 2;
    const half = Math.max(LEAST, this.history.interval * 2, to - from) / 2;
    this.zoom = [middle - half, middle + half];
  }

  reset() {
    this.zoom = this.drag = this.cursor = null;
    this.changed();
  }
}
