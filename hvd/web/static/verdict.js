/** What the badge says of the daemon, and why, from what was last really heard. Pure: it knows no page and no clock. */

import { duration } from "./format.js";
import { moment } from "./when.js";

/** The states, each with a mark that tells it apart without colour. */
export const MARKS = { healthy: "●", degraded: "▲", unhealthy: "✕", starting: "◌", unknown: "?", unreachable: "⊘" };

/** What a daemon may say of itself, and what is said for it where it gives no reason. */
const DEFAULT_REASONS = {
  healthy: "All of its processes run.",
  starting: "Its processes are starting.",
  degraded: "It does not say why.",
  unhealthy: "It does not say why.",
};

/**
 * What a daemon reports of its health.
 * @typedef {{state: string, reasons: string[], at: number, wall: number, lasts: number}} Report
 *   `at` is when it was heard, in s of the clock that `now` is of; `wall` the same as Unix time; it holds for `lasts` s
 */

/**
 * @param {{report: Report | null, failure: string | null, foreign: string | null, now: number}} facts `failure` is why nothing
 *   answers over HTTP since the last report, while the socket is silent as well; `foreign` what answers instead of the daemon
 * @returns {{state: keyof MARKS, reasons: string[]}} at least one reason, in words for people
 */
export function judge({ report, failure, foreign, now }) {
  if (failure) return { state: "unreachable", reasons: [`No answer, by WebSocket or HTTP (${failure}).`, before(report, now)] };
  if (!report) return { state: "unknown", reasons: [foreign ? `${foreign}.` : "Nothing was heard yet."] };
  if (now - report.at > report.lasts) {
    return { state: "unknown", reasons: [foreign ? `${foreign}.` : "The daemon says nothing.", before(report, now)] };
  }
  if (!Object.hasOwn(DEFAULT_REASONS, report.state)) {
    return { state: "unknown", reasons: [...report.reasons, `The daemon says “${report.state}” of itself.`] };
  }
  return { state: report.state, reasons: report.reasons.length ? report.reasons : [DEFAULT_REASONS[report.state]] };
}

const before = (report, now) =>
  report ? `Last heard at ${moment(report.wall)}, ${duration(now - report.at)} ago: ${report.state}.` : "Nothing was heard before.";

/**
 * Since when the daemon has been in that state, as its events tell.
 * @param {string} state @param {{kind: string, time: number, state?: string}[]} events the oldest first
 * @returns {number | null} Unix time in s; null where they don't
 */
export function sinceOf(state, events) {
  const news = events.filter(({ kind }) => ["start", "alert", "alert_over"].includes(kind));
  const isOf = (event) => (state === "healthy" ? event.kind !== "alert" : event.kind === "alert" && event.state === state);
  let since = null;
  for (let i = news.length - 1; i >= 0 && isOf(news[i]); i -= 1) since = news[i].time;
  return since;
}
