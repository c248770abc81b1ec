/** What is told of an outage, by what is known. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { effectsOf, groupsOf, lastDeath, lastWords, troubleOf } from "./outage.js";

const frame = (line) => ({ file: "/srv/shop/pay.py", line, function: "charge" });
const request = (path, pid, stack = [frame(88)]) => ({ method: "POST", path, pid, stack });

test("requests of one kind at one place are told together, the oldest first", () => {
  const groups = groupsOf([request("/pay/4711", 7), request("/reports", 8, []), request("/pay/4712?retry=1", 9), request("/reports", 8, []), request("/pay/4713", 7, [frame(90)])]);
  const texts = groups.map(({ number, what, place, pids }) => `${number} ${what} ${place?.line ?? "?"} ${pids}`);
  assert.deepEqual(texts, ["2 POST /pay/… 88 7,9", "2 POST /reports ? 8", "1 POST /pay/4713 90 7"]);
});

test("it is an outage once all threads have been busy for a while", () => {
  const raw = { timestamp: "2026-11-28T10:00:00Z", worker_threads: 8, worker_threads_busy: 8, saturated_seconds: 192 };
  assert.deepEqual(troubleOf(raw), { title: "All 8 threads are busy", past: "All 8 threads were busy", since: Date.parse("2026-11-28T09:56:48Z") / 1000 });
  assert.equal(troubleOf({ ...raw, worker_threads: 1, worker_threads_busy: 1 }).title, "The only thread is busy");
  assert.equal(troubleOf({ ...raw, worker_threads_busy: 6 }).title, "Requests wait, with 6 of 8 threads busy");
  assert.equal(troubleOf({ ...raw, saturated_seconds: 1 }), null);
  assert.equal(troubleOf({ timestamp: "" }), null);
});

test("what it does to clients is a sentence", () => {
  assert.equal(effectsOf({ queued_requests: 20, accept_backlog: 3, requests_per_second: 0 }), "23 requests wait, nothing is answered");
  assert.equal(effectsOf({ queued_requests: 1, requests_per_second: 12 }), "1 request waits, 12.0 requests/s are still answered");
});

test("of a silent daemon is told what was last heard", () => {
  const report = { state: "healthy", wall: Date.now() / 1000 - 75 };
  const last_minute = { requests: 9, requests_per_second: 0.15, server_error_rate: 0.5, p99_ms: 45 };
  const raw = { last_minute, worker_threads: 8, worker_threads_busy: 2 };
  assert.equal(lastWords(raw, report), "Last heard 1 min ago: healthy, 0.1 requests/s, 5xx 50.0 %, p99 45.0 ms, 2 of 8 threads busy.");
  assert.equal(lastWords({ last_minute: null }, report), "Last heard 1 min ago: healthy, no requests.");
  assert.equal(lastWords(null, null), "Nothing was heard before.");
});

test("the death that may be why is told", () => {
  const events = [{ kind: "death", time: 10, text: "worker 7 was killed" }, { kind: "reload", time: 20, text: "reloaded" }];
  assert.deepEqual(lastDeath(events, 22), ["12 s ago: worker 7 was killed"]);
  assert.deepEqual(lastDeath([events[1]], 22), []);
});
