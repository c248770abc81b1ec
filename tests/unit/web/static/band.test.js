/** Columns of many points: nothing is lost, and nothing moves from one to another. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Band } from "./band.js";

function fill(values, { seconds = 0, first = 0, end = values.length, gap = 5, time = (i) => 2 * i, band = new Band() } = {}) {
  band.fill(first, end, seconds, time, (i) => values[i], gap);
  const rows = [];
  for (let i = 0; i < band.length; i += 1) rows.push([band.times[i], band.least[i], band.mean[i], band.most[i], band.starts[i]]);
  return rows;
}

test("each column has the least, the mean and the most of its points", () => {
  assert.deepEqual(fill([1, 2, 9, 4, 5], { seconds: 6 }), [[3, 1, 4, 9, 1], [9, 4, 4.5, 5, 0]]);
});

test("a spike of one point among 450 on 186 px is in its column", () => {
  const values = Array.from({ length: 450 }, (_, i) => (i === 333 ? 1000 : 5));
  const rows = fill(values, { seconds: 900 / 186 });
  assert.ok(rows.length <= 187);
  assert.equal(Math.max(...rows.map((row) => row[3])), 1000);
  assert.ok(rows.every(([, least, mean, most]) => least <= mean && mean <= most));
});

test("a point stays in its column as time goes on", () => {
  const values = Array.from({ length: 100 }, (_, i) => (i * 37) % 11);
  const [before, after] = [0, 7].map((first) => fill(values, { seconds: 10, first, end: first + 90 }));
  const known = new Map(before.map((row) => [row[0], row[3]]));
  assert.ok(after.slice(1, -2).every(([time, , , most]) => known.get(time) === most));
});

test("gaps and unknown values begin another stretch", () => {
  const rows = fill([1, NaN, 3, 4, 5], { time: (i) => (i < 4 ? 2 * i : 100) });
  assert.deepEqual(rows.map((row) => [row[0], row[4]]), [[0, 1], [4, 1], [6, 0], [100, 1]]);
  const band = new Band();
  fill([1, NaN, 3, 4, 5], { band });
  assert.deepEqual([band.stretch(0), band.stretch(1)], [1, 4]);
});

test("there is room for any number of columns", () => {
  const rows = fill(Array.from({ length: 2000 }, (_, i) => i));
  assert.deepEqual([rows.length, rows[0][3], rows[1999][3]], [2000, 0, 1999]);
});
