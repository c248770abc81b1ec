/** Lines over time. Each series has its own dashes and, beside others, its name at the line's end. */

import { clock } from "./format.js";
import { Plot } from "./plot.js";
import { decades, linear, spread } from "./scale.js";

const LEFT = 52; // px for the values
const NAMES = 52; // px for the series' names
/** Dashes of the series, in px: solid, dashed, dotted, as the stylesheet has it for the legend. */
const DASHES = [[], [6, 3], [2, 2]];

export class LineChart {
  /**
   * @param {import("./timeline.js").Timeline} timeline
   * @param {{title: string, series: {column: string, name: string}[], form: (value: number) => string,
   *   tick: (value: number) => string, least: number, base?: number, log?: boolean}} chart
   *   `least` is what the axis holds at least, 0 for what values there are; a logarithmic one has no place for 0, which
   *   then means that nothing is known
   */
  constructor(timeline, chart) {
    this.timeline = timeline;
    this.chart = chart;
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
    const i = this.timeline.current();
    plot.tell(i, this.textAt(i));
  }

  /** The values of point `i` in words. */
  textAt(i) {
    const { history } = this.timeline;
    if (i < 0) return "no values yet";
    const values = this.chart.series.map(({ column, name }) => `${name} ${this.chart.form(history.at(column, i))}`);
    return `${clock(history.time(i))}: ${values.join(", ")}`;
  }

  /** Decide which values have room -> the ticks' values. */
  #scale(first, end) {
    const { plot, chart } = this;
    let most = chart.least;
    let least = chart.least;
    for (const { column } of chart.series) {
      for (let i = first; i < end; i += 1) {
        const value = this.#at(column, i);
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

  #at(column, i) {
    const value = this.timeline.history.at(column, i);
    return this.chart.log && value === 0 ? NaN : value;
  }

  #drawLine(theme, series, first, end) {
    const { plot } = this;
    const { context } = plot;
    const { history } = this.timeline;
    const { column } = this.chart.series[series];
    context.strokeStyle = context.fillStyle = theme.series[series];
    context.lineWidth = 1.75;
    context.lineJoin = "round";
    context.setLineDash(DASHES[series]);
    const fills = this.chart.series.length === 1;
    let from = 0; // px where the present stretch without gap begins
    let last = 0;
    let drawing = false;
    const finish = () => {
      if (!drawing) return;
      context.stroke();
      if (fills) {
        context.lineTo(last, plot.bottom);
        context.lineTo(from, plot.bottom);
        context.globalAlpha = 0.1;
        context.fill();
        context.globalAlpha = 1;
      }
      drawing = false;
    };
    for (let i = first; i < end; i += 1) {
      const value = this.#at(column, i);
      if (Number.isNaN(value) || history.isAfterGap(i)) finish();
      if (Number.isNaN(value)) continue;
      const x = plot.x(history.time(i));
      if (drawing) context.lineTo(x, this.y(value));
      else {
        context.beginPath();
        context.moveTo(x, this.y(value));
        from = x;
        drawing = true;
      }
      last = x;
    }
    finish();
    context.setLineDash([]);
  }

  #drawDots(theme) {
    const { plot, timeline } = this;
    if (timeline.cursor === null) return;
    const i = timeline.current();
    this.chart.series.forEach(({ column }, series) => {
      const value = this.#at(column, i);
      if (Number.isNaN(value)) return;
      plot.context.beginPath();
      plot.context.arc(plot.x(timeline.history.time(i)), this.y(value), 3.5, 0, 2 * Math.PI);
      plot.context.fillStyle = theme.series[series];
      plot.context.strokeStyle = theme.card;
      plot.context.lineWidth = 1.5;
      plot.context.fill();
      plot.context.stroke();
    });
  }

  #drawNames(theme, end) {
    const { plot, chart } = this;
    const { history } = this.timeline;
    let last = end - 1;
    while (last >= 0 && history.time(last) > plot.to) last -= 1;
    if (last < 0) return;
    const ends = chart.series
      .map(({ column, name }, series) => ({ name, series, y: this.y(this.#at(column, last) || 0) }))
      .sort((one, other) => one.y - other.y);
    const places = spread(ends.map(({ y }) => y), 12, plot.top, plot.bottom - 4);
    plot.context.textAlign = "left";
    ends.forEach(({ name, series }, i) => {
      plot.context.fillStyle = theme.series[series];
      plot.context.fillText(name, plot.right + 6, places[i]);
    });
  }
}
