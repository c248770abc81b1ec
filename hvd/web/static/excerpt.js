/** A span of the charts for whoever it is sent to: in words, and as CSV. Pure. */

import { duration } from "./format.js";
import { GAP } from "./history.js";
import { endOf, kindOf, sentenceOf } from "./marks.js";
import { between, moment } from "./when.js";

const NEVER = 0; // text is read on another day: all times have theirs

/** The points of a span -> [first, end). */
function pointsOf(history, from, to) {
  return [history.ring.first("time", from), history.ring.first("time", to + 1e-3)];
}

/** The least, the mean and the most of a column; null where nothing is known. */
export function summaryOf(history, column, from, to) {
  const [first, end] = pointsOf(history, from, to);
  let [least, most, sum, number] = [Infinity, -Infinity, 0, 0];
  for (let i = first; i < end; i += 1) {
    const value = history.at(column, i);
    if (Number.isNaN(value)) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
    sum += value;
    number += 1;
  }
  return number ? { least, mean: sum / number, most } : null;
}

/**
 * @param {{name: string, link: string, history: import("./history.js").History, charts: object[],
 *   events: import("./marks.js").Event[], from: number, to: number}} span `charts` as chartsOf makes them
 */
export function textOf({ name, link, history, charts, events, from, to }) {
  const [first, end] = pointsOf(history, from, to);
  const rows = charts.flatMap((chart) =>
    chart.series.map((series) => {
      const label = chart.series.length > 1 ? `${chart.title}, ${series.name}` : chart.title;
      const summary = summaryOf(history, series.column, from, to);
      const values = summary ? [summary.least, summary.mean, summary.most].map(chart.form) : ["–", "–", "–"];
      return [label, ...values];
    }),
  );
  const marks = events.filter((event) => endOf(event) >= from && event.time <= to);
  return [
    name,
    `${between(from, to, NEVER)} (${duration(to - from)}, ${end - first} points)`,
    link,
    "",
    ...tableOf([["", "min", "mean", "max"], ...rows]),
    "",
    marks.length ? "What happened:" : "Nothing happened.",
    ...marks.map((event) => `${moment(event.time, NEVER)}  ${kindOf(event).name}: ${sentenceOf(event)}`),
  ].join("\n");
}

/** Columns of the same width, numbers at the right. */
function tableOf(rows) {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows.map((row) => row.map((text, i) => (i ? text.padStart(widths[i]) : text.padEnd(widths[i]))).join("  ").trimEnd());
}

/**
 * All columns, and those of the charts of the app's own metrics, as RFC 4180 has it; times as ISO 8601; empty where nothing is known.
 * @param {{title: string, series: {column: string, name: string}[]}[]} own the charts
 */
export function csvOf(history, from, to, own = []) {
  const [first, end] = pointsOf(history, from, to);
  const series = own.flatMap((chart) => chart.series.map(({ column, name }) => [column, `${chart.title} ${name}`]));
  const columns = [...history.ring.columns.filter((name) => name !== "time"), ...series.map(([column]) => column)];
  const names = new Map(series);
  const lines = [["time", ...columns.map((name) => names.get(name) ?? name)].map(quoted).join(",")];
  for (let i = first; i < end; i += 1) {
    const values = columns.map((name) => history.at(name, i));
    const time = new Date(history.time(i) * 1000).toISOString();
    lines.push([time, ...values.map((value) => (Number.isNaN(value) ? "" : value))].join(","));
  }
  return lines.map((line) => `${line}\r\n`).join("");
}

const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** What there is of a span that somebody wants to see, where it isn't all of it. @returns {string} empty where it is */
export function lackOf(history, [from, to], now = Date.now() / 1000) {
  if (!history.length) return "";
  const slack = GAP * history.interval;
  const [oldest, newest] = [history.time(0), history.time(history.length - 1)];
  if (from > now) return "This span has not come yet.";
  if (to < oldest) return `The daemon has no points of this span any more: it keeps those from ${moment(oldest, now)} on.`;
  if (from > newest + slack) return `There are no points of this span: the newest is of ${moment(newest, now)}.`;
  if (from < oldest - slack) return `The beginning of this span is gone: the daemon keeps points from ${moment(oldest, now)} on.`;
  return "";
}
