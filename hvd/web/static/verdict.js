/** What the badge says of the daemon, and why, from what was last really heard. Pure: it knows no page and no clock. */

import { clock, duration } from "./format.js";

/** The states, each with a mark that tells it apart without colour. */
export const MARKS = { healthy: "●", degraded: "▲", unhealthy: "✕", starting: "◌", unknown: "?", unreachable: "⊘" };

/** What a daemon may say of itself, and what is said for it where it gives no reason. */
const OWN_WORDS = {
  healthy: "Nothing is wrong.",
  starting: "Its processes are starting.",
  degraded: "It does not say why.",
  unhealthy: "It does not say why.",
};

/**
 * A daemon's own word about its health.
 * @typedef {{state: string, reasons: string[], at: number, wall: number, lasts: number}} Word
 *   `at` is when it was heard, in s of the clock that `now` is of; `wall` the same as Unix time; it holds for `lasts` s
 */

/**
 * @param {{word: Word | null, failure: string | null, oddity: string | null, now: number}} facts `failure` is why nothing
 *   answers over HTTP since the last word, while the socket is silent as well; `oddity` what answers instead of the daemon
 * @returns {{state: keyof MARKS, reasons: string[]}} at least one reason, in words for people
 */
export function judge({ word, failure, oddity, now }) {
  if (failure) return { state: "unreachable", reasons: [`No answer, by WebSocket or HTTP (${failure}).`, before(word, now)] };
  if (!word) return { state: "unknown", reasons: [oddity ? `${oddity}.` : "Nothing was heard yet."] };
  if (now - word.at > word.lasts) {
    return { state: "unknown", reasons: [oddity ? `${oddity}.` : "The daemon says nothing.", before(word, now)] };
  }
  if (!Object.hasOwn(OWN_WORDS, word.state)) {
    return { state: "unknown", reasons: [...word.reasons, `The daemon says “${word.state}” of itself.`] };
  }
  return { state: word.state, reasons: word.reasons.length ? word.reasons : [OWN_WORDS[word.state]] };
}

const before = (word, now) =>
  word ? `Last heard at ${clock(word.wall)}, ${duration(now - word.at)} ago: ${word.state}.` : "Nothing was heard before.";
