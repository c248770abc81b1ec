/** What changed, in words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { explained, stateOf, withoutRoute } from "./changes.js";
import { firstRequest, withParts } from "./routes.js";

test("red is for 5xx alone", () => {
  assert.equal(stateOf({ what: "server_error_rate", is_bad: true }), "bad");
  assert.equal(stateOf({ what: "server_error_rate", is_bad: false }), "good");
  assert.equal(stateOf({ what: "client_error_rate", is_bad: true }), "warn");
});

test("the route is said once", () => {
  assert.equal(withoutRoute({ route: "/pay", text: "/pay: p99 1 ms → 2 s" }), "p99 1 ms → 2 s");
  assert.equal(withoutRoute({ route: "", text: "busy 1 %" }), "busy 1 %");
});

test("how all routes are is told where no route explains it", () => {
  const changes = [["p99_ms", ""], ["p99_ms", "/pay"], ["busy_ratio", ""]].map(([what, route]) => ({ what, route }));
  assert.deepEqual(explained(changes), [changes[1], changes[2]]);
});

test("each route has its part of the time that all take", () => {
  const parts = withParts([{ seconds_spent: 3 }, { seconds_spent: 1 }, { seconds_spent: null }]);
  assert.deepEqual(parts.map(({ part, ofMost }) => [part, ofMost]), [[0.75, 1], [0.25, 1 / 3], [0, 0]]);
  assert.deepEqual(withParts([{ seconds_spent: 0 }]).map(({ part, ofMost }) => [part, ofMost]), [[null, 0]]);
  assert.deepEqual(withParts([]), []);
});

test("an empty table says how to send a first request, to where the service listens", () => {
  const place = { hostname: "shop.example" };
  const sent = (bind) => firstRequest(bind, place).replace("Send a first one: ", "");
  assert.equal(sent("127.0.0.1:8000"), "curl http://127.0.0.1:8000/");
  assert.equal(sent("0.0.0.0:8000"), "curl http://shop.example:8000/");
  assert.equal(sent("[::]:80"), "curl http://shop.example:80/");
  assert.equal(sent("[::1]:80"), "curl http://[::1]:80/");
  assert.equal(sent("unix:/run/shop.sock"), "curl --unix-socket /run/shop.sock http://localhost/");
  for (const bind of ["", "127.0.0.1:0", "fd://3"]) assert.equal(sent(bind), "Send the service a first one.");
});
