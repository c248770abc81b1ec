/** A connection that comes back: soon at first, never all at once, and never twice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Socket } from "./socket.js";

function world(random = () => 1) {
  const made = { sockets: [], waits: [], states: [], messages: [], timers: new Map() };
  class FakeSocket {
    constructor() {
      made.sockets.push(this);
    }
    close() {
      this.isClosed = true;
    }
  }
  made.socket = new Socket(
    "ws://test/ws",
    { message: (message) => made.messages.push(message), state: (...state) => made.states.push(state[0]) },
    () => ["hvd"],
    {
      WebSocket: FakeSocket,
      Math: { random },
      setTimeout: (call, ms) => (made.waits.push(ms), made.timers.set(made.waits.length, call), made.waits.length),
      clearTimeout: (timer) => made.timers.delete(timer),
    },
  );
  made.last = () => made.sockets.at(-1);
  made.elapse = () => [...made.timers].forEach(([timer, call]) => (made.timers.delete(timer), call()));
  made.socket.open();
  return made;
}

test("it waits twice as long each time, from 250 ms up to 5 s", () => {
  const made = world();
  for (let i = 0; i < 8; i += 1) {
    made.last().onclose();
    made.elapse();
  }
  assert.deepEqual(made.waits, [250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
});

test("half of the wait is chance, and no wait is none", () => {
  const made = world(() => 0);
  made.last().onclose();
  assert.deepEqual(made.waits, [125]);
});

test("a message, and not a handshake, ends the doubling", () => {
  const made = world();
  for (const talks of [false, false, true]) {
    made.last().onopen();
    if (talks) made.last().onmessage({ data: '{"type": "metrics"}' });
    made.last().onclose();
    made.elapse();
  }
  assert.deepEqual(made.waits, [250, 500, 250]);
  assert.deepEqual(made.messages, [{ type: "metrics" }]);
  assert.deepEqual(made.states.slice(0, 4), ["connecting", "open", "waiting", "connecting"]);
});

test("one that is silent is closed, and what it says later is not heard", () => {
  const made = world();
  const silent = made.last();
  made.socket.restart();
  assert.ok(silent.isClosed);
  assert.equal(silent.onmessage, null);
  made.elapse();
  assert.equal(made.sockets.length, 2);
});

test("it hurries only while it waits, and then connects once", () => {
  const made = world();
  made.socket.hurry();
  assert.equal(made.sockets.length, 1);
  made.last().onclose();
  made.socket.hurry();
  made.elapse();
  assert.equal(made.sockets.length, 2);
});

test("closed is closed", () => {
  const made = world();
  made.last().onclose();
  made.socket.close();
  made.elapse();
  assert.equal(made.sockets.length, 1);
});
