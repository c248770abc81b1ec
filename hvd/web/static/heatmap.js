/** How many responses took how long, over time: a column for each point, a row for each latency bucket. */

import { bound, count } from "./format.js";
import { Plot } from "./plot.js";
import { moment } from "./when.js";

const LEFT = 56; // px for the bounds
const SHADES = 64;

export class HeatMap {
  constructor(timeline, chart) {
    this.timeline = timeline;
    this.chart = chart;
    this.plot = new Plot(timeline, chart.title, { left: LEFT, right: 10 });
    // one pixel for each point and bucket, stretched when drawn: thousands of rectangles would take longer than a frame
    this.image = document.createElement("canvas");
    this.painted = "";
    this.rows = [0, 1];
    this.most = 0;
  }

  draw(theme) {
    const { plot, timeline } = this;
    const { history } = timeline;
    if (!plot.begin(theme)) return;
    const [first, end] = history.span(plot.from, plot.to);
    const state = `${history.version} ${first} ${end} ${theme.heat}`;
    if (state !== this.painted) this.#paint(theme, first, end);
    this.painted = state;
    plot.drawTimes(theme);
    plot.drawGrid(theme, this.#bounds());
    plot.drawInside(theme, 1, () => this.#stretch(first, end));
  }

  tell() {
    const i = this.timeline.current();
    this.plot.tell(i, () => this.textAt(i));
  }

  /** The bucket under the pointer at the cursor's time; else how many responses there were. */
  textAt(i) {
    const { history } = this.timeline;
    if (i < 0 || !history.bounds.length) return "no values yet";
    const counts = history.latency(i);
    const row = this.#pointed();
    const at = moment(history.time(i));
    if (row === null) return `${at}: ${count(counts.reduce((sum, responses) => sum + responses, 0))} responses`;
    return `${at}: ${count(counts[row])} in ${rangeOf(history.bounds, row)}`;
  }

  #pointed() {
    const { plot } = this;
    const y = plot.pointer?.[1];
    if (y === undefined || y > plot.bottom || y < plot.top) return null;
    const [low, high] = this.rows;
    const row = low + Math.floor(((plot.bottom - y) / (plot.bottom - plot.top)) * (high - low));
    return Math.min(high - 1, Math.max(low, row));
  }

  /** Rows that hold counts, with one empty one around them, and the pixels. */
  #paint(theme, first, end) {
    const { history } = this.timeline;
    let [low, high] = [history.width, 0];
    this.most = 0;
    for (let i = first; i < end; i += 1) {
      const counts = history.latency(i);
      for (let row = 0; row < counts.length; row += 1) {
        if (!counts[row]) continue;
        if (row < low) low = row;
        if (row >= high) high = row + 1;
        if (counts[row] > this.most) this.most = counts[row];
      }
    }
    if (low >= high) [low, high] = [0, Math.min(history.width, 9)];
    this.rows = [Math.max(0, Math.min(low, high - 4)), Math.min(history.width, Math.max(high, low + 4))];
    this.#shade(shadesOf(theme.heat), first, end);
  }

  #shade(shades, first, end) {
    const { history } = this.timeline;
    const [low, high] = this.rows;
    const width = Math.max(1, end - first);
    const height = high - low;
    if (this.image.width !== width || this.image.height !== height) {
      this.image.width = width;
      this.image.height = height;
      this.pixels = null;
    }
    const context = this.image.getContext("2d");
    this.pixels ??= context.createImageData(width, height);
    const pixels = new Uint32Array(this.pixels.data.buffer);
    pixels.fill(0);
    const scale = (SHADES - 1) / Math.log1p(this.most || 1);
    for (let i = first; i < end; i += 1) {
      const counts = history.latency(i);
      for (let row = low; row < high; row += 1) {
        if (!counts[row]) continue;
        pixels[(high - 1 - row) * width + i - first] = shades[Math.round(Math.log1p(counts[row]) * scale)];
      }
    }
    context.putImageData(this.pixels, 0, 0);
  }

  /** Each stretch without gap is one picture; a point stands for the interval before it. */
  #stretch(first, end) {
    const { plot, image } = this;
    const { history } = this.timeline;
    const height = plot.bottom - plot.top;
    plot.context.imageSmoothingEnabled = false;
    for (let start = first; start < end; ) {
      let stop = start + 1;
      while (stop < end && !history.isAfterGap(stop)) stop += 1;
      const from = plot.x(history.time(start) - history.interval);
      const to = plot.x(history.time(stop - 1));
      plot.context.drawImage(image, start - first, 0, stop - start, image.height, from, plot.top, to - from, height);
      start = stop;
    }
  }

  /** The marks of the latency axis. */
  #bounds() {
    const { plot } = this;
    const { bounds } = this.timeline.history;
    const [low, high] = this.rows;
    const height = (plot.bottom - plot.top) / (high - low);
    const every = Math.max(1, Math.ceil(16 / height));
    const marks = [];
    for (let edge = low; edge <= high; edge += every) {
      const text = edge === 0 ? "0" : edge > bounds.length ? "∞" : bound(bounds[edge - 1]);
      marks.push([plot.bottom - (edge - low) * height, bounds.length ? text : ""]);
    }
    return marks;
  }
}

/** Bucket `row` in words: `2.5 ms to 5 ms` */
export function rangeOf(bounds, row) {
  if (row === 0) return `up to ${bound(bounds[0])}`;
  return row === bounds.length ? `above ${bound(bounds[row - 1])}` : `${bound(bounds[row - 1])} to ${bound(bounds[row])}`;
}

/** Shades from the first to the last of three colours (#rrggbb), as pixels; the first half goes to the second one. */
function shadesOf(colours) {
  const stops = colours.map((colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
  const mix = (from, to, part) => from.map((value, i) => Math.round(value + (to[i] - value) * part));
  const bytes = new Uint8ClampedArray(4 * SHADES);
  for (let i = 0; i < SHADES; i += 1) {
    const place = (2 * i) / (SHADES - 1);
    const colour = place <= 1 ? mix(stops[0], stops[1], place) : mix(stops[1], stops[2], place - 1);
    bytes.set([...colour, 255], 4 * i);
  }
  return new Uint32Array(bytes.buffer);
}
