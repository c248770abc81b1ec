/** What the page knows, by what it was told. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { History } from "./history.js";
import { Model } from "./model.js";

let now, model;
beforeEach(() => {
  now = 1000;
  model = new Model(new History(), () => now);
});

const metrics = (more = {}) => ({ type: "metrics", data: { raw: { recent_jobs: [], alerts: [], ...more } } });
const worker = (pid, slot = pid, age = 100) => ({ pid, slot, age_seconds: age, busy: [] });
const detail = (workers, more = {}) => ({
  type: "detail",
  data: { workers, routes: [], restarts: 0, point: null, latency: null, ...more },
});
const job = (id, status, revision, progress = 0, created = id) => ({ id, status, revision, progress, created_at: created });
const states = () => model.shownWorkers().map(({ pid, gone, isNew }) => `${pid}${gone === null ? "" : " gone"}${isNew ? " new" : ""}`);

test("a new worker is marked for a while, and so is one that is gone", () => {
  model.message(detail([worker(1), worker(2)]));
  assert.deepEqual(states(), ["1", "2"]);
  assert.equal(model.message(detail([worker(1), worker(3, 2, 1)], { restarts: 1 })), true);
  assert.deepEqual(states(), ["1", "3 new", "2 gone"]);
  now += 9;
  assert.equal(model.message(detail([worker(1), worker(3, 2, 10)], { restarts: 1 })), false);
  assert.deepEqual(states(), ["1", "3 new", "2 gone"]);
  now += 2;
  model.message(detail([worker(1), worker(3, 2, 12)], { restarts: 1 }));
  assert.deepEqual(states(), ["1", "3"]);
});

test("a worker that isn't there yet isn't shown", () => {
  model.message(detail([worker(1), worker(0, 2, 0)]));
  assert.deepEqual(states(), ["1"]);
});

test("an older state of a job never replaces a newer one", () => {
  model.message({ type: "job_update", data: job("a", "running", 2, 50) });
  model.message({ type: "job_update", data: job("a", "running", 2, 40) });
  model.message(metrics({ recent_jobs: [job("a", "pending", 1)] }));
  const shown = () => [...model.jobs.values()].map(({ job: { status, progress } }) => [status, progress]);
  assert.deepEqual(shown(), [["running", 50]]);
  model.message({ type: "job_update", data: job("a", "completed", 3, 100) });
  assert.deepEqual(shown(), [["completed", 100]]);
});

test("jobs that nobody tells of are forgotten, however many there were", () => {
  for (let i = 0; i < 5000; i += 1) {
    now += 2;
    model.message({ type: "job_update", data: job(`j${i}`, "completed", 3) });
    model.message(metrics());
  }
  assert.ok(model.jobs.size < 20);
});

test("a snapshot keeps the rates that only messages tell", () => {
  model.message(detail([{ ...worker(1), requests_per_second: 5 }], { routes: [{ route: "/", count: 1, requests_per_second: 2 }] }));
  model.snapshot({ ...metrics().data.raw, workers: [worker(1)], routes: [{ route: "/", count: 3 }], post_mortems: [{ pid: 7 }] });
  assert.equal(model.shownWorkers()[0].data.requests_per_second, 5);
  assert.deepEqual(model.routes, [{ route: "/", count: 3, requests_per_second: 2 }]);
  assert.deepEqual(model.postMortems, [{ pid: 7 }]);
});

test("unknown types are left alone; numbers have an age", () => {
  assert.equal(model.message({ type: "from the future", data: null }), false);
  assert.equal(model.heard, -Infinity);
  model.message(metrics());
  now += 7;
  assert.equal(model.now() - model.heard, 7);
});

test("the newest alerts are kept", () => {
  for (let i = 0; i < 100; i += 1) model.message({ type: "alert", data: { message: `${i}` } });
  assert.equal(model.alerts.length, 20);
  assert.equal(model.alerts[0].message, "99");
});

test("health is what the daemon says, in the words of either version", () => {
  model.message({ type: "status", data: { version: "1", reasons: ["job runner away"] } });
  model.message(metrics({ system_health: "degraded" }));
  assert.deepEqual(model.health, ["degraded", ["job runner away"]]);
  model.message(metrics({ system_health: "healthy" }));
  assert.deepEqual([model.health, model.interval, model.longest], [["healthy", []], null, null]);
  model.message({ type: "status", data: { version: "2", reasons: [], interval_seconds: 30 } });
  model.message(metrics({ system_health: "degraded", health: "starting", reasons: ["boots"], longest_requests: [] }));
  assert.deepEqual([model.health, model.interval, model.longest], [["starting", ["boots"]], 30, []]);
});

test("events come once each, and those that were missed are asked for", () => {
  const sequences = () => model.events.map(({ sequence }) => sequence);
  model.message(detail([], { newest_event: 2 }));
  assert.equal(model.lacksEvents, true);
  model.lacksEvents = false;
  model.takeEvents([{ sequence: 1 }, { sequence: 2 }], 2);
  model.message(detail([], { events: [{ sequence: 3 }], newest_event: 3 }));
  assert.deepEqual([sequences(), model.lacksEvents], [[1, 2, 3], false]);
  model.message(detail([], { events: [{ sequence: 3, number: 2 }], newest_event: 3 })); // it happened once more
  assert.deepEqual([sequences(), model.events[2].number], [[1, 2, 3], 2]);
  model.message(detail([], { events: [{ sequence: 6 }], newest_event: 6 }));
  assert.deepEqual([sequences(), model.lacksEvents], [[1, 2, 3], true]);
  model.takeEvents([4, 5, 6].map((sequence) => ({ sequence })), 6);
  assert.deepEqual(sequences(), [1, 2, 3, 4, 5, 6]);
  model.message(detail([], { newest_event: 1 })); // another daemon's
  assert.deepEqual([sequences(), model.newestEvent], [[], 0]);
});
