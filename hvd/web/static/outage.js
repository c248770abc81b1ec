/** The outage: that all threads are busy, since when, with which requests, and where in the code; or that nobody answers. */

import { Rows, make, mark, say } from "./dom.js";
import { isSaturated } from "./figures.js";
import { count, duration, exact, instant, isKnown, milliseconds, rate, share, shortDuration } from "./format.js";
import { ageOf, frameText, placeOf } from "./requests.js";
import { ago, moment, when } from "./when.js";

const AFTER = 30; // s that it is still told once it is over: what comes again and again moves the page only once
const PLACES = 5; // groups that are shown

/** Parts of a path that differ from request to request. */
const VARIABLE = /^(?:\d+|[0-9a-f]{8,}|[0-9a-f-]{20,}|.*\d.*\d.*\d.*)$/i;
const shapeOf = (path) => path.split("?", 1)[0].split("/").map((part) => (VARIABLE.test(part) ? "…" : part)).join("/");

/**
 * Requests in progress that ask for one thing and stand at one place, together.
 * @param {import("./requests.js").Followed[]} requests the oldest first
 * @returns {{key: string, what: string, number: number, oldest: any, place: any, pids: number[]}[]} the oldest first
 */
export function groupsOf(requests) {
  const groups = new Map();
  for (const request of requests) {
    const place = placeOf(request.stack);
    const key = `${request.method} ${shapeOf(request.path)} ${place ? frameText(place, true) : ""}`;
    const group = groups.get(key) ?? { key, what: `${request.method} ${request.path}`, number: 0, oldest: request, place, pids: [] };
    group.number += 1;
    if (`${request.method} ${request.path}` !== group.what) group.what = `${request.method} ${shapeOf(request.path)}`;
    if (!group.pids.includes(request.pid)) group.pids.push(request.pid);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** What it does to clients, in sentences. */
export function effectsOf(raw) {
  const waiting = (raw.queued_requests ?? 0) + (raw.accept_backlog ?? 0);
  const waits = waiting ? `${count(waiting)} request${waiting === 1 ? " waits" : "s wait"}` : "nobody waits yet";
  const answered = raw.requests_per_second > 0 ? `${rate(raw.requests_per_second)} requests/s are still answered` : "nothing is answered";
  return `${waits}, ${answered}`;
}

/** What is wrong with threads: in a sentence, in the past too, and since when (Unix time in s). Null where nothing is. */
export function troubleOf(raw) {
  if (!isSaturated(raw) || !isKnown(raw.worker_threads)) return null;
  const { worker_threads: threads, worker_threads_busy: busy } = raw;
  const isFull = busy >= threads;
  const since = instant(raw.timestamp) - raw.saturated_seconds;
  if (!isFull) return { title: `Requests wait, with ${count(busy)} of ${count(threads)} threads busy`, past: "Requests waited", since };
  const [all, is, was] = threads === 1 ? ["The only thread", "is", "was"] : [`All ${count(threads)} threads`, "are", "were"];
  return { title: `${all} ${is} busy`, past: `${all} ${was} busy`, since };
}

/** What was last heard of a daemon that is silent. */
export function lastWords(raw, report) {
  if (!raw || !report) return "Nothing was heard before.";
  const span = raw.last_minute;
  const figures = span?.requests > 0
    ? [`${rate(span.requests_per_second)} requests/s`, `5xx ${share(span.server_error_rate)}`, `p99 ${milliseconds(span.p99_ms)}`]
    : ["no requests"];
  const busy = isKnown(raw.worker_threads) ? [`${count(raw.worker_threads_busy)} of ${count(raw.worker_threads)} threads busy`] : [];
  return `Last heard ${ago(report.wall)}: ${[report.state, ...figures, ...busy].join(", ")}.`;
}

/** The newest event that may be why, in a list of one, or of none. */
export function lastDeath(events, now) {
  const event = events.findLast(({ kind }) => kind === "death" || kind === "boot_failed");
  return event ? [`${ago(event.time, now)}: ${event.text}`] : [];
}

export class Outage {
  /** @param {HTMLElement} section @param {() => number} wall Unix time in s */
  constructor(section, wall = () => Date.now() / 1000) {
    this.section = section;
    this.wall = wall;
    const find = (selector) => section.querySelector(selector);
    [this.title, this.since, this.aside] = ["h2", ".since", ".aside"].map(find);
    this.effects = new Rows(find(".effects"), () => make("li"), (row, text) => say(row, text));
    this.rows = new Rows(find("ol"), createRow, fillRow);
    this.over = null; // {title, since, at}: what is over since `at`
    this.trouble = null;
    this.contact = null;
    this.model = null;
    this.groups = [];
  }

  /** Take what is known of the daemon being there. Needs no frame. @param {import("./contact.js").Contact} contact */
  hear(contact) {
    const { state, reasons } = contact.verdict;
    const isSame = this.contact?.state === state && this.contact.reasons.length === reasons.length;
    this.contact = { state, reasons, report: contact.report };
    if (!isSame || state === "unreachable") this.show();
  }

  view(model) {
    this.model = model;
    if (model.raw) this.#judge(model.raw);
    this.show();
  }

  #judge(raw) {
    const trouble = troubleOf(raw);
    if (!trouble && this.trouble) this.over = { ...this.trouble, at: instant(raw.timestamp) };
    else if (trouble) this.over = null;
    this.trouble = trouble;
    if (this.over && instant(raw.timestamp) - this.over.at > AFTER) this.over = null;
  }

  /** Ages go on between messages. */
  tick(now) {
    for (const group of this.groups) say(this.rows.rows.get(group.key).children[2], `oldest ${shortDuration(ageOf(group.oldest, now))}`);
    if (this.trouble) this.#showSince(this.trouble.since);
  }

  show() {
    const { contact, model, trouble, over } = this;
    const isAway = contact?.state === "unreachable";
    const isUnhealthy = contact?.state === "unhealthy";
    this.section.hidden = !(isAway || isUnhealthy || trouble || over);
    mark(this.section, "data-state", isAway ? "unreachable" : trouble || isUnhealthy ? "bad" : "over");
    if (isAway) this.#tell("⊘ The daemon does not answer", contact.report && `last heard ${when(contact.report.wall, this.wall())}`, [contact.reasons[0], lastWords(model?.raw, contact.report)]);
    else if (isUnhealthy && !trouble) this.#tell("✕ The service is unhealthy", "", [...contact.reasons, ...lastDeath(model?.events ?? [], this.wall())]);
    else if (trouble) this.#tellTrouble(model, trouble);
    else if (over) this.#tell(`✓ ${over.past} for ${duration(over.at - over.since, 2)}`, `until ${moment(over.at)}`, []);
  }

  #tellTrouble(model, { title, since }) {
    const { raw, longest } = model;
    const requests = longest ?? [];
    const groups = groupsOf(requests);
    this.#tell(`▲ ${title}`, "", [effectsOf(raw)], groups.slice(0, PLACES));
    this.#showSince(since);
    const all = raw.requests.in_flight;
    const left = groups.slice(PLACES).reduce((sum, { number }) => sum + number, 0) + Math.max(0, all - requests.length);
    say(this.aside, left > 0 && requests.length ? `and ${count(left)} more, which began later` : requests.length ? "" : "No request has come in whole: the threads wait for their clients.");
    this.tick(model.now());
  }

  #showSince(since) {
    say(this.since, `since ${when(since, this.wall())}`);
  }

  #tell(title, since, effects, groups = []) {
    say(this.title, title);
    say(this.since, since || "");
    this.effects.update(effects, (_, i) => i);
    this.groups = groups;
    this.rows.update(groups, ({ key }) => key);
    say(this.aside, "");
  }
}

const createRow = () => make("li", {}, ...["number", "what", "age", "where"].map((name) => make("span", { class: name })));

function fillRow(row, { number, what, oldest, place, pids }) {
  const [times, name, age, where] = row.children;
  say(times, `${count(number)} ×`);
  say(name, what);
  mark(name, "title", `${what}\nworker${pids.length > 1 ? "s" : ""} ${pids.join(", ")}`);
  mark(age, "title", `${exact(oldest.age_seconds)} s when last heard`);
  say(where, place ? `at ${frameText(place)}` : "its stack was not taken yet");
  mark(where, "title", place ? frameText(place, true) : null);
}
