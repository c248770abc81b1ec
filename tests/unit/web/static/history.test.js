/** The points of the charts: bounded, in order, and whole whichever of answer and message comes first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { History, Ring } from "./history.js";

const answer = (from, to) => ({
  interval_seconds: 2,
  columns: ["time", "p50"],
  points: Array.from({ length: (to - from) / 2 + 1 }, (_, i) => [from + 2 * i, i]),
  latency: { bounds_ms: [1, 10], counts: Array.from({ length: (to - from) / 2 + 1 }, (_, i) => [i, 0, 1]) },
});
const times = (history) => Array.from({ length: history.length }, (_, i) => history.time(i));

test("a ring keeps the newest rows, in order", () => {
  const ring = new Ring(["a", "b"], 4);
  for (let i = 0; i < 11; i += 1) ring.push([i, i === 9 ? null : i * i]);
  assert.deepEqual([0, 1, 2, 3].map((i) => ring.at("a", i)), [7, 8, 9, 10]);
  assert.ok(Number.isNaN(ring.at("b", 2)));
  assert.ok(Number.isNaN(ring.at("unknown", 0)));
  assert.deepEqual([6, 7, 8.5, 10, 11].map((value) => ring.first("a", value)), [0, 0, 2, 3, 4]);
  assert.equal(new Ring(["a"], 4).first("a", 0), 0);
});

test("an answer and messages make one history, whatever comes first", () => {
  for (const isAnswerFirst of [true, false]) {
    const history = new History();
    const points = [108, 110, 112].map((time) => [{ time, p50: time }, [0, time, 0]]);
    if (isAnswerFirst) history.load(answer(100, 110));
    points.forEach(([point, latency]) => history.add(point, latency));
    if (!isAnswerFirst) history.load(answer(100, 110));
    assert.deepEqual(times(history), [100, 102, 104, 106, 108, 110, 112]);
    assert.equal(history.at("p50", 6), 112);
    assert.equal(history.at("p50", 5), 5);
    assert.deepEqual([...history.latency(6)], isAnswerFirst ? [0, 112, 0] : [0, 0, 0]);
    assert.deepEqual([...history.latency(3)], [3, 0, 1]);
  }
});

test("a new answer after a loss keeps what only messages told", () => {
  const history = new History();
  history.load(answer(100, 110));
  history.add({ time: 112, p50: 1 }, [1, 2, 3]);
  history.load(answer(104, 110));
  assert.deepEqual(times(history), [104, 106, 108, 110, 112]);
  assert.deepEqual([...history.latency(4)], [1, 2, 3]);
});

test("an empty history can be asked", () => {
  const history = new History();
  assert.deepEqual([history.nearest(5), history.time(0), history.span(0, 10)], [-1, -Infinity, [0, 0]]);
  history.load({ ...answer(0, 0), points: [], latency: { bounds_ms: [1], counts: [] } });
  history.add({ time: 5, p50: 1 }, [1, 2]);
  assert.equal(history.nearest(-100), 0);
});

test("gaps are found, and so is the point nearest to a time", () => {
  const history = new History();
  history.load(answer(100, 104));
  history.add({ time: 120, p50: 0 }, null);
  assert.deepEqual([0, 1, 2, 3].map((i) => history.isAfterGap(i)), [true, false, false, true]);
  assert.deepEqual([0, 101.1, 111, 113, 999].map((time) => history.nearest(time)), [0, 1, 2, 3, 3]);
  assert.deepEqual([history.span(103, 104), history.span(103, 105)], [[1, 3], [1, 4]]);
});

test("it never grows beyond its capacity", () => {
  const history = new History();
  history.load(answer(0, 100));
  for (let time = 200; time < 20000; time += 2) history.add({ time, p50: time }, [1, 2, time]);
  assert.equal(history.length, 1024);
  assert.equal(history.time(1023), 19998);
  assert.deepEqual([...history.latency(1023)], [1, 2, 19998]);
  assert.deepEqual([...history.latency(0)], [1, 2, history.time(0)]);
});

test("columns are as the daemon tells; one of the version before has names only", () => {
  const history = new History();
  history.load(answer(100, 104));
  assert.deepEqual(history.columns[1], { name: "p50", unit: "", title: "p50", chart: "p50" });
  const details = [{ name: "time", unit: "unix_seconds", title: "time", chart: "" }, { name: "p50", unit: "ms", title: "p50", chart: "Latency" }];
  history.load({ ...answer(100, 104), column_details: details });
  history.load(answer(100, 104));
  assert.equal(history.columns, details);
  history.describe(structuredClone(details));
  assert.equal(history.columns, details);
});

test("rows are read by the names of their columns", () => {
  const history = new History();
  const turned = answer(100, 104);
  history.load({ ...turned, columns: ["p50", "time"], points: turned.points.map(([time, p50]) => [p50, time]) });
  history.add({ time: 106, p50: 9 }, [0, 0, 0]);
  assert.deepEqual(times(history), [100, 102, 104, 106]);
});

test("points have more than the daemon's columns, in memory that does not grow", () => {
  const history = new History();
  history.load(answer(100, 104));
  for (let time = -5000; time <= 104; time += 2) history.note("orders 0", time, time / 2);
  assert.deepEqual([0, 1, 2].map((i) => history.at("orders 0", i)), [50, 51, 52]);
  assert.equal(history.more.get("orders 0").size, 1024);
  history.load(answer(102, 106));
  assert.deepEqual([0, 1, 2].map((i) => history.at("orders 0", i)), [51, 52, NaN]);
});

test("where there was no traffic, nothing is known of times and of shares", () => {
  const history = new History();
  history.add({ time: 100, requests_per_second: 5, p50: 0, p99: 3, server_error_rate: 0, busy_ratio: 0 }, null);
  history.add({ time: 102, requests_per_second: 0, p50: 0, p99: 0, server_error_rate: 0, busy_ratio: 0 }, null);
  const point = (i) => ["requests_per_second", "p50", "p99", "server_error_rate", "busy_ratio"].map((name) => history.at(name, i));
  assert.deepEqual([point(0), point(1)], [[5, 0, 3, 0, 0], [0, NaN, NaN, NaN, 0]]);
});
