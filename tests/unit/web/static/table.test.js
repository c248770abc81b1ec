/** The order of a table's rows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { comparing } from "./table.js";

const sorted = (rows, way) => [...rows].sort(comparing(([, value]) => value, way, ([key]) => key)).map(([key]) => key).join("");

test("rows are sorted by value, then by key; what isn't known is last either way", () => {
  const rows = [["d", null], ["c", 2], ["a", 1], ["b", 2], ["e", undefined]];
  assert.equal(sorted(rows, 1), "abcde");
  assert.equal(sorted(rows, -1), "bcade");
  const most = ["a", "b", "c"].sort(comparing(() => 0, 1, (key) => key, (key) => (key === "b" ? 2 : 1)));
  assert.deepEqual(most, ["b", "a", "c"], "of the same value, the one that has more of something else");
  assert.equal(sorted([["b", "x"], ["a", "y"]], 1), "ba");
});
