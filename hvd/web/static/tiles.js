/** System Health: the numbers that are looked at first. */

import { make, mark, say } from "./dom.js";
import {
  UNKNOWN, clock, count, day, duration, errors, exact, exactSize, instant, isKnown, milliseconds, percent, rate, share, size,
} from "./format.js";

/**
 * By name, of a `raw` object: the value, the exact value, a line beside it and, where there is one, the line's state.
 * False where a service has no such thing: then there is no tile, until it has.
 */
const TILES = {
  Requests: (raw) => [
    count(raw.http_requests),
    `${exact(raw.http_requests)}; ${exact(raw.requests.in_flight)} in flight, ${exact(raw.requests.aborted)} aborted`,
    `${rate(raw.requests_per_second)}/s now`,
  ],
  Errors: (raw) => [
    errors(raw.http_errors, raw.http_requests),
    `${exact(raw.http_errors)} of ${exact(raw.http_requests)}`,
    `${share(raw.error_rate)} now`,
    raw.error_rate > 0 ? "bad" : null,
  ],
  "Mean response": (raw) => [milliseconds(raw.avg_response_time), `${exact(raw.avg_response_time)} ms since start`, `median ${milliseconds(ended(raw, raw.p50))} now`],
  "p99 of finished": (raw) => [
    milliseconds(ended(raw, raw.p99)),
    `Of the requests that ended in the last interval, 99 % took no longer than ${exact(raw.p99)} ms. With those in progress, by how old they are, it is ${exact(raw.p99_with_open)} ms.`,
    `${milliseconds(raw.p99_with_open || null)} with unfinished`,
    hidesStuckRequests(raw) ? "bad" : null,
  ],
  "Capacity busy": (raw) => [
    isKnown(raw.worker_threads) ? `${count(raw.worker_threads_busy)} of ${count(raw.worker_threads)}` : UNKNOWN,
    `${exact(raw.worker_threads_busy)} of the ${exact(raw.worker_threads)} requests that ${exact(raw.workers_alive)} workers can serve at once`,
    isSaturated(raw) ? `▲ saturated since ${clock(instant(raw.timestamp) - raw.saturated_seconds)}` : `${share(raw.busy_ratio)} of the last interval`,
    isSaturated(raw) ? "bad" : null,
  ],
  "Requests waiting": (raw) => [
    count(sum(raw.queued_requests, raw.accept_backlog)),
    `${exact(raw.queued_requests)} wait for a thread of their worker; ${exact(raw.accept_backlog)} connections wait to be accepted, of ${exact(raw.accept_backlog_limit)} that may`,
    `${count(raw.queued_requests)} for a thread, ${count(raw.accept_backlog)} unaccepted`,
    isSaturated(raw) && sum(raw.queued_requests, raw.accept_backlog) ? "bad" : null,
  ],
  Uptime: (raw) => [
    duration(raw.uptime_seconds),
    `${exact(raw.uptime_seconds)} s`,
    `since ${day(instant(raw.timestamp) - raw.uptime_seconds)}`,
  ],
  CPU: (raw) => [percent(raw.cpu_usage), `${exact(raw.cpu_usage)} % of one core`, "of one core"],
  Memory: (raw) => [size(raw.memory_usage), exactSize(raw.memory_usage), "all processes"],
  Workers: (raw) => [count(raw.workers_alive), `${exact(raw.workers_alive)} workers alive`, "alive", raw.workers_alive === 0 && raw.health !== "starting" ? "bad" : null],
  Concurrency: (raw) => [
    count(raw.goroutines),
    `${exact(raw.threads)} threads and ${exact(raw.tasks)} asyncio tasks`,
    `${count(raw.threads)} threads, ${count(raw.tasks)} tasks`,
  ],
  "WS clients": (raw) => [count(raw.websocket_clients), `${exact(raw.websocket_clients)} pages and programs that watch these numbers`, "this page included"],
  "Time in queue": (raw) => raw.queue_time_p99 > 0 && [
    milliseconds(raw.queue_time_p99),
    `99 % of the last interval's requests waited no longer than ${exact(raw.queue_time_p99)} ms between X-Request-Start, which a proxy sets, and a worker; half no longer than ${exact(raw.queue_time_p50)} ms`,
    `p99; median ${milliseconds(raw.queue_time_p50)}`,
  ],
  "Event loop lag": (raw) => isKnown(raw.event_loop_lag_seconds) && [
    milliseconds(1000 * raw.event_loop_lag_seconds),
    `how late the event loop of a worker is, the latest of all: ${exact(raw.event_loop_lag_seconds)} s`,
    "the latest worker",
    raw.event_loop_lag_seconds >= 0.5 ? "bad" : null,
  ],
  "App connections": (raw) => raw.app_connections > 0 && [
    count(raw.app_connections),
    `${exact(raw.app_connections)} WebSockets and streams of events that the app has open`,
    "WebSockets, event streams",
  ],
};

const OPTIONAL = ["Time in queue", "Event loop lag", "App connections"];

/** All threads are busy for a moment now and then; for so many seconds is what /health calls it. */
const isSaturated = ({ saturated_seconds: seconds }) => seconds >= 2;

/** Of those that are known; unknown where none is. */
const sum = (...values) => values.filter(isKnown).reduce((all, value) => (all ?? 0) + value, null);

/** A percentile of the last interval; unknown where nothing ended in it, which the daemon tells as 0. */
const ended = ({ requests_per_second: some }, ms) => (some ? ms : null);

/** True where p99 looks well only because the slow requests have not ended: then it says so in red. */
const hidesStuckRequests = ({ p99, p99_with_open: withOpen }) => withOpen >= 1000 && withOpen > 2 * p99;

/** @param {HTMLElement} list a <dl> */
export function addTiles(list) {
  const tiles = Object.entries(TILES).map(([name, textsOf]) => {
    const [value, beside] = [make("dd", { class: "value", text: "–" }), make("dd", { text: " " })];
    const tile = make("div", { hidden: OPTIONAL.includes(name) || null }, make("dt", { text: name }), value, beside);
    list.append(tile);
    return { tile, textsOf, value, beside };
  });
  return ({ raw }) => {
    if (!raw) return;
    for (const { tile, textsOf, value, beside } of tiles) {
      const texts = textsOf(raw) || (tile.isKnown && [UNKNOWN, null, "none now"]);
      tile.isKnown = Boolean(texts);
      tile.hidden = !texts;
      if (!texts) continue;
      const [text, title, line, state = null] = texts;
      say(value, text);
      mark(value, "title", title);
      say(beside, line);
      mark(beside, "data-state", state);
    }
  };
}
