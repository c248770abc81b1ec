/** Whether the daemon is heard, and which way; the clock is the test's. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Contact } from "./contact.js";

let now, contact, poll, restarts, states;
beforeEach(() => {
  [now, restarts, states] = [1000, 0, []];
  poll = { isRunning: false, start: () => (poll.isRunning = true), stop: () => (poll.isRunning = false) };
  contact = new Contact(
    poll,
    { restart: () => (restarts += 1), changed: ({ verdict }) => states.at(-1) === verdict.state || states.push(verdict.state) },
    { now: () => now, wall: () => now },
  );
});

const live = () => {
  contact.connected("connecting");
  contact.connected("open");
  contact.gotNumbers();
  contact.reportFromSocket("healthy", []);
};
const wait = (seconds) => {
  for (let i = 0; i < seconds * 2; i += 1) {
    now += 0.5;
    contact.check();
  }
};

test("HTTP is asked until the socket speaks, and no longer", () => {
  contact.connected("connecting");
  assert.ok(poll.isRunning);
  contact.connected("open");
  assert.ok(poll.isRunning, "a handshake is no word");
  contact.reportFromSocket("healthy", []);
  assert.ok(!poll.isRunning);
  assert.equal(contact.connection, "open");
  contact.connected("waiting");
  assert.ok(poll.isRunning);
});

test("a socket that is open and silent is doubted before its word is old, then given up", () => {
  live();
  wait(3.5);
  assert.deepEqual([poll.isRunning, contact.connection, contact.verdict.state], [false, "open", "healthy"]);
  wait(0.5);
  assert.deepEqual([poll.isRunning, contact.connection, contact.verdict.state, restarts], [true, "silent", "healthy", 0]);
  wait(1.5);
  assert.deepEqual([contact.verdict.state, restarts], ["unknown", 1]);
});

test("what HTTP says meanwhile counts, and so does that nothing answers there", () => {
  live();
  contact.connected("waiting");
  contact.reportFromHttp("degraded", ["aggregator away"], now);
  assert.deepEqual(contact.verdict, { state: "degraded", reasons: ["aggregator away"] });
  wait(5);
  assert.equal(contact.verdict.state, "degraded", "until the next answer, and the time that it may take");
  contact.noteHttpFailure("health can't be reached", now);
  assert.equal(contact.verdict.state, "unreachable");
  contact.reportFromHttp("healthy", [], now);
  assert.equal(contact.verdict.state, "healthy");
});

test("of two questions one may fail, and a late answer is no news", () => {
  live();
  contact.connected("waiting");
  const asked = now;
  now += 1;
  contact.reportFromHttp("degraded", [], asked);
  now += 2;
  contact.noteHttpFailure("api/v1/snapshot has not answered within 3 s", asked);
  assert.equal(contact.verdict.state, "degraded");
  contact.reportFromHttp("healthy", [], asked);
  assert.equal(contact.verdict.state, "degraded");
});

test("a question that fails while the socket speaks says nothing of the daemon", () => {
  live();
  contact.noteHttpFailure("api/v1/snapshot has not answered within 3 s", now);
  contact.reportFromHttp("unhealthy", [], now);
  assert.equal(contact.verdict.state, "healthy");
});

test("answers that aren't the daemon's make it unknown once its word is old, never unreachable", () => {
  live();
  contact.connected("waiting");
  for (let i = 0; i < 3; i += 1) {
    contact.noteForeignAnswer("the answer to health is 404, and not from the daemon");
    wait(2);
  }
  assert.deepEqual(states, ["unknown", "healthy", "unknown"]);
});

test("each socket that is silent from its opening is given up too, once", () => {
  contact.connected("open");
  wait(5);
  assert.equal(restarts, 0);
  wait(0.5);
  assert.equal(restarts, 1);
  contact.connected("waiting");
  wait(60);
  assert.equal(restarts, 1);
});

test("numbers are old only when no way brings them", () => {
  assert.equal(contact.isStale, false, "there are none yet");
  contact.interval = 0.5;
  live();
  contact.connected("waiting");
  wait(5);
  assert.equal(contact.isStale, false);
  contact.gotNumbers();
  wait(5.5);
  assert.equal(contact.isStale, true);
});

test("a long interval is waited for", () => {
  contact.interval = 60;
  live();
  wait(90);
  assert.deepEqual([poll.isRunning, contact.verdict.state, contact.isStale], [false, "healthy", false]);
});
