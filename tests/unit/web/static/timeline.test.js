/** Zoom, pause and cursor, which all charts share. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { History } from "./history.js";
import { Timeline } from "./timeline.js";

let history, timeline, changes;
beforeEach(() => {
  history = new History();
  for (let time = 100; time <= 200; time += 2) history.add({ time, p50: time }, null);
  changes = 0;
  timeline = new Timeline(history, () => (changes += 1));
  timeline.span = 60;
});

test("it follows the newest point, until it is paused", () => {
  assert.deepEqual(timeline.window(), [140, 200]);
  timeline.pause(true);
  history.add({ time: 202, p50: 1 }, null);
  assert.deepEqual(timeline.window(), [140, 200]);
  assert.equal(history.time(timeline.current()), 200);
  timeline.pause(false);
  assert.deepEqual(timeline.window(), [142, 202]);
  assert.equal(changes, 2);
});

test("dragging zooms, however short, and reset zooms out", () => {
  timeline.select(170, 150);
  timeline.zoomIn();
  assert.deepEqual(timeline.window(), [150, 170]);
  timeline.select(160, 160.5);
  timeline.zoomIn();
  assert.deepEqual(timeline.window(), [158.25, 162.25]);
  timeline.reset();
  assert.deepEqual([timeline.window(), timeline.drag], [[140, 200], null]);
});

test("a press without a drag zooms nothing", () => {
  timeline.zoomIn();
  assert.equal(timeline.zoom, null);
});

test("the cursor snaps to points, and steps", () => {
  timeline.step(-1);
  assert.equal(timeline.cursor, 200);
  timeline.step(-1);
  assert.equal(timeline.cursor, 198);
  timeline.point(151.2);
  assert.equal(timeline.cursor, 152);
  timeline.step(-3);
  assert.equal(timeline.cursor, 146);
  timeline.step(-50);
  assert.equal(timeline.cursor, 140, "not out of what is shown");
  timeline.point(null);
  assert.equal(history.time(timeline.current()), 200);
});

test("stepping out of a zoom moves it along", () => {
  timeline.zoom = [150, 160];
  timeline.point(150);
  timeline.step(-2);
  assert.deepEqual([timeline.cursor, timeline.window()], [146, [146, 156]]);
});

test("keys zoom around the cursor, down to what shows two points", () => {
  timeline.point(170);
  timeline.zoomBy(0.5);
  assert.deepEqual(timeline.window(), [155, 185]);
  for (let i = 0; i < 20; i += 1) timeline.zoomBy(0.5);
  assert.deepEqual(timeline.window(), [168, 172]);
  for (let i = 0; i < 5; i += 1) timeline.zoomBy(2);
  assert.equal(timeline.zoom, null);
});

test("nothing is known yet", () => {
  const empty = new Timeline(new History(), () => {});
  empty.step(-1);
  empty.point(5);
  empty.zoomBy(0.5);
  assert.deepEqual([empty.cursor, empty.current()], [null, -1]);
});

test("who asks for the visible span is told when people change it, and not as time goes on", () => {
  let told = 0;
  timeline.addEventListener("span", () => (told += 1));
  history.add({ time: 202, p50: 1 }, null);
  timeline.point(190);
  assert.equal(told, 0);
  timeline.fix([150, 160]);
  assert.deepEqual([told, timeline.window()], [1, [150, 160]]);
  timeline.reset();
  timeline.pause(true);
  assert.equal(told, 3);
});

test("keys go from mark to mark", () => {
  timeline.events = [110, 150, 170.5, 180].map((time, sequence) => ({ sequence, time, kind: "death", text: "" }));
  const cursors = [-1, -1, -1, -1, 1, 1].map((by) => (timeline.stepMark(by), timeline.cursor));
  assert.deepEqual(cursors, [180, 170.5, 150, 150, 170.5, 180]);
  let opened;
  timeline.addEventListener("open", ({ detail }) => (opened = detail));
  const mark = { events: timeline.events.slice(1, 3), tone: "bad" };
  timeline.open(mark);
  assert.equal(opened, 2, "the newest");
  timeline.stepMark(-1);
  timeline.stepMark(-1);
  timeline.open(mark);
  assert.equal(opened, 1, "that to which the keys have led");
});

test("what has just happened is in the window, before there is a point of it", () => {
  timeline.events = [{ sequence: 1, time: 203, kind: "death", text: "" }];
  assert.deepEqual(timeline.window(), [143, 203]);
  history.add({ time: 204, p50: 1 }, null);
  assert.deepEqual(timeline.window(), [144, 204]);
  timeline.events = [{ sequence: 2, time: 9999, kind: "death", text: "" }];
  assert.deepEqual(timeline.window(), [174, 234], "of a clock that was put back");
});
