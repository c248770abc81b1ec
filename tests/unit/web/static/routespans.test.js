/** Of which span the routes are, and when the daemon is asked for it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CHARTS, MINUTE, RouteSpans, START, lastMinuteOf, sinceStart } from "./routespans.js";

function make() {
  const made = { now: 1000, asked: [], takes: [], timeline: { zoom: null, window: () => made.timeline.zoom ?? [made.now - 900, made.now] } };
  made.spans = new RouteSpans(made.timeline, (path, take) => (made.asked.push(path), made.takes.push(take)), () => made.now);
  return made;
}

const route = (name, more = {}) => ({ route: name, count: 4, mean_ms: 500, statuses: { 200: 1, 404: 1, 500: 2 }, ...more });

test("messages bring the last minute, with what changed; routes without a request in it are left out", () => {
  const { spans, asked } = make();
  const changes = [{ route: "/a", text: "/a: p99 1 ms → 2 s" }, { route: "", text: "all" }];
  const routes = [route("/a", { last_minute: { route: "/a", requests: 7 } }), route("/b", { last_minute: null })];
  spans.follow();
  assert.deepEqual(lastMinuteOf({ routes, changes }), [{ route: "/a", requests: 7, changes: [changes[0]] }]);
  assert.deepEqual(asked, []);
});

test("a daemon of the version before tells what there was since its start", () => {
  const [row] = lastMinuteOf({ routes: [route("/a")], changes: [] });
  assert.deepEqual([row.requests, row.server_error_rate, row.client_error_rate, row.seconds_spent], [4, 0.5, 0.25, 2]);
  assert.equal(sinceStart(route("/a", { statuses: undefined })).server_errors, 0);
});

test("the charts' span is asked for at once, and every 10 s while it moves", () => {
  const made = make();
  made.spans.choose(CHARTS);
  assert.deepEqual(made.asked, ["api/v1/routes?from=100&to=1000"]);
  assert.equal(made.spans.rows(), null);
  made.takes[0]({ routes: [{ route: "/a" }] });
  assert.deepEqual(made.spans.rows(), [{ route: "/a", changes: [] }]);
  made.now += 9;
  made.spans.follow();
  assert.equal(made.asked.length, 1);
  made.now += 1;
  made.spans.follow();
  assert.deepEqual(made.asked.slice(1), ["api/v1/routes?from=110&to=1010"]);
  made.takes[0]({ routes: [] });
  assert.deepEqual(made.spans.rows(), [{ route: "/a", changes: [] }], "an answer to another question is too late");
});

test("a zoom chooses the charts' span, once it has ended it is asked for once, and a reset goes back", () => {
  const made = make();
  made.timeline.zoom = [500.2, 600.5];
  assert.equal(made.spans.follow(), true);
  assert.equal(made.spans.choice, CHARTS);
  assert.deepEqual(made.asked, ["api/v1/routes?from=500&to=601"]);
  made.now += 100;
  made.spans.follow();
  assert.equal(made.asked.length, 1);
  made.timeline.zoom = [500, 550];
  assert.equal(made.spans.follow(), false);
  assert.equal(made.asked.length, 2);
  made.timeline.zoom = [520, 530];
  made.spans.follow();
  assert.equal(made.asked.length, 2, "keys that zoom come fast");
  made.now += 1;
  made.spans.follow();
  assert.equal(made.asked.at(-1), "api/v1/routes?from=520&to=530");
  made.timeline.zoom = null;
  assert.equal(made.spans.follow(), true);
  assert.equal(made.spans.choice, MINUTE);
});

test("since the start is asked for every 10 s, a zoom goes before it, and it comes back after the zoom", () => {
  const made = make();
  made.spans.choose(START);
  assert.deepEqual(made.asked, ["api/v1/routes?all=1"]);
  made.timeline.zoom = [500, 600];
  made.spans.follow();
  made.timeline.zoom = null;
  made.spans.follow();
  assert.equal(made.spans.choice, START);
  assert.equal(made.asked.at(-1), "api/v1/routes?all=1");
});
