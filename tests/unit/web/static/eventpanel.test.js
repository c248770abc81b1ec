/** What is told of one event. */
import assert from "node:assert/strict";
import { test } from "node:test";

process.env.TZ = "Europe/Berlin"; // before the modules read it
const { eventText, factsOf } = await import("./eventpanel.js");

const NOON = Date.UTC(2026, 10, 28, 12) / 1000;
const death = {
  sequence: 4, time: NOON, kind: "death", text: "worker 7 was killed by the OOM killer", process: "worker", pid: 7, cause: "SIGKILL",
  memory_bytes: 3 * 1024 ** 2, aborted: 2,
};

test("a death has its cause, what it used, and what was lost", () => {
  assert.deepEqual(factsOf(death, null, NOON + 60), [
    ["When", "13:00:00 UTC+1 · 1 min ago"], ["Process", "worker, pid 7"], ["Cause", "SIGKILL"],
    ["Memory", "3 MB when last looked at (3,145,728 bytes)"], ["Requests lost", "2"],
  ]);
  assert.deepEqual(factsOf({ ...death, memory_bytes: null }, null, NOON)[3], ["Memory", "not known"]);
});

test("other kinds have what they have", () => {
  const failed = { sequence: 1, time: NOON, until: NOON + 9, kind: "boot_failed", text: "x", number: 12 };
  assert.deepEqual(factsOf(failed, null, NOON), [["When", "13:00:00 to 13:00:09 UTC+1"], ["Times", "12"]]);
  const alert = { sequence: 1, time: NOON, kind: "alert", text: "x", state: "degraded", reasons: ["saturated", "backlog"] };
  assert.deepEqual(factsOf(alert, null, NOON).slice(1), [["Health", "degraded"], ["Because", "saturated; backlog"]]);
  const over = { sequence: 2, time: NOON, kind: "alert_over", text: "x", state: "healthy", seconds: 80.2 };
  assert.deepEqual(factsOf(over, null, NOON).slice(1), [["Lasted", "1m 20s"], ["Health", "healthy"]]);
});

test("as text it has its requests, with their stacks", () => {
  const requests = [{ method: "GET", path: "/a", age_seconds: 2, stack: [{ file: "/srv/shop/views.py", line: 3, function: "f" }] }];
  const text = eventText(death, [{ pid: 7, time: "2026-11-28T12:00:00Z", signal: "SIGKILL", requests }]);
  assert.deepEqual(text.split("\n").slice(-3), ["Was serving:", "  GET /a (2s, at shop/views.py:3 in f)", "      /srv/shop/views.py:3 in f"]);
  assert.deepEqual(text.split("\n").slice(0, 2), ["Death: worker 7 was killed by the OOM killer", "When: 28 Nov 2026, 13:00:00 UTC+1"]);
});
