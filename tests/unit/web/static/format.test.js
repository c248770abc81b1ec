/** Numbers as people read them: what the issue and the terminal show. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "./format.js";

test("numbers have the form that the terminal gives them", () => {
  assert.equal(format.duration(3600), "1h 0m 0s");
  assert.equal(format.duration(0.9), "0s");
  assert.equal(format.duration(93784.2), "1d 2h 3m 4s");
  assert.equal(format.duration(93784.2, 2), "1d 2h");
  assert.equal(format.size(50 * 1024 ** 2), "50 MB");
  assert.equal(format.size(1.5 * 1024 ** 3), "1.5 GB");
  assert.equal(format.size(0), "0 B");
  assert.equal(format.size(5000 * 1024 ** 4), "5,000 TB");
  assert.equal(format.count(1250), "1,250");
  assert.equal(format.count(999.4), "999");
  assert.equal(format.count(-1234567), "-1,234,567");
  assert.equal(format.count(1e12), "1,000,000,000,000");
  assert.equal(format.exact(1234567.5), "1,234,567.5");
  assert.equal(format.errors(5, 1250), "5 (0.4%)");
  assert.equal(format.errors(0, 0), "0 (0.0%)");
  assert.equal(format.milliseconds(45.2), "45.2ms");
  assert.equal(format.milliseconds(0.35), "0.350ms");
  assert.equal(format.milliseconds(1234.5), "1,234.5ms");
  assert.equal(format.milliseconds(12345), "12.3s");
  assert.equal(format.share(0.004), "0.4%");
  assert.equal(format.rate(12.345), "12.3");
  assert.equal(format.rate(12345.6), "12,346");
  assert.equal(format.exact(0.6985821), "0.698582");
  assert.equal(format.bound(0.25), "250 µs");
  assert.equal(format.bound(2.5), "2.5 ms");
  assert.equal(format.bound(10000), "10 s");
});

test("what isn't known is shown so", () => {
  for (const form of ["count", "exact", "duration", "size", "milliseconds", "percent", "share", "rate", "clock"]) {
    for (const value of [null, undefined, NaN, Infinity, "7"]) assert.equal(format[form](value), format.UNKNOWN);
  }
  assert.equal(format.errors(null, 5), format.UNKNOWN);
  assert.equal(format.errors(5, undefined), "5");
});

test("text from elsewhere turns nothing around and hides nothing", () => {
  assert.equal(format.plain("a\u202eb\u2066c\u200f\u061c\u001b\ud800"), "a\\u{202e}b\\u{2066}c\\u{200f}\\u{61c}\\u{1b}\\u{d800}");
  assert.equal(format.plain("grüße 你好 😀\nнет"), "grüße 你好 😀\nнет");
  assert.equal(format.plain(7), "7");
});

test("any number has three digits, and seconds have a unit", () => {
  const numbers = [0, 0.001234, -45.67, 999.6, 12345.6, 1.234e6, 5e9, 7e12, 2e16, 3e-9, null, NaN];
  assert.deepEqual(numbers.map(format.figure), ["0", "0.00123", "-45.7", "1000", "12,346", "1.23M", "5G", "7T", "2.00e+16", "3.0e-9", "–", "–"]);
  assert.deepEqual([0.0452, 1.4768, 120, null].map(format.seconds), ["45.2ms", "1.48s", "120s", "–"]);
});
