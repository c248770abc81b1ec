/** Which charts there are follows from the columns that the daemon tells of. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { chartsOf } from "./charts.js";

const column = (name, unit, title, chart) => ({ name, unit, title, chart });

test("columns of one chart are drawn together, latencies with a heat map behind them", () => {
  const charts = chartsOf([
    column("time", "unix_seconds", "time", ""),
    column("requests_per_second", "1/s", "requests/s", "Requests"),
    column("p50", "ms", "p50", "Latency"),
    column("p99", "ms", "p99", "Latency"),
    column("in_flight", "count", "in flight", ""),
  ]);
  assert.deepEqual(charts.map(({ title }) => title), ["Requests", "Latency", "Latency heat map"]);
  assert.deepEqual(charts[1].series, [{ column: "p50", name: "p50" }, { column: "p99", name: "p99" }]);
  assert.equal(charts[0].tick(2000), "2,000");
  assert.equal(charts[1].tick(2000), "2 s");
});

test("errors stand before what else there is, in the order in which an operator asks", () => {
  const charts = chartsOf(["CPU", "Jobs", "Saturation", "Latency", "Errors", "Requests"].map((chart) => column(chart, "count", chart, chart)));
  assert.deepEqual(charts.map(({ title }) => title), ["Requests", "Errors", "Latency", "Saturation", "CPU", "Jobs"]);
});

test("a share says what it is a share of", () => {
  const charts = chartsOf([column("server_error_rate", "ratio", "5xx", "Errors"), column("busy_ratio", "ratio", "busy threads", "Saturation")]);
  assert.deepEqual(charts.map(({ beside }) => beside), ["share of responses", "share of capacity"]);
  assert.equal(charts[1].form(0.5), "50.0 %");
});

test("a unit that isn't known is written as a number", () => {
  const [chart] = chartsOf([column("x", "furlongs", "x", "X")]);
  assert.deepEqual([chart.beside, chart.form(1.25)], ["furlongs", "1.3"]);
});
