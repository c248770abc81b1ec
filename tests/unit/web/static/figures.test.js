/** The figures of the last minute: what they say, and what they say where there is nothing to say. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FIGURES, SMALL, changeOf, totalsOf } from "./figures.js";
import { milliseconds, share } from "./format.js";

const SPAN = {
  seconds: 60, requests: 2000, requests_per_second: 33.3, server_errors: 240, client_errors: 20, server_error_rate: 0.12,
  client_error_rate: 0.01, mean_ms: 20, p50_ms: 10, p99_ms: 1250, busy_ratio: 0.5,
};
const QUIET = { ...SPAN, requests: 0, requests_per_second: 0, server_error_rate: 0, mean_ms: null, p50_ms: null, p99_ms: null };
const raw = (more = {}) => ({
  timestamp: "2026-11-28T10:00:00Z", uptime_seconds: 3600, totals_since: "2026-11-28T09:00:00Z", http_requests: 8.41e12, http_errors: 5, http_server_errors: 2,
  http_client_errors: 3, avg_response_time: 1.5, worker_threads: 8, worker_threads_busy: 4, workers_alive: 2, busy_ratio: 0.4, saturated_seconds: 0,
  queued_requests: 0, accept_backlog: 0, p99_with_open: 0, health: "healthy", observed_age_seconds: 0.5, last_minute: SPAN, minute_before: null, ...more,
});
const said = (name, more) => {
  const { value, change = "", beside, state, changeState } = FIGURES[name](raw(more));
  return [value, change, beside, state ?? changeState ?? ""].join(" | ");
};

test("a change is told in words, and none where there is no news", () => {
  assert.equal(changeOf(0.12, 0, share), "▲ up from 0 %");
  assert.equal(changeOf(45, 1250, milliseconds), "▼ down from 1.25 s");
  assert.equal(changeOf(101, 99, milliseconds), "≈ 99.0 ms before");
  assert.equal(changeOf(0, 0, share), "as before");
  assert.equal(changeOf(0, null, share), "");
  assert.equal(changeOf(null, 4, milliseconds), "");
});

test("5xx are red, 4xx are not, and each stands beside the minute before", () => {
  const minute_before = { ...SPAN, server_error_rate: 0, client_error_rate: 0.5 };
  assert.equal(said("5xx errors", { minute_before }), "12.0 % | ▲ up from 0 % | 240 of 2,000 | bad");
  assert.equal(said("4xx errors", { minute_before }), "1.0 % | ▼ down from 50.0 % | 20 of 2,000 | ");
  assert.equal(said("p99", { minute_before: { ...SPAN, p99_ms: 45 } }), "1.25 s | ▲ up from 45.0 ms | half within 10.0 ms | warn");
  assert.equal(said("Requests", { minute_before }), "33.3/s | as before | 2,000 in 1 min | ");
  assert.equal(said("Threads busy", { minute_before: { ...SPAN, busy_ratio: 0.1 } }), "4 of 8 | ▲ up from 10.0 % | 50.0 % over 1 min | ");
});

test("without traffic there are no figures, and no zeros", () => {
  for (const name of ["5xx errors", "4xx errors", "p99"]) assert.equal(said(name, { last_minute: QUIET, minute_before: SPAN }), "– |  | no requests in the last minute | ");
  assert.equal(said("Requests", { last_minute: QUIET, minute_before: SPAN }), "0/s | ▼ down from 33.3/s | none in the last minute | ");
  assert.equal(said("5xx errors", { minute_before: QUIET }), "12.0 % |  | 240 of 2,000 | bad");
});

test("what isn't known says why", () => {
  const lack = (more) => said("p99", { last_minute: null, ...more });
  assert.equal(lack({}), "– |  | nothing is measured yet | ");
  assert.equal(lack({ health: "starting" }), "– |  | starting | ");
  assert.equal(lack({ observed_age_seconds: null }), "– |  | unknown: the aggregator is away | ");
  assert.equal(lack({ last_minute: undefined }), "– |  | this daemon does not tell | ");
});

test("p99 doesn't look well because the slow requests have not ended", () => {
  assert.equal(said("p99", { p99_with_open: 45_000 }), "45.0 s | finished: 1.25 s | with unfinished | warn");
  assert.equal(said("p99", { p99_with_open: 45_000, last_minute: QUIET }), "45.0 s | nothing has ended | with unfinished | warn");
  assert.equal(said("p99", { p99_with_open: 1_300 }).split(" | ")[0], "1.25 s");
});

test("saturation is told with since when, and who waits", () => {
  const more = { worker_threads_busy: 8, saturated_seconds: 12, queued_requests: 20, accept_backlog: 3 };
  assert.match(said("Threads busy", { ...more, worker_threads_busy: 5 }), /^5 of 8 \| ▲ queue since /, "threads are free: it isn't full");
  assert.match(said("Threads busy", more), /^8 of 8 \| ▲ full since ..:59:48 \| 50\.0 % over 1 min \| bad$/);
  assert.equal(said("Waiting", more), "23 |  | 20 for a thread, 3 unaccepted | warn");
  assert.equal(said("Waiting", { queued_requests: undefined, accept_backlog: null }), "– |  | this daemon does not tell | ");
});

test("planned and unplanned ends are told apart", () => {
  const death = { kind: "death", time: 1000 };
  const at = (time) => new Date(time * 1000).toISOString();
  const ended = (ends, time = 1010) => SMALL["Processes ended"]({ ends, timestamp: at(time) }, [death]).filter((_, i) => i !== 1).join();
  assert.equal(ended({ planned: 12, unplanned: 0, failed_boots: 0 }), "12 planned,");
  assert.equal(ended({ planned: 12, unplanned: 2, failed_boots: 1 }), "2 unplanned, 1 at boot,bad");
  assert.equal(ended({ planned: 12, unplanned: 2, failed_boots: 1 }, 5000), "2 unplanned, 1 at boot,", "red for an hour");
});

test("the totals are one line, with since when", () => {
  assert.match(totalsOf(raw()).text, /^Since .*: 8\.41 T requests · 5xx 2 \(<0\.01 %\) · 4xx 3 \(<0\.01 %\) · mean 1\.50 ms$/);
  assert.equal(totalsOf(raw()).title, "8,410,000,000,000 requests, 5 errors, mean 1.5 ms");
  assert.match(totalsOf(raw({ totals_since: "2026-11-20T09:00:00Z" })).text, /; up 1h 0m\)/);
  assert.match(totalsOf(raw({ http_requests: 0 })).text, /: 0 requests$/);
});
