/** A death in a line: what it was doing, and where. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { deathOf } from "./events.js";

const request = (more = {}) => ({ method: "GET", path: "/a", age_seconds: 18.2, ...more });
const entry = (...requests) => ({ kind: "worker", pid: 7, cause: "timeout", requests });

test("the first request is named with its place in the code, all of them in the title", () => {
  const stack = [{ file: "/usr/lib/python3.11/ssl.py", line: 9, function: "read" }, { file: "/srv/shop/orders.py", line: 12, function: "post" }];
  const { what, title } = deathOf(entry(request({ stack }), request({ path: "/b" })));
  assert.equal(what, "✕ worker 7 died (timeout) while serving GET /a (18.2 s, at shop/orders.py:12 in post), and 1 more");
  assert.deepEqual(title.split("\n"), [
    "GET /a (18.2 s, at shop/orders.py:12 in post)",
    "    /usr/lib/python3.11/ssl.py:9 in read",
    "    /srv/shop/orders.py:12 in post",
    "GET /b (18.2 s)",
  ]);
});

test("a daemon of the version before has no stacks, and one may have served nothing", () => {
  assert.equal(deathOf(entry(request())).what, "✕ worker 7 died (timeout) while serving GET /a (18.2 s)");
  assert.deepEqual([deathOf(entry()).what, deathOf(entry()).title], ["✕ worker 7 died (timeout)", null]);
});
