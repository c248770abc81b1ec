/** Numbers, times and names as people read them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "./format.js";

const forms = (form, values) => values.map((value) => format[form](value));

test("numbers are short from 100,000 on, and never cut", () => {
  assert.deepEqual(forms("count", [0, 1250, 999.4, 99999, 99999.5, 1e5, 123456, -1234567]), ["0", "1,250", "999", "99,999", "100 k", "100 k", "123 k", "-1.23 M"]);
  assert.deepEqual(forms("count", [999499, 999500, 999950, 8.41e12, 999.95e9, 1e12, 1e15]), ["999 k", "1.00 M", "1.00 M", "8.41 T", "1.00 T", "1.00 T", "1.00 P"]);
  assert.deepEqual(forms("count", [9.994e17, 1e18, 2 ** 63, -5e12]), ["999 P", "1.00e+18", "9.22e+18", "-5.00 T"]);
  assert.deepEqual(forms("exact", [1234567.5, 0.6985821, 8410000000123, 1e15, -1e15]), ["1,234,567.5", "0.698582", "8,410,000,000,123", "1,000,000,000,000,000", "-1,000,000,000,000,000"]);
  assert.deepEqual(forms("rate", [0, 0.001, 0.04, 0.3, 12.345, 999.94, 999.95, 12345.6, 1e12]), ["0", "<0.01", "0.04", "0.3", "12.3", "999.9", "1,000", "12,346", "1.00 T"]);
  assert.deepEqual(forms("figure", [0, 0.001234, -45.67, 999.6, 12345.6, 1.234e6, 5e9, 7e12, 2e18, 3e-9]), ["0", "0.00123", "-45.7", "1,000", "12,346", "1.23 M", "5.00 G", "7.00 T", "2.00e+18", "3.0e-9"]);
});

test("times are in ms, and from 1,000 ms on in s", () => {
  assert.deepEqual(forms("milliseconds", [0, 0.0042, 0.354, 4.5, 9.994, 9.995, 45.25, 99.94, 99.95]), ["0 ms", "<0.01 ms", "0.35 ms", "4.50 ms", "9.99 ms", "10.0 ms", "45.3 ms", "99.9 ms", "100 ms"]);
  assert.deepEqual(forms("milliseconds", [999, 999.49, 999.5, 999.95, 1000, 1234.5, 12345, 99949, 3.6e6]), ["999 ms", "999 ms", "1.00 s", "1.00 s", "1.00 s", "1.23 s", "12.3 s", "99.9 s", "3,600 s"]);
  assert.deepEqual(forms("milliseconds", [-45.2, -0.001, -2000, 1e12, 1e15]), ["-45.2 ms", "<0.01 ms", "-2.00 s", "1.00 G s", "1.00 T s"]);
  assert.deepEqual(forms("seconds", [0.0452, 1.4768, 120, null]), ["45.2 ms", "1.48 s", "120 s", "–"]);
  assert.deepEqual(forms("bound", [0.25, 2.5, 10000]), ["0.25 ms", "2.5 ms", "10 s"]);
  assert.equal(format.duration(3600), "1h 0m 0s");
  assert.equal(format.duration(-0.1), "0s");
  assert.equal(format.duration(93784.2), "1d 2h 3m 4s");
  assert.equal(format.duration(93784.2, 2), "1d 2h");
  assert.deepEqual(forms("shortDuration", [0.25, 0.9994, 0.9995, 93784, 86400 * 1e3, 1e12]), ["250 ms", "999 ms", "1s", "1d 2h", "1,000 d", "11.6 M d"]);
});

test("shares of few among many are not none, and all but a few are not all", () => {
  assert.deepEqual(forms("percent", [0, 0.001, 0.04, 0.4, 12.55, 99.96, 99.9999, 100, 312.4]), ["0 %", "<0.01 %", "0.04 %", "0.4 %", "12.6 %", "99.9 %", "99.9 %", "100 %", "312.4 %"]);
  assert.equal(format.share(0.004), "0.4 %");
  assert.equal(format.errors(5, 1250), "5 (0.4 %)");
  assert.equal(format.errors(0, 0), "0 (0 %)");
});

test("sizes have the largest unit that keeps a digit before the point", () => {
  assert.deepEqual(forms("size", [0, 50 * 1024 ** 2, 1.5 * 1024 ** 3, 1024 ** 2 - 1, 1e15, 2e18]), ["0 B", "50 MB", "1.5 GB", "1 MB", "909.5 TB", "1,776.4 PB"]);
});

test("ticks have no zeros behind the point", () => {
  const tick = (form) => format.withoutZeros(format[form]);
  assert.deepEqual([20, 2000, 0].map(tick("milliseconds")), ["20 ms", "2 s", "0 ms"]);
  assert.deepEqual([2e6, 1.5e6, 100].map(tick("count")), ["2 M", "1.5 M", "100"]);
  assert.deepEqual([10, 2.5].map(tick("percent")), ["10 %", "2.5 %"]);
});

test("long names are cut in the middle, where a part of them begins", () => {
  assert.deepEqual(format.halves("/pay"), ["/pay", ""]);
  assert.deepEqual(format.halves("/api/v1/customers/{customer}/orders/{id}"), ["/api/v1/customers/{customer}", "/orders/{id}"]);
  assert.deepEqual(format.halves("a".repeat(40)), ["a".repeat(28), "a".repeat(12)]);
  assert.deepEqual(format.halves(`/${"😀".repeat(30)}`), [`/${"😀".repeat(18)}`, "😀".repeat(12)]);
  for (const name of ["/", "/api/v1/orders/a-very-long-last-part-of-a-name", "x/".repeat(40)]) assert.equal(format.halves(name).join(""), name);
});

test("what isn't known is shown so", () => {
  for (const form of ["count", "exact", "duration", "size", "milliseconds", "percent", "share", "rate", "clock", "figure", "seconds", "shortDuration", "bound"]) {
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
