/** The charts: one for the columns that belong together, and a card that shows it, as a picture or as a table. */

import { Rows, draw, make, makeTable, mark, say } from "./dom.js";
import { bound, clock, count, milliseconds, percent, rate, share, size, withoutZeros } from "./format.js";
import { HeatMap, rangeOf } from "./heatmap.js";
import { LineChart } from "./linechart.js";
import { zone } from "./when.js";

const MB = 1024 * 1024;

/** How values of a unit are drawn: what stands beside the title, and the least that the axis holds. */
const UNITS = {
  "1/s": { beside: "per second", form: rate, least: 2 },
  ratio: { beside: "share of all", form: share, least: 0.01 },
  ms: { beside: "", form: milliseconds, tick: bound, least: 1, log: true },
  percent: { beside: "of one core", form: percent, least: 5 },
  bytes: { beside: "all processes", form: size, least: MB, base: 1024 },
  count: { beside: "", form: count, least: 4 },
};

/** What a column is a share of. */
const SHARES = { server_error_rate: "share of responses", client_error_rate: "share of responses", busy_ratio: "share of capacity" };

/** Colours that say something: red is for what the service has done wrong, and for nothing else. */
const TONES = { server_error_rate: "bad", client_error_rate: "warn" };

/** The order in which an operator asks; charts of a daemon that has others come last. */
const FIRST = ["Requests", "Errors", "Latency", "Saturation"];
const rankOf = ({ title }) => (FIRST.includes(title) ? FIRST.indexOf(title) : FIRST.length);

const HEAT = { title: "Latency heat map", beside: "responses by time taken", heat: true, series: [] };

/** The charts of these columns: those of one chart are its series. What shows how long responses took has a heat map. */
export function chartsOf(columns) {
  const charts = new Map();
  for (const { name, unit, title, chart } of columns) {
    if (!chart || name === "time") continue;
    const form = UNITS[unit] ?? { beside: unit, form: rate, least: 1 };
    if (!charts.has(chart)) charts.set(chart, { title: chart, tick: withoutZeros(form.form), ...form, beside: SHARES[name] ?? form.beside, series: [] });
    charts.get(chart).series.push({ column: name, name: title, ...(TONES[name] && { tone: TONES[name] }) });
  }
  const ordered = [...charts.values()].sort((one, other) => rankOf(one) - rankOf(other));
  return ordered.flatMap((chart) => (chart.log ? [chart, HEAT] : [chart]));
}

/** All charts, made anew when the daemon has other columns. */
export class Charts {
  /** @param {HTMLElement} parent @param {import("./timeline.js").Timeline} timeline */
  constructor(parent, timeline) {
    this.parent = parent;
    this.timeline = timeline;
    this.columns = null;
    /** @type {Card[]} */
    this.cards = [];
  }

  *draw(theme) {
    const { columns } = this.timeline.history;
    if (this.columns !== columns) {
      this.columns = columns;
      this.cards = chartsOf(columns).map((chart) => new Card(chart, this.timeline));
      this.parent.replaceChildren(...this.cards.map(({ element }) => element));
    }
    yield* drawCards(this.cards, theme);
  }
}

/** Pictures first, then what is text: a canvas draws text after the page's styles are computed, anew if an element has changed. */
export function* drawCards(cards, theme) {
  for (const card of cards) {
    card.paint(theme);
    yield;
  }
  for (const card of cards) {
    card.tell();
    yield;
  }
}

/** A card with a chart, see chartsOf. */
export class Card {
  constructor(chart, timeline) {
    this.chart = chart;
    this.timeline = timeline;
    this.view = chart.heat ? new HeatMap(timeline, chart) : new LineChart(timeline, chart);
    this.values = chart.heat ? [make("span", { class: "value" })] : chart.series.map(() => make("b", { class: "value" }));
    this.button = make("button", { type: "button", "aria-pressed": "false", "aria-label": `${chart.title} as a table` });
    this.button.append(draw("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, draw("path", { d: TABLE })));
    this.button.title = "Show as a table";
    this.button.addEventListener("click", () => this.#toggle());
    const head = chart.heat ? ["Time taken", "Responses", "Share"] : [`Time, ${zone(Date.now() / 1000)}`, ...chart.series.map(({ name }) => name)];
    const body = make("tbody");
    this.rows = new Rows(
      body,
      () => make("tr", {}, make("th", { scope: "row" }), ...head.slice(1).map(() => make("td"))),
      (row, cells) => cells.forEach((text, i) => say(row.cells[i], text)),
    );
    const heads = head.map((text) => make("th", { scope: "col", text }));
    this.scroll = makeTable(`${chart.title} chart, table`, heads, body, { hidden: true });
    this.element = make(
      "section",
      { class: `panel chart${chart.heat ? " heat" : ""}`, "aria-label": `${chart.title} chart` },
      make("header", {}, make("h3", { text: chart.title, title: chart.title }, make("small", { text: chart.beside })), this.#legend(), this.button),
      this.view.plot.canvas,
      this.view.plot.tip,
      this.scroll,
    );
  }

  #legend() {
    const { chart } = this;
    if (chart.heat) {
      this.most = make("span");
      const scale = make("span", { class: "scaled" }, "1", make("span", { class: "shades", "aria-hidden": "true" }), this.most);
      return make("p", { class: "legend" }, scale, this.values[0]);
    }
    if (chart.series.length === 1) return make("p", { class: "legend" }, this.values[0]);
    const entries = chart.series.map(({ name, tone = "" }, i) =>
      make("li", {}, make("span", { class: `s${i} ${tone}`, text: name }), " ", this.values[i]),
    );
    return make("ul", { class: "legend" }, ...entries);
  }

  #toggle() {
    const on = this.scroll.hidden;
    mark(this.button, "aria-pressed", on);
    this.scroll.hidden = !on;
    this.view.plot.canvas.hidden = on;
    this.view.plot.tip.hidden = true;
    this.timeline.changed();
  }

  paint(theme) {
    if (this.scroll.hidden) this.view.draw(theme);
  }

  tell() {
    if (this.scroll.hidden) this.view.tell();
    else this.#fill();
    const i = this.timeline.current();
    const { history } = this.timeline;
    if (this.chart.heat) {
      say(this.values[0], this.view.textAt(i).replace(/^.*?: /, ""));
      say(this.most, count(this.view.most));
    } else this.chart.series.forEach(({ column }, at) => say(this.values[at], this.chart.form(history.at(column, i))));
  }

  #fill() {
    const { history } = this.timeline;
    const [from, to] = this.timeline.window();
    const first = history.ring.first("time", from);
    const end = history.ring.first("time", to + 1e-3);
    const rows = this.chart.heat ? this.#buckets(first, end) : this.#points(first, end);
    this.rows.update(rows, (_, i) => i);
  }

  /** The newest point first. */
  #points(first, end) {
    const { history } = this.timeline;
    const rows = [];
    for (let i = end - 1; i >= first; i -= 1) {
      rows.push([clock(history.time(i)), ...this.chart.series.map(({ column }) => this.chart.form(history.at(column, i)))]);
    }
    return rows;
  }

  #buckets(first, end) {
    const { history } = this.timeline;
    const sums = new Array(history.width).fill(0);
    for (let i = first; i < end; i += 1) history.latency(i).forEach((responses, row) => (sums[row] += responses));
    const all = sums.reduce((sum, responses) => sum + responses, 0);
    if (!history.bounds.length) return [];
    return sums.flatMap((sum, row) => (sum ? [[rangeOf(history.bounds, row), count(sum), share(sum / all)]] : []));
  }
}

const TABLE = "M1.5 2.5h13v11h-13zM1.5 6.2h13M1.5 9.8h13M6 2.5v11";
