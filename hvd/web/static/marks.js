/** Marks of what happened, on a time axis: what each looks like and tells, and which of them become one. Pure. */

import { between, moment, when } from "./when.js";

const APART = 15; // px from mark to mark, below which they are one
const TOLD = 4; // events that a mark of many tells

/**
 * Of each kind of event: what it is called, one and many; its tone (a colour of the page); its shape, in a box of 12 by
 * 12, filled or, where `isLine`, drawn by a line. Shapes differ, so that nobody has to tell colours apart.
 */
export const KINDS = {
  start: { name: "Start", many: "starts", tone: "muted", shape: "M3 1v10l7.5-5z" },
  stop: { name: "Stop", many: "stops", tone: "muted", shape: "M2 2h8v8H2z" },
  reload: { name: "Reload", many: "reloads", tone: "accent", isLine: true, shape: "M10 6a4 4 0 1 1-1.3-3M9.4.6v2.8H6.6" },
  upgrade: { name: "Upgrade", many: "upgrades", tone: "accent", shape: "M6 .6l5 5.2H8v5.4H4V5.8H1z" },
  version: { name: "Version", many: "versions", tone: "accent", shape: "M6 .4L11.6 6 6 11.6.4 6z" },
  death: { name: "Death", many: "deaths", tone: "bad", isLine: true, shape: "M2 2l8 8M10 2l-8 8" },
  boot_failed: { name: "Failed boot", many: "failed boots", tone: "warn", isLine: true, shape: "M6 1.4a4.6 4.6 0 1 1-.01 0M2.8 9.2l6.4-6.4" },
  alert: { name: "Alert", many: "alerts", tone: "bad", shape: "M6 .4L12 11.4H0zM5.3 4v3.9h1.4V4zM5.3 8.7v1.5h1.4V8.7z" },
  alert_over: { name: "Alert over", many: "ends of alerts", tone: "good", isLine: true, shape: "M1.4 6.4l3.2 3.2 6-7" },
};
const OTHER = { name: "Event", many: "events", tone: "muted", isLine: true, shape: "M6 2.4a3.6 3.6 0 1 1-.01 0" };
const TONES = ["bad", "warn", "accent", "good", "muted"]; // of a mark of many, the first that one of them has

/** @param {{kind: string}} event of a kind that a later version may have */
export const kindOf = ({ kind }) => KINDS[kind] ?? OTHER;

/** The sentence of an event; of one that happened several times, how often. */
export function sentenceOf(event) {
  const isTold = !(event.number > 1) || new RegExp(`\\b${event.number}\\b`).test(event.text);
  return isTold ? event.text : `${event.text} (${event.number} times)`;
}

/** When it ended, or happened last. */
export const endOf = ({ time, until }) => Math.max(time, until ?? time);

/**
 * Stretches of time in which an alert was on: from its begin to its end, or to the next start of the daemon.
 * @param {Event[]} events in order @returns {{from: number, to: number, event: Event}[]} `to` is Infinity where it is on
 */
export function alertSpans(events) {
  const spans = [];
  let open = null;
  for (const event of events) {
    if (event.kind === "alert") {
      if (!open) spans.push((open = { from: event.time, to: Infinity, event }));
    } else if (open && ["alert_over", "start", "stop"].includes(event.kind)) {
      open.to = event.time;
      open = null;
    }
  }
  return spans;
}

/**
 * The marks of a window of time. Those that would touch are one, whatever the window's ends: none jumps as time goes on.
 * @param {Event[]} events in order @param {[number, number]} window @param {(time: number) => number} x px of a time
 * @returns {Mark[]} from left to right
 */
export function marksOf(events, [from, to], x) {
  const seen = events.filter((event) => endOf(event) >= from && event.time <= to).sort((one, other) => one.time - other.time);
  const marks = [];
  for (const event of seen) {
    const [left, right] = [x(Math.max(from, event.time)), x(Math.min(to, endOf(event)))];
    const last = marks.at(-1);
    if (last && left - last.right < APART) {
      last.events.push(event);
      last.right = Math.max(last.right, right);
    } else marks.push({ left, right, events: [event] });
  }
  for (const mark of marks) mark.tone = TONES.find((tone) => mark.events.some((event) => kindOf(event).tone === tone));
  return marks;
}

/** What matters most in a mark: the newest of the tone that it has. */
export const chiefOf = ({ events, tone }) => events.findLast((event) => kindOf(event).tone === tone);

/** How often each kind is among the events: `3 deaths, 1 reload` */
export function kindsIn(events) {
  const counts = new Map();
  for (const event of events) counts.set(kindOf(event), (counts.get(kindOf(event)) ?? 0) + (event.number ?? 1));
  const ranked = [...counts].sort(([one], [other]) => TONES.indexOf(one.tone) - TONES.indexOf(other.tone));
  return ranked.map(([{ name, many }, count]) => `${count} ${count === 1 ? name.toLowerCase() : many}`).join(", ");
}

/** What a mark tells, in lines; of many, one may be `chosen`. @returns {string[]} */
export function linesOf({ events }, chosen = null, now = Date.now() / 1000) {
  const only = chosen ?? (events.length === 1 ? events[0] : null);
  const others = events.length > 1 ? [`with it here: ${kindsIn(events.filter((event) => event !== only))}`] : [];
  if (only) return [sentenceOf(only), when(only.time, now), ...others];
  const newest = events.slice(-TOLD).reverse();
  return [
    kindsIn(events),
    between(events[0].time, endOf(events.at(-1)), now),
    ...newest.map((event) => `${moment(event.time, now)}: ${sentenceOf(event)}`),
    ...(events.length > TOLD ? [`and ${events.length - TOLD} before`] : []),
  ];
}

/**
 * @typedef {{sequence: number, time: number, kind: string, text: string, number?: number, until?: number}} Event
 * @typedef {{left: number, right: number, events: Event[], tone: string}} Mark px of its ends, and what it stands for
 */
