/** The marks on a plot: a glyph above it, a line down through it; alerts as tinted stretches of time. */

import { alertSpans, kindOf, marksOf } from "./marks.js";

const GLYPH = 12; // px
const NEAR = 4; // px that a pointer may be beside a mark
const paths = new Map();

/** @param {{shape: string}} kind made once: it is drawn many times a second */
function pathOf({ shape }) {
  if (!paths.has(shape)) paths.set(shape, new Path2D(shape));
  return paths.get(shape);
}

export class Marking {
  /** @param {object} plot a Plot, of plot.js */
  constructor(plot) {
    this.plot = plot;
    /** @type {import("./marks.js").Mark[]} */
    this.marks = [];
    this.spans = [];
    this.events = null;
  }

  /** Find the marks of what the plot shows now. */
  place() {
    const { plot } = this;
    const { events } = plot.timeline;
    if (events !== this.events) this.spans = alertSpans(events);
    this.events = events;
    this.marks = events.length ? marksOf(events, [plot.from, plot.to], (time) => plot.x(time)) : [];
  }

  /** What goes into the plot, over the values. */
  drawLines(theme) {
    const { plot } = this;
    const { context } = plot;
    context.fillStyle = theme.tint;
    for (const { from, to } of this.spans) {
      if (to < plot.from || from > plot.to) continue;
      const left = plot.x(Math.max(plot.from, from));
      context.fillRect(left, plot.top, Math.max(1, plot.x(Math.min(plot.to, to)) - left), plot.bottom - plot.top);
    }
    context.lineWidth = 1;
    context.setLineDash([2, 2]);
    context.globalAlpha = 0.75;
    for (const { events, tone } of this.marks) {
      context.strokeStyle = theme[tone];
      context.beginPath();
      let last = -Infinity;
      for (const { time } of events) {
        const x = Math.round(plot.x(time)) + 0.5;
        if (x <= last || time < plot.from) continue;
        context.moveTo(x, plot.top - 2);
        context.lineTo(x, plot.bottom);
        last = x;
      }
      context.stroke();
    }
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  /** The glyphs, above the plot; one of many is their number. */
  drawGlyphs(theme) {
    const { plot } = this;
    for (const mark of this.marks) {
      const { left, right, events, tone } = mark;
      const middle = Math.min(plot.right - GLYPH / 2, Math.max(plot.left + GLYPH / 2, (left + right) / 2));
      if (events.length === 1) this.#drawGlyph(theme, kindOf(events[0]), middle, left, right);
      else this.#drawNumber(theme, tone, String(events.length), middle, right - left);
    }
  }

  #drawGlyph(theme, kind, middle, left, right) {
    const { context, top } = this.plot;
    const [x, y] = [middle - GLYPH / 2, top - GLYPH - 4];
    context.strokeStyle = context.fillStyle = theme[kind.tone];
    context.lineWidth = 1;
    if (right - left > 2) context.fillRect(left, top - 3, right - left, 2); // it went on as long as that
    context.save();
    context.translate(x, y);
    context.lineWidth = 2;
    context.lineCap = "round";
    if (kind.isLine) context.stroke(pathOf(kind));
    else context.fill(pathOf(kind), "evenodd");
    context.restore();
  }

  #drawNumber(theme, tone, text, middle, width) {
    const { context, top } = this.plot;
    const wide = Math.max(GLYPH + 2, width + GLYPH, 7 * text.length + 8);
    context.fillStyle = theme[tone];
    context.beginPath();
    context.roundRect(middle - wide / 2, top - GLYPH - 5, wide, GLYPH + 2, (GLYPH + 2) / 2);
    context.fill();
    context.fillStyle = theme.card;
    context.textAlign = "center";
    context.fillText(text, middle, top - GLYPH / 2 - 3.5);
  }

  /** The mark at these px: at its glyph, or on its line. @returns {import("./marks.js").Mark | null} */
  at(x, y) {
    const { plot } = this;
    if (y > plot.bottom) return null;
    if (y <= plot.top) return this.#nearest(x, GLYPH / 2 + NEAR, (mark) => Math.max(mark.left - x, x - mark.right, 0));
    return this.#nearest(x, NEAR, ({ events }) => Math.min(...events.map(({ time }) => Math.abs(plot.x(time) - x))));
  }

  /** The mark of an event at that time: where the keys have led. */
  ofTime(time, slack) {
    return this.marks.find(({ events }) => events.some((event) => Math.abs(event.time - time) <= slack)) ?? null;
  }

  #nearest(x, within, distance) {
    let nearest = null;
    for (const mark of this.marks) {
      const far = distance(mark);
      if (far > within) continue;
      nearest = mark;
      within = far;
    }
    return nearest;
  }
}

