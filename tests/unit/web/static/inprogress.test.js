/** Requests in progress: of which route each is, and with which stack. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inProgress, makeTest } from "./inprogress.js";

test("a path is of the route that leaves least open", () => {
  const routes = ["/", "/orders/{id}", "/orders/new", "/files/<path:name>", "/users/<int:id>/x.y"];
  const of = (path) => routes.filter((route) => makeTest(route, routes)(path));
  assert.deepEqual(of("/"), ["/"]);
  assert.deepEqual(of("/orders/7"), ["/orders/{id}"]);
  assert.deepEqual(of("/orders/7/?a=/b"), ["/orders/{id}"]);
  assert.deepEqual(of("/orders/new"), ["/orders/new"]);
  assert.deepEqual(of("/files/a/b.txt"), ["/files/<path:name>"]);
  assert.deepEqual(of("/users/1/x.y"), ["/users/<int:id>/x.y"]);
  assert.deepEqual(of("/users/1/xzy"), []);
});

test("workers tell of all requests, and the longest have a stack; each is told once", () => {
  const request = (path, age, more) => ({ method: "GET", path, age_seconds: age, ...more });
  const workers = new Map([
    [1, { pid: 1, gone: null, data: { busy: [request("/a", 2), request("/a", 2.5)] } }],
    [2, { pid: 2, gone: 5, data: { busy: [request("/dead", 9)] } }],
  ]);
  const longest = [request("/a", 2.2, { pid: 1, stack: ["frame"] }), request("/b", 60, { pid: 3, stack: [] })];
  const requests = inProgress({ workers, longest });
  assert.deepEqual(requests.map(({ pid, path, age_seconds: age, stack }) => [pid, path, age, stack.length]), [[3, "/b", 60, 0], [1, "/a", 2.5, 0], [1, "/a", 2, 1]]);
  assert.equal(inProgress({ workers, longest: null }).length, 2);
});
