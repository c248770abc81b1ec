/** What the server waits for, in words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { waitingText } from "./longest.js";

test("kinds of clients are said where there are any, in the order of trouble", () => {
  assert.equal(waitingText({ silent: 0, half_head: 0, half_body: 0, unread: 0, idle: 0 }), "");
  assert.equal(
    waitingText({ idle: 1, half_body: 0, silent: 1, half_head: 2000 }),
    "1 connection that sends nothing · 2,000 half-sent request heads · 1 connection kept open between requests",
  );
});
