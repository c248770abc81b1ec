/** Questions over HTTP: one at a time, bounded in time, and heard whatever the status is. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Poll, Question } from "./poll.js";

let asked, told, world;
beforeEach(() => {
  [asked, told] = [[], []];
  world = {
    timers: new Map(),
    setInterval: (call, ms) => (world.timers.set(ms, call), ms),
    clearInterval: (timer) => world.timers.delete(timer),
    performance: { now: () => 7000 },
    AbortSignal: { timeout: (ms) => ms },
    fetch: (path, { signal }) => new Promise((answer, fail) => asked.push({ path, signal, answer, fail })),
  };
});

const question = (path) =>
  new Question(path, {
    answered: (body, at) => told.push(["answered", body, at]),
    failed: (why) => told.push(["failed", why]),
    odd: (what) => told.push(["odd", what]),
  }, world);
const answer = (status, type, body = {}) => ({ status, headers: { get: () => type }, json: async () => body });
const settle = () => new Promise((next) => setImmediate(next));

test("an unhealthy daemon's 503 is read as its word", async () => {
  question("health").ask();
  assert.equal(asked[0].signal, 3000);
  asked[0].answer(answer(503, "application/json", { status: "unhealthy" }));
  await settle();
  assert.deepEqual(told, [["answered", { status: "unhealthy" }, 7]]);
});

test("a gateway that reaches no daemon is no answer, another page is an odd one", async () => {
  const health = question("health");
  for (const [status, type] of [[502, "text/html"], [404, "text/html"], [500, "application/problem+json"], [200, null]]) {
    health.ask();
    asked.at(-1).answer(answer(status, type));
    await settle();
  }
  assert.deepEqual(told.map(([kind]) => kind), ["failed", "odd", "odd", "odd"]);
  assert.match(told[1][1], /health is 404/);
});

test("silence and refusal are told apart in words", async () => {
  const health = question("health");
  for (const name of ["TimeoutError", "TypeError"]) {
    health.ask();
    asked.at(-1).fail(Object.assign(new Error(), { name }));
    await settle();
  }
  assert.deepEqual(told, [["failed", "health has not answered within 3 s"], ["failed", "health can't be reached"]]);
});

test("what breaks off in the midst is no answer", async () => {
  question("health").ask();
  asked[0].answer({ ...answer(200, "application/json"), json: () => Promise.reject(new SyntaxError("end")) });
  await settle();
  assert.equal(told[0][0], "failed");
});

test("each is asked every two seconds, never twice at once, until it is stopped", async () => {
  const poll = new Poll([question("health"), question("api/v1/snapshot")], world);
  poll.start();
  poll.start();
  assert.deepEqual(asked.map(({ path }) => path), ["health", "api/v1/snapshot"]);
  world.timers.get(2000)();
  assert.equal(asked.length, 2, "both are still to be answered");
  asked[0].answer(answer(200, "application/json"));
  await settle();
  world.timers.get(2000)();
  assert.deepEqual(asked.map(({ path }) => path), ["health", "api/v1/snapshot", "health"]);
  poll.stop();
  poll.stop();
  assert.deepEqual([world.timers.size, poll.isRunning], [0, false]);
});

test("one that is wanted anew is asked once more after the answer", async () => {
  const snapshot = question("api/v1/snapshot");
  snapshot.ask();
  snapshot.ask(true);
  snapshot.ask(true);
  assert.equal(asked.length, 1);
  asked[0].answer(answer(200, "application/json"));
  await settle();
  assert.equal(asked.length, 2);
  asked[1].answer(answer(200, "application/json"));
  await settle();
  assert.deepEqual([asked.length, told.length], [2, 2]);
});
