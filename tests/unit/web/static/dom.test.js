/** Rows that only some have to be moved for a new order: which of them stay. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ascending } from "./dom.js";

const stay = (places) => [...ascending(places)].sort((one, other) => one - other);

test("all rows stay where their order does", () => {
  assert.deepEqual(stay([0, 1, 2, 3]), [0, 1, 2, 3]);
  assert.deepEqual(stay([]), []);
});

test("a row that goes to another place is the only one that moves", () => {
  assert.deepEqual(stay([3, 0, 1, 2]), [1, 2, 3]);
  assert.deepEqual(stay([1, 2, 3, 0]), [0, 1, 2]);
  assert.deepEqual(stay([0, 3, 1, 2, 4]), [0, 2, 3, 4]);
});

test("as many rows stay as can", () => {
  assert.equal(stay([3, 2, 1, 0]).length, 1);
  assert.equal(stay([2, 5, 3, 7, 11, 8, 10, 13, 6]).length, 6);
});

test("rows that are new are put in between", () => {
  assert.deepEqual(stay([-1, 0, -1, 1]), [1, 3]);
  assert.deepEqual(stay([-1, -1]), []);
});
