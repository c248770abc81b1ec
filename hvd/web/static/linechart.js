/** Lines over time, with a band where many points share a pixel. Each series has its own dashes and, beside others, its name. */

import { Band } from "./band.js";
import { GAP } from "./history.js";
import { Plot } from "./plot.js";
import { decades, linear, spread } from "./scale.js";
import { moment } from "./when.js";

const LEFT = 56; // px for the values
const NAMES = 52; // px for the series' names
const CROWDED = 1.25; // points for each px, from which on a px shows the least, the most and the mean of its own
/** Dashes of the series, in px: solid, dashed, dotted, as the stylesheet has it for the legend. */
const DASHES = [[], [6, 3], [2, 2]];

export class LineChart {
  /**
   * @param {import("./timeline.js").Timeline} timeline
   * @param {{title: string, series: {column: string, name: string, tone?: string}[], form: (value: number) => string,
   *   tick: (value: number) => string, least: number, base?: number, log?: boolean}} chart
   *   `least` is what the axis holds at least, 0 for what values there are; a logarithmic one has no place for 0, which
   *   then means that nothing is known
   */
  constructor(timeline, chart) {
    this.timeline = timeline;
    this.chart = chart;
    this.band = new Band();
    this.plot = new Plot(timeline, chart.title, { left: LEFT, right: chart.series.length > 1 ? NAMES : 10 });
  }

  draw(theme) {
    const { plot, chart } = this;
    if (!plot.begin(theme)) return;
    const [first, end] = this.timeline.history.span(plot.from, plot.to);
    plot.drawGrid(theme, this.#scale(first, end).map((tick) => [this.y(tick), chart.tick(tick)]));
    plot.drawTimes(theme);
    plot.drawInside(theme, 2, () => {
      // the first series last, on top of the others
      for (let i = chart.series.length - 1; i >= 0; i -= 1) this.#drawLine(theme, i, first, end);
    });
    this.#drawDots(theme);
    if (chart.series.length > 1) this.#drawNames(theme, end);
  }

  tell() {
    const i = this.timeline.current();
    this.plot.tell(i, () => this.textAt(i));
  }

  /** The values of point `i` in words. */
  textAt(i) {
    const { history } = this.timeline;
    if (i < 0) return "no values yet";
    const values = this.chart.series.map(({ column, name }) => `${name} ${this.chart.form(history.at(column, i))}`);
    return `${moment(history.time(i))}: ${values.join(", ")}`;
  }

  /** Decide which values have room -> the ticks' values. */
  #scale(first, end) {
    const { plot, chart } = this;
    let most = chart.least;
    let least = chart.least;
    for (const { column } of chart.series) {
      const at = this.#reader(column);
      for (let i = first; i < end; i += 1) {
        const value = at(i);
        if (value > most) most = value;
        if (value < least) least = value;
      }
    }
    const height = plot.bottom - plot.top;
    const ticks = [];
    if (chart.log) {
      const { bottom, top } = decades(least, most);
      const unit = height / Math.log(top / bottom);
      this.y = (value) => plot.bottom - Math.max(0, Math.log(value / bottom)) * unit;
      for (let tick = bottom; tick < top * 1.1; tick *= 10) ticks.push(Number(tick.toPrecision(3)));
    } else {
      const below = Math.max(0, -least); // a gauge may be negative
      const { step } = linear(Math.max(most, below) || 1, 4, chart.base);
      const top = step * Math.ceil(most / step - 1e-9);
      const bottom = -step * Math.ceil(below / step - 1e-9);
      const room = top - bottom || step;
      this.y = (value) => plot.bottom - ((value - bottom) * height) / room;
      for (let tick = bottom; tick < bottom + room + step / 2; tick += step) ticks.push(Math.abs(tick) < step / 2 ? 0 : tick);
    }
    return ticks;
  }

  /** The values of a column by point; NaN where there is none. */
  #reader(column) {
    const at = this.timeline.history.reader(column);
    return this.chart.log ? (i) => at(i) || NaN : at;
  }

  /** The colour of a series: one that says something, or its own. */
  #colour(theme, series) {
    return theme[this.chart.series[series].tone] ?? theme.series[series];
  }

  #drawLine(theme, series, first, end) {
    const { plot, band, chart } = this;
    const { context } = plot;
    const { history } = this.timeline;
    const { column } = chart.series[series];
    const isCrowded = end - first > CROWDED * (plot.right - plot.left);
    band.fill(first, end, isCrowded ? 1 / plot.scale : 0, history.reader("time"), this.#reader(column), GAP * history.interval);
    context.strokeStyle = context.fillStyle = this.#colour(theme, series);
    context.lineJoin = "round";
    for (let start = 0; start < band.length; ) {
      const stop = band.stretch(start);
      if (chart.series.length === 1) this.#fillBelow(start, stop);
      if (isCrowded) this.#drawBand(start, stop);
      this.#drawMean(start, stop, DASHES[series]);
      start = stop;
    }
    context.setLineDash([]);
  }

  /** A single point between gaps is a dot: a line would have no length. */
  #drawMean(start, stop, dashes) {
    const { band, plot } = this;
    const { context } = plot;
    context.beginPath();
    if (stop - start === 1) {
      context.arc(plot.x(band.times[start]), this.y(band.mean[start]), 1.75, 0, 2 * Math.PI);
      context.fill();
      return;
    }
    for (let at = start; at < stop; at += 1) context.lineTo(plot.x(band.times[at]), this.y(band.mean[at]));
    context.lineWidth = 1.75;
    context.setLineDash(dashes);
    context.stroke();
  }

  /** From the least to the most of each column; a stroke keeps in sight what one column alone has. */
  #drawBand(start, stop) {
    const { band, plot } = this;
    const { context } = plot;
    context.beginPath();
    for (let at = start; at < stop; at += 1) context.lineTo(plot.x(band.times[at]), this.y(band.most[at]));
    for (let at = stop - 1; at >= start; at -= 1) context.lineTo(plot.x(band.times[at]), this.y(band.least[at]));
    context.closePath();
    context.globalAlpha = 0.28;
    context.fill();
    context.globalAlpha = 0.4;
    context.lineWidth = 1;
    context.setLineDash([]);
    context.stroke();
    context.globalAlpha = 1;
  }

  #fillBelow(start, stop) {
    const { band, plot } = this;
    const { context } = plot;
    context.beginPath();
    context.moveTo(plot.x(band.times[start]), plot.bottom);
    for (let at = start; at < stop; at += 1) context.lineTo(plot.x(band.times[at]), this.y(band.mean[at]));
    context.lineTo(plot.x(band.times[stop - 1]), plot.bottom);
    context.globalAlpha = 0.1;
    context.fill();
    context.globalAlpha = 1;
  }

  #drawDots(theme) {
    const { plot, timeline } = this;
    if (timeline.cursor === null) return;
    const i = timeline.current();
    this.chart.series.forEach(({ column }, series) => {
      const value = this.#reader(column)(i);
      if (Number.isNaN(value)) return;
      plot.context.beginPath();
      plot.context.arc(plot.x(timeline.history.time(i)), this.y(value), 3.5, 0, 2 * Math.PI);
      plot.context.fillStyle = this.#colour(theme, series);
      plot.context.strokeStyle = theme.card;
      plot.context.lineWidth = 1.5;
      plot.context.fill();
      plot.context.stroke();
    });
  }

  /** Each at the height of the last value that is known. */
  #drawNames(theme, end) {
    const { plot, chart } = this;
    const { history } = this.timeline;
    let last = end - 1;
    while (last >= 0 && history.time(last) > plot.to) last -= 1;
    if (last < 0) return;
    const ends = chart.series
      .map(({ column, name }, series) => ({ name, series, y: this.y(this.#lastKnown(column, last)) }))
      .sort((one, other) => one.y - other.y);
    const places = spread(ends.map(({ y }) => y), 12, plot.top, plot.bottom - 4);
    plot.context.textAlign = "left";
    ends.forEach(({ name, series }, i) => {
      plot.context.fillStyle = this.#colour(theme, series);
      plot.context.fillText(name, plot.right + 6, places[i]);
    });
  }

  #lastKnown(column, last) {
    const at = this.#reader(column);
    for (let i = last; i >= 0 && this.timeline.history.time(i) >= this.plot.from; i -= 1) {
      const value = at(i);
      if (!Number.isNaN(value)) return value;
    }
    return 0;
  }
}
