/** What changed, in words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { stateOf, withoutRoute } from "./changes.js";
import { withParts } from "./routes.js";

test("red is for 5xx alone", () => {
  assert.equal(stateOf({ what: "server_error_rate", is_bad: true }), "bad");
  assert.equal(stateOf({ what: "server_error_rate", is_bad: false }), "good");
  assert.equal(stateOf({ what: "client_error_rate", is_bad: true }), "warn");
});

test("the route is said once", () => {
  assert.equal(withoutRoute({ route: "/pay", text: "/pay: p99 1 ms → 2 s" }), "p99 1 ms → 2 s");
  assert.equal(withoutRoute({ route: "", text: "busy 1 %" }), "busy 1 %");
});

test("each route has its part of the time that all take", () => {
  const parts = withParts([{ seconds_spent: 3 }, { seconds_spent: 1 }, { seconds_spent: null }]);
  assert.deepEqual(parts.map(({ part, ofMost }) => [part, ofMost]), [[0.75, 1], [0.25, 1 / 3], [0, 0]]);
  assert.deepEqual(withParts([{ seconds_spent: 0 }]).map(({ part, ofMost }) => [part, ofMost]), [[null, 0]]);
  assert.deepEqual(withParts([]), []);
});
