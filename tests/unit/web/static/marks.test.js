/** What marks tell, which of them are one, and how long alerts were on. */
import assert from "node:assert/strict";
import { test } from "node:test";

process.env.TZ = "Europe/Berlin"; // before the modules read it
const { KINDS, alertSpans, chiefOf, kindOf, kindsIn, linesOf, marksOf, sentenceOf } = await import("./marks.js");

const NOON = Date.UTC(2026, 10, 28, 12) / 1000;
let last = 0;
const event = (time, kind, more = {}) => ({ sequence: (last += 1), time, kind, text: `${kind} at ${time}`, ...more });
const place = (events, window = [0, 1000]) => marksOf(events, window, (time) => time); // a px for each second

test("each kind has a shape of its own, and red is for deaths and alerts", () => {
  const kinds = Object.values(KINDS);
  assert.equal(new Set(kinds.map(({ shape }) => shape)).size, kinds.length);
  assert.deepEqual(Object.keys(KINDS).filter((kind) => KINDS[kind].tone === "bad"), ["death", "alert"]);
  assert.equal(kindOf({ kind: "of a later version" }).name, "Event");
});

test("marks that would touch are one, with what matters most", () => {
  const marks = place([event(10, "start"), event(100, "reload"), event(110, "death"), event(122, "version"), event(200, "stop")]);
  assert.deepEqual(marks.map(({ left, right, tone }) => [left, right, tone]), [[10, 10, "muted"], [100, 122, "bad"], [200, 200, "muted"]]);
  assert.equal(chiefOf(marks[1]).kind, "death");
});

test("only what is in the window has a mark; one that went on reaches into it", () => {
  const events = [event(5, "death"), event(40, "boot_failed", { number: 9, until: 60 }), event(95, "reload"), event(140, "stop")];
  assert.deepEqual(place(events, [50, 100]).map(({ left, right }) => [left, right]), [[50, 60], [95, 95]]);
});

test("which marks are one does not change as the window moves on", () => {
  const events = [0, 12, 24, 36, 48, 100].map((time) => event(time, "death"));
  for (const from of [-10, 5, 20]) assert.equal(place(events, [from, 200]).length, 2);
});

test("a mark tells its sentence, with time, zone and how long ago", () => {
  const death = event(NOON - 180, "death", { text: "worker 7 was killed (SIGKILL)" });
  assert.deepEqual(linesOf({ events: [death] }, null, NOON), ["worker 7 was killed (SIGKILL)", "12:57:00 UTC+1 · 3 min ago"]);
});

test("a mark of many tells how many of each kind, and the newest", () => {
  const events = Array.from({ length: 6 }, (_, i) => event(NOON + i, "death", { text: `worker ${i} died` }));
  const lines = linesOf({ events: [event(NOON - 1, "reload"), ...events] }, null, NOON);
  assert.deepEqual(lines.slice(0, 3), ["6 deaths, 1 reload", "12:59:59 to 13:00:05 UTC+1", "13:00:05 UTC+1: worker 5 died"]);
  assert.equal(lines.at(-1), "and 3 before");
  assert.deepEqual(linesOf({ events }, events[2], NOON + 3), ["worker 2 died", "13:00:02 UTC+1 · 1 s ago", "with it here: 5 deaths"]);
});

test("what happened several times says how often, once", () => {
  assert.equal(sentenceOf({ text: "workers fail to boot", number: 30 }), "workers fail to boot (30 times)");
  assert.equal(sentenceOf({ text: "30 workers failed to boot", number: 30 }), "30 workers failed to boot");
  assert.equal(sentenceOf({ text: "a worker failed to boot", number: 1 }), "a worker failed to boot");
  assert.equal(kindsIn([event(1, "boot_failed", { number: 30 }), event(2, "start")]), "30 failed boots, 1 start");
});

test("an alert is on until it is over, or the daemon begins anew", () => {
  const events = [event(1, "alert"), event(2, "alert"), event(5, "alert_over"), event(7, "alert"), event(9, "start"), event(12, "alert")];
  assert.deepEqual(alertSpans(events).map(({ from, to }) => [from, to]), [[1, 5], [7, 9], [12, Infinity]]);
  assert.deepEqual(alertSpans([event(1, "alert_over"), event(2, "start")]), []);
});
