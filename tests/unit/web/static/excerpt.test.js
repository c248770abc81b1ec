/** A span as text and as CSV, and what the daemon has of it. */
import assert from "node:assert/strict";
import { test } from "node:test";

process.env.TZ = "Europe/Berlin"; // before the modules read it
const { csvOf, lackOf, summaryOf, textOf } = await import("./excerpt.js");
const { chartsOf } = await import("./charts.js");
const { chartOf } = await import("./ownlist.js");
const { columnOf } = await import("./own.js");
const { History } = await import("./history.js");

const NOON = Date.UTC(2026, 10, 28, 12) / 1000;
const details = [
  { name: "time", unit: "unix_seconds", title: "time", chart: "" },
  { name: "requests_per_second", unit: "1/s", title: "requests/s", chart: "Requests" },
  { name: "p50", unit: "ms", title: "p50", chart: "Latency" },
  { name: "p99", unit: "ms", title: "p99", chart: "Latency" },
];

function historyOf(...points) {
  const history = new History();
  history.load({ interval_seconds: 2, columns: details.map(({ name }) => name), column_details: details, points, latency: { bounds_ms: [1], counts: [] } });
  return history;
}
const history = historyOf([NOON - 8, 9, 9, 9], [NOON - 4, 10, 2, 1500], [NOON - 2, 0, 0, 0], [NOON, 20, 4, 40]);

test("the least, the mean and the most are of what is known in the span", () => {
  assert.deepEqual(summaryOf(history, "p50", NOON - 5, NOON), { least: 2, mean: 3, most: 4 });
  assert.equal(summaryOf(history, "p50", NOON - 3, NOON - 1), null);
});

test("the text tells the span, each chart, and what happened", () => {
  const events = [{ sequence: 1, time: NOON - 100, kind: "start", text: "start" }, { sequence: 2, time: NOON - 1, kind: "death", text: "worker 7 died" }];
  const lines = textOf({ name: "hvd: shop", link: "http://a/#from=1&to=2", history, charts: chartsOf(details), events, from: NOON - 5, to: NOON }).split("\n");
  assert.deepEqual(lines.slice(0, 3), ["hvd: shop", "28 Nov 2026, 12:59:55 to 28 Nov 2026, 13:00:00 UTC+1 (5s, 3 points)", "http://a/#from=1&to=2"]);
  assert.deepEqual(lines.slice(4, 8).map((line) => line.split(/ {2,}/)), [
    ["", "min", "mean", "max"],
    ["Requests", "0", "10.0", "20.0"],
    ["Latency, p50", "2.00 ms", "3.00 ms", "4.00 ms"],
    ["Latency, p99", "40.0 ms", "770 ms", "1.50 s"],
  ]);
  assert.deepEqual(lines.slice(9), ["What happened:", "28 Nov 2026, 12:59:59 UTC+1  Death: worker 7 died"]);
});

/** The chart of an own metric that was noted once. */
function ownChart() {
  const row = { key: 'orders_total{shop="a,b"}', kind: "counter", unit: "", recent: { rate: 1.5 } };
  history.note(columnOf(row.key, 0), NOON, 1.5);
  return chartOf(row);
}

test("own metrics that are charted are in the text", () => {
  const text = textOf({ name: "", link: "", history, charts: [...chartsOf(details), ownChart()], events: [], from: NOON - 5, to: NOON });
  assert.match(text, /^orders_total\{shop="a,b"\} +1\.50? +1\.50? +1\.50?$/m);
});

test("CSV has all columns, ISO times, and nothing where nothing is known", () => {
  assert.deepEqual(csvOf(history, NOON - 2, NOON, [ownChart()]).split("\r\n"), [
    'time,requests_per_second,p50,p99,"orders_total{shop=""a,b""} rate"',
    "2026-11-28T11:59:58.000Z,0,,,",
    "2026-11-28T12:00:00.000Z,20,4,40,1.5",
    "",
  ]);
});

test("what the daemon does not have is said", () => {
  const lack = (from, to) => lackOf(history, [NOON + from, NOON + to], NOON);
  assert.equal(lack(-8, 0), "");
  assert.equal(lack(-9, 5), "", "within a point");
  assert.match(lack(-100, -50), /no points of this span any more: it keeps those from 12:59:52 UTC\+1 on/);
  assert.match(lack(-100, -2), /^The beginning of this span is gone/);
  assert.match(lack(50, 60), /not come yet/);
  assert.equal(lackOf(new History(), [1, 2], NOON), "");
});
