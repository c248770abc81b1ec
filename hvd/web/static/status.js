/** Whether numbers come: the state of the connection, and a mark on numbers that are old. */

import { mark, say } from "./dom.js";
import { clock, duration } from "./format.js";

const STATES = {
  connecting: ["◌", "Connecting"],
  open: ["●", "Live"],
  silent: ["▲", "Silent"],
  waiting: ["◌", "Reconnecting"],
};
const MARGIN = 1; // s beyond two intervals, after which numbers are stale

export class Status {
  /** @param {import("./model.js").Model} model @param {() => void} wentSilent called when nothing has come for too long */
  constructor(model, wentSilent) {
    this.model = model;
    this.wentSilent = wentSilent;
    this.connection = document.getElementById("connection");
    this.banner = document.getElementById("stale");
    this.isOpen = false;
    this.isStale = false;
    this.received = null; // on the wall
    setInterval(() => this.check(), 500);
  }

  /** @param {"connecting" | "open" | "waiting"} state */
  connected(state) {
    this.isOpen = state === "open";
    this.#show(state === "connecting" && this.received !== null ? "waiting" : state);
  }

  /** Numbers came. */
  heard() {
    this.received = Date.now() / 1000;
    if (this.isStale) this.check();
  }

  check() {
    const age = this.model.now() - this.model.heard;
    const isStale = Number.isFinite(age) && age > 2 * this.model.history.interval + MARGIN;
    if (isStale) say(this.banner, `▲ Stale: the numbers are of ${clock(this.received)}, ${duration(age)} ago. The page goes on by itself once the daemon answers.`);
    if (isStale === this.isStale) return;
    this.isStale = isStale;
    this.banner.hidden = !isStale;
    mark(document.body, "data-stale", isStale ? "" : null);
    if (isStale && this.isOpen) {
      this.#show("silent");
      this.wentSilent();
    }
  }

  #show(state) {
    const [symbol, word] = STATES[state];
    mark(this.connection, "data-state", state);
    say(this.connection.querySelector(".mark"), symbol);
    say(this.connection.querySelector(".word"), word);
  }
}
