/** What happened: starts, reloads, deaths, alerts, the newest first. Each row leads to all that is known of it. */

import { Rows, draw, make, mark, say } from "./dom.js";
import { count, instant, shortDuration } from "./format.js";
import { endOf, kindOf, sentenceOf } from "./marks.js";
import { lead, makeLink } from "./names.js";
import { frameText, placeOf } from "./requests.js";
import { ago, moment } from "./when.js";

const SHOWN = 100; // rows
const SOON = 60; // s between a death and its post-mortem, at most: a pid is used again one day

/** The post-mortem of a death; null where it had no request in progress, or it was too long ago. */
export function postMortemOf(event, postMortems) {
  if (event.kind !== "death" || !event.pid) return null;
  const isOf = ({ pid, time }) => pid === event.pid && Math.abs(instant(time) - endOf(event)) < SOON;
  return postMortems.find(isOf) ?? null;
}

/** A request of a post-mortem: `GET /a (18.2 s, at shop/orders.py:12 in post)` */
export function requestText({ method, path, age_seconds: age, stack = [] }) {
  const place = placeOf(stack);
  return `${method} ${path} (${shortDuration(age)}${place ? `, at ${frameText(place)}` : ""})`;
}

/** An event in a sentence: of a death, with what it was serving. */
export function storyOf(event, postMortems) {
  const entry = postMortemOf(event, postMortems);
  if (!entry?.requests.length) return sentenceOf(event);
  const more = entry.requests.length + (entry.requests_left_out ?? 0) - 1;
  return `${sentenceOf(event)}, while serving ${requestText(entry.requests[0])}${more > 0 ? `, and ${count(more)} more` : ""}`;
}

/** How processes ended, since the daemon started. @param {{planned: number, unplanned: number, failed_boots: number} | undefined} ends */
export const endsText = (ends) =>
  ends
    ? `since this start: ${count(ends.planned)} planned ${ends.planned === 1 ? "end" : "ends"}, ${count(ends.unplanned)} unplanned, ` +
      `${count(ends.failed_boots)} failed ${ends.failed_boots === 1 ? "boot" : "boots"}`
    : "";

/** The shape of an event's kind, as the charts have it. */
export function glyph() {
  return draw("svg", { viewBox: "-1 -1 14 14", "aria-hidden": "true" }, draw("path", { "fill-rule": "evenodd" }));
}

export function fillGlyph(svg, { shape, tone, isLine }) {
  mark(svg, "class", `glyph ${tone}${isLine ? " line" : ""}`);
  mark(svg.firstChild, "d", shape);
}

/** @param {HTMLElement} section @param {import("./panel.js").Panels} panels */
export function addEvents(section, panels) {
  const [aside, empty] = [".aside", ".empty"].map((name) => section.querySelector(name));
  const times = new Map(); // of events: to write a time takes longer than all the rest of a row
  const rows = new Rows(section.querySelector("ul"), () => createRow(panels), (row, item) => fillRow(row, item, times));
  return ({ raw, events, postMortems }) => {
    if (!raw) return;
    if (times.size > 4 * SHOWN) times.clear();
    const newest = events.slice(-SHOWN).reverse();
    rows.update(newest.map((event) => ({ event, story: storyOf(event, postMortems) })), ({ event }) => event.sequence);
    say(aside, endsText(raw.ends));
    empty.hidden = newest.length > 0;
    say(empty, "Nothing has happened yet. Starts, reloads, upgrades, deaths of processes, failed boots and alerts will be listed here.");
  };
}

const createRow = (panels) =>
  make("li", {}, makeLink(panels, glyph(), make("b"), make("span", { class: "what" }), make("span", { class: "time" })));

function fillRow(row, { event, story }, times) {
  const link = row.firstChild;
  const [shape, name, what, time] = link.children;
  const kind = kindOf(event);
  lead(link, "event", event.sequence);
  fillGlyph(shape, kind);
  say(name, kind.name);
  say(what, story);
  const hour = Math.floor(Date.now() / 3.6e6); // a new day begins with one, whatever the zone, or within it
  const key = `${event.time} ${hour}`;
  if (!times.has(key)) times.set(key, moment(event.time));
  say(time, `${times.get(key)} · ${ago(event.time)}`);
}
