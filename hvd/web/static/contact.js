/** Whether the daemon is heard, over its WebSocket or else over HTTP, and what it says of its health. Nothing of the page. */

import { judge } from "./verdict.js";

const MARGIN = 1; // s beyond two intervals, after which a report of the socket is old
const OVER_HTTP = 5; // s that a report over HTTP holds: 2 until it is asked again, 3 until that has failed
const QUIET = 0.5; // s beyond one and a half intervals, after which HTTP is asked: before the report is old

export class Contact {
  /**
   * @param {{start: () => void, stop: () => void, isRunning: boolean}} poll
   * @param {{restart: () => void, changed: (contact: Contact) => void}} listener `restart` the socket, which is silent;
   *   `changed` is called when the verdict or the connection may have changed
   * @param {{now: () => number, wall: () => number}} [clocks] in s: from any start, and Unix time
   */
  constructor(poll, listener, clocks = { now: () => performance.now() / 1000, wall: () => Date.now() / 1000 }) {
    this.poll = poll;
    this.listener = listener;
    this.clocks = clocks;
    this.interval = 2; // s between two messages of the socket
    this.connection = "connecting"; // or open, silent, waiting
    this.socketAt = -Infinity; // when the socket spoke, or was opened
    this.hasSpoken = false; // the socket, since it was opened
    /** @type {import("./verdict.js").Report | null} */
    this.report = null;
    /** @type {string | null} why nothing answers over HTTP, and what answers instead of the daemon, since the last report */
    this.failure = this.foreign = null;
    this.numbersAt = Infinity; // when the last numbers came, whichever way
  }

  /** @param {"connecting" | "open" | "waiting"} state of the socket */
  connected(state) {
    if (state === "open") this.socketAt = this.clocks.now();
    this.hasSpoken = false;
    this.connection = state === "connecting" && this.report ? "waiting" : state;
    this.check();
  }

  /** A message of the socket said this of the daemon's health. */
  reportFromSocket(state, reasons) {
    this.socketAt = this.clocks.now();
    this.hasSpoken = true;
    this.connection = "open";
    this.#heard(state, reasons, this.#patience);
    this.check();
  }

  /** An answer over HTTP said it; when that was `asked` for tells whether it is news. */
  reportFromHttp(state, reasons, asked) {
    if (!this.#isNews(asked)) return;
    this.#heard(state, reasons, this.#httpPatience);
    this.check();
  }

  /** Nothing answered over HTTP. */
  noteHttpFailure(why, asked) {
    if (!this.#isNews(asked)) return;
    this.failure = why;
    this.check();
  }

  /** Something answered over HTTP, and was not the daemon. */
  noteForeignAnswer(what) {
    this.foreign = what;
    this.failure = null;
    this.check();
  }

  /** False if something was heard since then: the socket is the quicker way, and of two questions one may fail. */
  #isNews(asked) {
    return this.poll.isRunning && asked >= (this.report?.at ?? -Infinity);
  }

  /** Numbers came, whichever way. */
  gotNumbers() {
    this.numbersAt = this.clocks.now();
  }

  /** True while the numbers are older than the way on which they come explains. */
  get isStale() {
    return this.clocks.now() - this.numbersAt > (this.poll.isRunning ? this.#httpPatience : this.#patience);
  }

  get #httpPatience() {
    return Math.max(OVER_HTTP, this.#patience);
  }

  get #patience() {
    return 2 * this.interval + MARGIN;
  }

  get verdict() {
    return judge({ ...this, now: this.clocks.now() });
  }

  /** Look at the clock; called often, and after all that happens. */
  check() {
    const silence = this.clocks.now() - this.socketAt;
    const isOpen = this.connection === "open" || this.connection === "silent";
    const isSilent = silence > 1.5 * this.interval + QUIET;
    if (isOpen) this.connection = isSilent ? "silent" : "open";
    if (isOpen && this.hasSpoken && !isSilent) this.poll.stop();
    else this.poll.start();
    this.listener.changed(this);
    if (isOpen && silence > this.#patience) this.listener.restart();
  }

  #heard(state, reasons, lasts) {
    this.report = { state, reasons, at: this.clocks.now(), wall: this.clocks.wall(), lasts };
    this.failure = this.foreign = null;
  }
}
