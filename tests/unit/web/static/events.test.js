/** An event in a line: a death with what it was serving, and where. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { endsText, postMortemOf, requestText, storyOf } from "./events.js";

const TIME = "2026-11-28T12:00:00Z";
const request = (more = {}) => ({ method: "GET", path: "/a", age_seconds: 18.2, ...more });
const entry = (requests, more = {}) => ({ kind: "worker", pid: 7, time: TIME, cause: "timeout", requests, ...more });
const death = { sequence: 1, time: Date.parse(TIME) / 1000 + 0.2, kind: "death", pid: 7, text: "worker 7 died (timeout)" };

test("the first request is named with its place in the code, and how many more there were", () => {
  const stack = [{ file: "/usr/lib/python3.11/ssl.py", line: 9, function: "read" }, { file: "/srv/shop/orders.py", line: 12, function: "post" }];
  const story = storyOf(death, [entry([request({ stack }), request({ path: "/b" })], { requests_left_out: 2 })]);
  assert.equal(story, "worker 7 died (timeout), while serving GET /a (18s, at shop/orders.py:12 in post), and 3 more");
  assert.equal(requestText(request()), "GET /a (18s)");
});

test("a process may have died idle, and a pid is used again one day", () => {
  assert.equal(storyOf(death, []), "worker 7 died (timeout)");
  assert.equal(postMortemOf(death, [entry([request()], { time: "2026-11-28T11:00:00Z" })]), null);
  assert.equal(postMortemOf({ ...death, kind: "start" }, [entry([request()])]), null);
});

test("ends are counted by how they came", () => {
  assert.equal(endsText({ planned: 1, unplanned: 2, failed_boots: 0 }), "since this start: 1 planned end, 2 unplanned, 0 failed boots");
  assert.equal(endsText(undefined), "", "a daemon of the version before");
});
