/** The badge's word: what was last really heard, and for how long it holds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MARKS, judge } from "./verdict.js";

const word = (state, reasons = [], more = {}) => ({ state, reasons, at: 100, wall: 1795571359, lasts: 5, ...more });
const told = (facts) => judge({ word: null, failure: null, oddity: null, now: 101, ...facts });

test("it is the daemon's own word while that is fresh, with its reasons", () => {
  for (const state of ["healthy", "degraded", "unhealthy", "starting"]) {
    assert.deepEqual(told({ word: word(state, ["because"]) }), { state, reasons: ["because"] });
    assert.equal(told({ word: word(state) }).reasons.length, 1, "there is always something to read");
  }
});

test("a word is no longer believed once it is old, and what it was is said", () => {
  assert.equal(told({ word: word("healthy"), now: 105 }).state, "healthy");
  const { state, reasons } = told({ word: word("healthy"), now: 112.5 });
  assert.equal(state, "unknown");
  assert.match(reasons.join(" "), /says nothing.*Last heard at .*, 12s ago: healthy/);
});

test("what answers instead of the daemon is named, and is no word of it", () => {
  const oddity = "the answer to health is 404, and not from the daemon";
  assert.equal(told({ word: word("healthy"), oddity }).state, "healthy");
  assert.match(told({ word: word("healthy"), oddity, now: 106 }).reasons[0], /404/);
  assert.match(told({ oddity }).reasons[0], /404/);
});

test("where nothing answers it is unreachable at once, whatever was heard before", () => {
  for (const before of [null, word("healthy")]) {
    const { state, reasons } = told({ word: before, failure: "health can't be reached" });
    assert.equal(state, "unreachable");
    assert.match(reasons.join(" "), /can't be reached.*(before|: healthy)/);
  }
});

test("nothing heard yet, and what a daemon of another version says, is unknown", () => {
  assert.equal(told({}).state, "unknown");
  assert.deepEqual(told({ word: word("unknown", ["the clock is broken"]) }).state, "unknown");
  assert.match(told({ word: word("splendid", ["why not"]) }).reasons.join(" "), /why not.*splendid/);
  assert.equal(told({ word: word("toString") }).state, "unknown");
});

test("each state has a mark of its own", () => {
  assert.equal(new Set(Object.values(MARKS)).size, 6);
});
