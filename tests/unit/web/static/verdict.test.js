/** The badge's report: what was last really heard, and for how long it holds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MARKS, judge, sinceOf } from "./verdict.js";

const report = (state, reasons = [], more = {}) => ({ state, reasons, at: 100, wall: 1795571359, lasts: 5, ...more });
const verdictOf = (facts) => judge({ report: null, failure: null, foreign: null, now: 101, ...facts });

test("it is the daemon's own report while that is fresh, with its reasons", () => {
  for (const state of ["healthy", "degraded", "unhealthy", "starting"]) {
    assert.deepEqual(verdictOf({ report: report(state, ["because"]) }), { state, reasons: ["because"] });
    assert.equal(verdictOf({ report: report(state) }).reasons.length, 1, "there is always something to read");
  }
});

test("a report is no longer believed once it is old, and what it was is said", () => {
  assert.equal(verdictOf({ report: report("healthy"), now: 105 }).state, "healthy");
  const { state, reasons } = verdictOf({ report: report("healthy"), now: 112.5 });
  assert.equal(state, "unknown");
  assert.match(reasons.join(" "), /says nothing.*Last heard at .*, 12s ago: healthy/);
});

test("what answers instead of the daemon is named, and is no report of it", () => {
  const foreign = "the answer to health is 404, and not from the daemon";
  assert.equal(verdictOf({ report: report("healthy"), foreign }).state, "healthy");
  assert.match(verdictOf({ report: report("healthy"), foreign, now: 106 }).reasons[0], /404/);
  assert.match(verdictOf({ foreign }).reasons[0], /404/);
});

test("where nothing answers it is unreachable at once, whatever was heard before", () => {
  for (const before of [null, report("healthy")]) {
    const { state, reasons } = verdictOf({ report: before, failure: "health can't be reached" });
    assert.equal(state, "unreachable");
    assert.match(reasons.join(" "), /can't be reached.*(before|: healthy)/);
  }
});

test("nothing heard yet, and what a daemon of another version says, is unknown", () => {
  assert.equal(verdictOf({}).state, "unknown");
  assert.deepEqual(verdictOf({ report: report("unknown", ["the clock is broken"]) }).state, "unknown");
  assert.match(verdictOf({ report: report("splendid", ["why not"]) }).reasons.join(" "), /why not.*splendid/);
  assert.equal(verdictOf({ report: report("toString") }).state, "unknown");
});

test("each state has a mark of its own", () => {
  assert.equal(new Set(Object.values(MARKS)).size, 6);
});

test("since when a state lasts is told by the daemon's events", () => {
  const start = { kind: "start", time: 1 };
  const alert = (time, state) => ({ kind: "alert", time, state });
  assert.equal(sinceOf("healthy", [start, { kind: "death", time: 3 }]), 1);
  assert.equal(sinceOf("degraded", [start, alert(5, "degraded"), { kind: "death", time: 6 }, alert(7, "degraded")]), 5);
  assert.equal(sinceOf("unhealthy", [start, alert(5, "degraded"), alert(9, "unhealthy")]), 9);
  assert.equal(sinceOf("healthy", [start, alert(5, "degraded"), { kind: "alert_over", time: 8, state: "healthy" }]), 8);
  assert.equal(sinceOf("degraded", [start]), null);
  assert.equal(sinceOf("healthy", []), null);
});
