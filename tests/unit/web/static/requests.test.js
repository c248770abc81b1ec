/** Requests in progress keep their name from message to message, and their place in the code is the app's own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ageOf, follow, frameText, placeOf } from "./requests.js";

const request = (pid, path, age, more = {}) => ({ method: "GET", pid, path, age_seconds: age, stack: [], ...more });
const ids = (requests) => requests.map(({ id }) => id);

test("a request is the same while process, path and beginning are", () => {
  const first = follow([], [request(1, "/a", 9), request(1, "/a", 3), request(2, "/a", 9)], 100);
  assert.equal(new Set(ids(first)).size, 3);
  const second = follow(first, [request(1, "/a", 11.2), request(1, "/a", 4.9), request(2, "/a", 11)], 102);
  assert.deepEqual(ids(second), ids(first));
  const third = follow(second, [request(1, "/a", 6.9), request(2, "/a", 0.1), request(1, "/b", 6.9)], 104);
  assert.equal(third[0].id, first[1].id);
  assert.ok(third[1].id > first[2].id && third[2].id > first[2].id, "these are others");
});

test("two that began together are two", () => {
  const first = follow([], [request(1, "/a", 5), request(1, "/a", 5)], 100);
  assert.equal(new Set(ids(follow(first, [request(1, "/a", 7), request(1, "/a", 7)], 102))).size, 2);
});

test("its age goes on between messages", () => {
  const [one] = follow([], [request(1, "/a", 5)], 100);
  assert.equal(ageOf(one, 101.5), 6.5);
});

test("a daemon may leave the stack out", () => {
  assert.deepEqual(follow([], [{ ...request(1, "/a", 5), stack: undefined }], 100)[0].stack, []);
});

test("the place is the app's innermost frame, below what it calls", () => {
  const frame = (file) => ({ file, line: 7, function: "f" });
  const files = ["/usr/lib/python3.11/ssl.py", "/srv/.venv/lib/python3.11/site-packages/psycopg/wait.py", "/srv/shop/orders.py", "/srv/wsgi.py"];
  assert.equal(frameText(placeOf(files.map(frame))), "shop/orders.py:7 in f");
  assert.equal(frameText(placeOf(files.map(frame)), true), "/srv/shop/orders.py:7 in f");
  assert.equal(placeOf(files.slice(0, 2).map(frame)).file, files[0], "all is of packages");
  assert.equal(placeOf([]), null);
});
