/** What all charts share: the time that they show, what happened then, the cursor, zoom and pause. Nothing of the page. */

import { chiefOf, endOf } from "./marks.js";

const LEAST = 4; // s that a zoom shows at least
const AHEAD = 30; // s that an event may be newer than all points, and still be in the window

/**
 * Tells by an event `span` that people have it show another span of time (see `window`), not that time goes on; and by
 * `open`, with the sequence as its detail, that they want to know all about an event.
 */
export class Timeline extends EventTarget {
  /** @param {import("./history.js").History} history @param {() => void} changed called after each change */
  constructor(history, changed) {
    super();
    this.history = history;
    this.changed = changed;
    /** @type {import("./marks.js").Event[]} what happened, the oldest first; another array whenever there is more */
    this.events = [];
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
    const last = this.end ?? (history.length ? this.#newest() : Date.now() / 1000);
    return [last - this.span, last];
  }

  /** When something happened last: points come later, or not at all where the aggregator is away. */
  #newest() {
    const { history, events } = this;
    const last = history.time(history.length - 1);
    // not far ahead: a clock that was put back would leave nothing but that event in the window
    return Math.max(last, Math.min(last + AHEAD, events.length ? endOf(events[events.length - 1]) : last));
  }

  #moved() {
    this.changed();
    this.dispatchEvent(new Event("span"));
  }

  /** The point whose values are read: the cursor's, else the last one in the window; -1 where there is none. */
  current() {
    if (this.cursor !== null) return this.history.nearest(this.cursor);
    return this.history.ring.first("time", this.window()[1] + 1e-3) - 1;
  }

  pause(on) {
    this.end = on ? this.window()[1] : null;
    this.#moved();
  }

  show(span) {
    this.span = span;
    this.zoom = null;
    this.#moved();
  }

  /** Show this time, and no other until people want it; null for none in particular. @param {[number, number] | null} zoom */
  fix(zoom) {
    this.zoom = zoom;
    this.#moved();
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
    if (this.zoom && beyond) this.fix([from + beyond, to + beyond]);
    else if (beyond) this.cursor = Math.min(to, Math.max(from, this.cursor));
    this.changed();
  }

  /** Put the cursor at the mark before it (-1), or after it (1): at first at the newest. */
  stepMark(by) {
    const [from, to] = this.window();
    const times = this.events.map(({ time }) => time).filter((time) => time >= from && time <= to);
    const { cursor } = this;
    const next = by < 0 ? times.findLast((time) => cursor === null || time < cursor) : times.find((time) => cursor !== null && time > cursor);
    if (next === undefined) return;
    this.cursor = next;
    this.changed();
  }

  /** The event of a mark that the keys have led to; null where it was a pointer. @param {import("./marks.js").Mark} mark */
  chosenOf(mark) {
    return mark.events.findLast(({ time }) => time === this.cursor) ?? null;
  }

  /** Somebody wants to know all of an event of a mark: of the one that was chosen, or of what matters most. */
  open(mark) {
    const { sequence } = this.chosenOf(mark) ?? chiefOf(mark);
    this.dispatchEvent(new CustomEvent("open", { detail: sequence }));
  }

  select(from, to) {
    this.drag = from === null ? null : [Math.min(from, to), Math.max(from, to)];
    this.changed();
  }

  /** Show what was dragged over. */
  zoomIn() {
    const { drag } = this;
    this.drag = null;
    if (!drag) return this.changed();
    this.#zoomTo(...drag);
    this.#moved();
  }

  /** Show `factor` times as much, around the cursor. */
  zoomBy(factor) {
    const [from, to] = this.window();
    const middle = this.cursor ?? to;
    if ((to - from) * factor >= this.span) this.zoom = null;
    else this.#zoomTo(middle - (middle - from) * factor, middle + (to - middle) * factor);
    this.#moved();
  }

  #zoomTo(from, to) {
    const middle = (from + to) / 2;
    const half = Math.max(LEAST, this.history.interval * 2, to - from) / 2;
    this.zoom = [middle - half, middle + half];
  }

  reset() {
    this.zoom = this.drag = this.cursor = null;
    this.#moved();
  }
}
