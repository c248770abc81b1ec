/** Ticks, and labels that don't cover each other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decades, linear, spread, times } from "./scale.js";

test("a scale holds its values in few round steps", () => {
  assert.deepEqual(linear(80), { top: 80, step: 20 });
  assert.deepEqual(linear(81), { top: 100, step: 25 });
  assert.deepEqual(linear(4), { top: 4, step: 1 });
  for (let most = 0.0003; most < 1e13; most *= 1.37) {
    for (const base of [10, 1024]) {
      const { top, step } = linear(most, 4, base);
      assert.ok(top >= most * 0.999999 && top <= most * 2.6, `${most} in ${top}`);
      assert.ok(top / step <= 4.000001 && top / step >= 1 - 1e-9, `${most}: ${top} in steps of ${step}`);
    }
  }
  assert.ok(linear(0).top > 0);
});

test("a logarithmic scale has whole decades", () => {
  assert.deepEqual(decades(0.18, 35), { bottom: 0.1, top: 100 });
  assert.deepEqual(decades(1, 1), { bottom: 1, top: 100 });
  assert.deepEqual(decades(0.1, 1000), { bottom: 0.1, top: 1000 });
});

test("sizes have steps of whole powers of two", () => {
  assert.deepEqual(linear(150 * 1024 ** 2, 4, 1024), { top: 192 * 1024 ** 2, step: 64 * 1024 ** 2 });
});

test("marks of time are round, and few enough", () => {
  for (const span of [4, 60, 300, 900, 1800, 90000]) {
    const { marks, step } = times(1795571359.5, 1795571359.5 + span, 5);
    assert.ok(marks.length >= 1 && marks.length <= 6, `${marks.length} marks in ${span} s`);
    assert.ok(marks.every((mark) => mark % Math.min(step, 900) === 0));
  }
});

test("labels are moved apart, and stay inside", () => {
  assert.deepEqual(spread([10, 50, 90], 12, 0, 100), [10, 50, 90]);
  assert.deepEqual(spread([10, 11, 12], 12, 0, 100), [10, 22, 34]);
  assert.deepEqual(spread([98, 99, 100], 12, 0, 100), [76, 88, 100]);
  assert.deepEqual(spread([50, 99, 100], 12, 0, 100), [50, 88, 100]);
});
