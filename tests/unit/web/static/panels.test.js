/** What the panels of a route and of a worker say. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { statusesOf } from "./routepanel.js";
import { endsOf } from "./workerpanel.js";
import { lastMinute } from "./workers.js";

test("each status has its count and its share in each span", () => {
  const rows = statusesOf([{ requests: 4, statuses: { 502: 1, 200: 3 } }, null, { requests: 1000, statuses: { 404: 1 } }]);
  assert.deepEqual(rows.map(({ name, state }) => [name, state]), [["200", null], ["404", null], ["502", "bad"]]);
  assert.deepEqual(rows[2].cells, [{ text: "25.0 %", small: "1" }, null, null]);
  assert.deepEqual(rows[1].cells[2], { text: "0.1 %", small: "1" });
});

test("a death that an event and a post-mortem tell of is told once", () => {
  const postMortems = [{ pid: 7, time: "2026-11-28T08:00:00Z", cause: "SIGKILL" }, { pid: 8, time: "2026-11-28T08:00:00Z" }];
  const events = [{ pid: 7, kind: "death", time: 5, text: "Worker 7 died" }, { pid: 9, kind: "death", time: 6, text: "Worker 9 died" }];
  assert.deepEqual(endsOf(7, { events, postMortems }).map(({ text }) => text), ["Worker 7 died"]);
  assert.deepEqual(endsOf(8, { events, postMortems }), [{ kind: "death", time: Date.UTC(2026, 10, 28, 8) / 1000, text: "died (unknown)" }]);
});

test("a worker without a request in the last minute has no figures of it", () => {
  assert.deepEqual(lastMinute({ last_minute: null, requests_per_second: 3 }), {});
  assert.deepEqual(lastMinute({ last_minute: { errors: 2 } }), { errors: 2 });
  assert.deepEqual(lastMinute({ requests: 9, requests_per_second: 3 }).requests_per_second, 3);
});
