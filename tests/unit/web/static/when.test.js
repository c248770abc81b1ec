/** Times with their zone, and how long ago they were. */
import assert from "node:assert/strict";
import { test } from "node:test";

process.env.TZ = "Europe/Berlin"; // before the modules read it
const { ago, between, moment, when, zone } = await import("./when.js");

const NOON = Date.UTC(2026, 10, 28, 12) / 1000;
const inZone = (name) => (process.env.TZ = name);

test("the zone is that of the browser, at that time", () => {
  const zones = ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"].map((name) => (inZone(name), zone(NOON)));
  assert.deepEqual(zones, ["UTC", "UTC+1", "UTC+5:30", "UTC-3:30"]);
  inZone("Europe/Berlin");
  assert.equal(zone(Date.UTC(2026, 6, 1) / 1000), "UTC+2");
});

test("another day is named", () => {
  assert.equal(moment(NOON - 60, NOON), "12:59:00 UTC+1");
  assert.equal(moment(NOON - 86400, NOON), "27 Nov, 13:00:00 UTC+1");
  assert.equal(moment(NOON - 365 * 86400, NOON), "28 Nov 2025, 13:00:00 UTC+1");
  assert.equal(between(NOON - 60, NOON, NOON), "12:59:00 to 13:00:00 UTC+1");
  assert.equal(between(Date.UTC(2026, 9, 25, 0, 59) / 1000, Date.UTC(2026, 9, 25, 1) / 1000, NOON), "25 Oct, 02:59:00 UTC+2 to 25 Oct, 02:00:00 UTC+1");
});

test("how long ago is told in one unit", () => {
  const texts = [-5, 0.5, 1, 59.9, 60, 200, 3600, 86400 * 3].map((age) => ago(NOON - age, NOON));
  assert.deepEqual(texts, ["now", "now", "1 s ago", "59 s ago", "1 min ago", "3 min ago", "1 h ago", "3 d ago"]);
  assert.equal(when(NOON - 180, NOON), "12:57:00 UTC+1 · 3 min ago");
  assert.deepEqual([moment(null), ago(NaN)], ["–", "–"]);
});
