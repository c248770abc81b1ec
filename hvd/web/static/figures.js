/** The figures of the last minute that are looked at first, each beside the minute before; and those in small. Pure. */

import { UNKNOWN, clock, count, duration, exact, exactSize, instant, isKnown, milliseconds, percent, rate, share, size } from "./format.js";
import { endOf } from "./marks.js";
import { ago, moment } from "./when.js";

/** So many a second; from a hundred on without decimals, as they tell nothing then. */
const perSecond = (value) => `${value >= 99.95 ? count(value) : rate(value)}/s`;

/** All threads are busy for a moment now and then; for so many seconds is what /health calls it. */
export const SATURATED = 2; // s

const ALIKE = 0.1; // of the value before: a change that is no news
const WORSE = 1.5; // times the value before, from which on a time is marked

/**
 * What a figure says.
 * @typedef {{value: string, title?: string, change?: string, beside: string, state?: string | null, changeState?: string | null}} Figure
 *   `change` tells of the minute before, and has a state of its own
 */

/** How a value has changed, in words. @param {(value: number) => string} form @returns {string} */
export function changeOf(now, before, form) {
  if (!isKnown(before) || !isKnown(now)) return "";
  const [text, other] = [form(now), form(before)];
  if (text === other) return "as before";
  if (Math.abs(now - before) <= ALIKE * Math.abs(before)) return `≈ ${other} before`;
  return now > before ? `▲ up from ${other}` : `▼ down from ${other}`;
}

/** @returns {string} empty where the figures of the last minute are known */
function lackOf({ last_minute: span, health, observed_age_seconds: age }) {
  if (span?.requests > 0) return "";
  if (span) return `no requests in the last ${lastOf(span)}`;
  if (span === undefined) return "this daemon does not tell";
  if (health === "starting") return "starting";
  return age === null ? "unknown: the aggregator is away" : "nothing is measured yet";
}

const lastOf = ({ seconds }) => (seconds > 55 ? "minute" : `${Math.round(seconds)} s`);
const lengthOf = ({ seconds }) => (seconds > 55 ? "1 min" : `${Math.round(seconds)} s`);

/** Of the minute before, `field`; null where nothing came in it. */
const before = ({ minute_before: span }, field) => (span?.requests > 0 ? span[field] : null);

/** Errors of one side: the share, how many, and whether they have become more. */
function errorsOf(raw, side) {
  const lack = lackOf(raw);
  const { last_minute: span } = raw;
  if (lack) return { value: UNKNOWN, beside: lack };
  const ratio = span[`${side}_error_rate`];
  const earlier = before(raw, `${side}_error_rate`);
  const isBad = side === "server" && ratio > 0;
  return {
    value: share(ratio),
    title: `${exact(span[`${side}_errors`])} of ${exact(span.requests)} in the last ${lastOf(span)}`,
    beside: `${count(span[`${side}_errors`])} of ${count(span.requests)}`,
    change: changeOf(ratio, earlier, share),
    state: isBad ? "bad" : null,
    changeState: isBad && ratio > earlier ? "bad" : null,
  };
}

/** True where p99 looks well only because the slow requests have not ended. */
const hidesStuckRequests = (p99, withOpen) => withOpen >= 1000 && withOpen > 2 * (p99 ?? 0);

function p99Of(raw) {
  const lack = lackOf(raw);
  const { last_minute: span, p99_with_open: withOpen } = raw;
  if (hidesStuckRequests(span?.p99_ms, withOpen)) {
    return {
      value: milliseconds(withOpen),
      title: `Of what was in progress or ended lately, 99 % took no longer than ${exact(withOpen)} ms so far.`,
      beside: "with unfinished",
      change: isKnown(span?.p99_ms) ? `finished: ${milliseconds(span.p99_ms)}` : "nothing has ended",
      state: "warn",
    };
  }
  if (lack) return { value: UNKNOWN, beside: lack };
  const change = changeOf(span.p99_ms, before(raw, "p99_ms"), milliseconds);
  return {
    value: milliseconds(span.p99_ms),
    title: `99 % of the responses of the last ${lastOf(span)} took no longer than ${exact(span.p99_ms)} ms; the mean is ${exact(span.mean_ms)} ms`,
    beside: isKnown(span.p50_ms) ? `half within ${milliseconds(span.p50_ms)}` : "no response was completed",
    change,
    changeState: span.p99_ms > WORSE * before(raw, "p99_ms") && change ? "warn" : null,
  };
}

function requestsOf(raw) {
  const { last_minute: span, minute_before: earlier } = raw;
  if (!span) return { value: UNKNOWN, beside: lackOf(raw) };
  return {
    value: perSecond(span.requests_per_second),
    title: `${exact(span.requests)} in the last ${lastOf(span)}: ${exact(span.requests_per_second)} a second`,
    beside: span.requests ? `${count(span.requests)} in ${lengthOf(span)}` : `none in the last ${lastOf(span)}`,
    change: changeOf(span.requests_per_second, earlier?.requests_per_second, perSecond),
  };
}

export const isSaturated = ({ saturated_seconds: seconds }) => seconds >= SATURATED;

function busyOf(raw) {
  const { worker_threads: threads, worker_threads_busy: busy, last_minute: span } = raw;
  if (!isKnown(threads)) return { value: UNKNOWN, beside: "this daemon does not tell" };
  const ratio = span?.busy_ratio ?? raw.busy_ratio;
  const since = instant(raw.timestamp) - raw.saturated_seconds;
  return {
    value: `${count(busy)} of ${count(threads)}`,
    title: `${exact(busy)} of the ${exact(threads)} requests that ${exact(raw.workers_alive)} workers can serve at once`,
    beside: `${share(ratio)} ${span ? `over ${lengthOf(span)}` : "lately"}`,
    change: isSaturated(raw) ? `▲ ${busy < threads ? "queue" : "full"} since ${clock(since)}` : changeOf(ratio, raw.minute_before?.busy_ratio, share),
    changeState: isSaturated(raw) ? "bad" : null,
    state: isSaturated(raw) ? "bad" : null,
  };
}

function waitingOf(raw) {
  const { queued_requests: queued, accept_backlog: backlog } = raw;
  const waiting = sum(queued, backlog);
  return {
    value: count(waiting),
    title: `${exact(queued)} wait for a thread of their worker; ${exact(backlog)} connections wait to be accepted, of ${exact(raw.accept_backlog_limit)} that may`,
    beside: waiting ? `${count(queued)} for a thread, ${count(backlog)} unaccepted` : isKnown(waiting) ? "nobody waits" : "this daemon does not tell",
    state: waiting && isSaturated(raw) ? "warn" : null,
  };
}

/** Of those that are known; unknown where none is. */
const sum = (...values) => values.filter(isKnown).reduce((all, value) => (all ?? 0) + value, null);

/** By name, in the order in which an operator asks. @type {Record<string, (raw: any) => Figure>} */
export const FIGURES = {
  "5xx errors": (raw) => errorsOf(raw, "server"),
  "4xx errors": (raw) => errorsOf(raw, "client"),
  p99: p99Of,
  Requests: requestsOf,
  "Threads busy": busyOf,
  Waiting: waitingOf,
};

const LATELY = 3600; // s: what ended before is no incident of now

const endedLately = (events, now) => events.some((event) => ["death", "boot_failed"].includes(event.kind) && now - endOf(event) < LATELY);

/** In small, of the figures and the events: the value and the title; false where a service has no such thing. */
export const SMALL = {
  CPU: (raw) => [
    percent(raw.cpu_usage),
    `${exact(raw.cpu_usage)} % of one core, all processes: ${exact(raw.threads)} threads, and ${exact(raw.tasks)} asyncio tasks`,
  ],
  Memory: (raw) => [size(raw.memory_usage), `${exactSize(raw.memory_usage)}, all processes, shared pages counted once`],
  Workers: (raw) => [isKnown(raw.workers_alive) ? `${count(raw.workers_alive)} alive` : UNKNOWN, "that serve requests now", raw.workers_alive === 0 && raw.health !== "starting" ? "bad" : null],
  "Processes ended": ({ ends, timestamp }, events) => ends && [
    ends.unplanned || ends.failed_boots
      ? [ends.unplanned && `${count(ends.unplanned)} unplanned`, ends.failed_boots && `${count(ends.failed_boots)} at boot`].filter(Boolean).join(", ")
      : `${count(ends.planned)} planned`,
    `since the start: ${exact(ends.planned)} as planned, ${exact(ends.unplanned)} unplanned, ${exact(ends.failed_boots)} before they could serve`,
    (ends.unplanned || ends.failed_boots) && endedLately(events, instant(timestamp)) ? "bad" : null,
  ],
  Jobs: (raw) => [
    `${count(raw.jobs_active)} running, ${count(raw.jobs_pending)} waiting`,
    `${exact(raw.jobs_completed)} completed, ${exact(raw.jobs_failed)} failed, ${exact(raw.jobs_cancelled)} cancelled`,
  ],
  Watching: (raw) => [`${count(raw.websocket_clients)} client${raw.websocket_clients === 1 ? "" : "s"}`, "pages and programs that watch these numbers over WebSocket"],
  "Time in queue": (raw) => raw.queue_time_p99 > 0 && [
    `p99 ${milliseconds(raw.queue_time_p99)}`,
    `99 % of the last interval's requests waited no longer than ${exact(raw.queue_time_p99)} ms between X-Request-Start, which a proxy sets, and a worker; half no longer than ${exact(raw.queue_time_p50)} ms`,
  ],
  "Event loop lag": (raw) => isKnown(raw.event_loop_lag_seconds) && [
    milliseconds(1000 * raw.event_loop_lag_seconds),
    `how late the event loop of a worker is, the latest of all: ${exact(raw.event_loop_lag_seconds)} s`,
    raw.event_loop_lag_seconds >= 0.5 ? "warn" : null,
  ],
  "App connections": (raw) => raw.app_connections > 0 && [count(raw.app_connections), `${exact(raw.app_connections)} WebSockets and streams of events that the app has open`],
};

/** The totals, in one line. */
export function totalsOf(raw) {
  const { http_requests: all, http_server_errors: server, http_client_errors: client } = raw;
  const started = instant(raw.timestamp) - raw.uptime_seconds;
  const since = raw.totals_since ? instant(raw.totals_since) : started;
  const kept = raw.totals_since && Math.abs(since - started) > 5 ? `; up ${duration(raw.uptime_seconds, 2)}` : "";
  const errors = isKnown(server)
    ? [`5xx ${count(server)} (${share(all ? server / all : 0)})`, `4xx ${count(client)} (${share(all ? client / all : 0)})`]
    : [`${count(raw.http_errors)} errors`];
  const parts = [`${count(all)} requests`, ...(all ? errors : []), ...(all ? [`mean ${milliseconds(raw.avg_response_time)}`] : [])];
  return {
    text: `Since ${moment(since)} (${ago(since)}${kept}): ${parts.join(" · ")}`,
    title: `${exact(all)} requests, ${exact(raw.http_errors)} errors, mean ${exact(raw.avg_response_time)} ms`,
  };
}
