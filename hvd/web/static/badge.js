/** The daemon's health where it is seen: the badge and its reasons, the tab's title and icon, and a word for who listens. */

import { Rows, make, mark, say } from "./dom.js";
import { plain } from "./format.js";
import { iconOf } from "./icon.js";
import { MARKS } from "./verdict.js";
import { ago, moment } from "./when.js";

export class Badge {
  /**
   * @param {Document} page @param {string} host whose daemon it is
   * @param {(state: string) => number | null} sinceOf since when it is in that state, as far as the daemon tells
   */
  constructor(page, host, sinceOf) {
    this.page = page;
    this.host = host;
    this.sinceOf = sinceOf;
    this.state = null;
    this.seen = null; // when the page saw it change, if it did
    const find = (selector) => page.querySelector(selector);
    [this.badge, this.icon, this.announcement] = ["#health", "link[rel=icon]", "#announcement"].map(find);
    this.since = find("#since");
    const list = find("#reasons");
    list.replaceChildren(); // what stood there before this script ran
    this.reasons = new Rows(list, () => make("li"), (row, text) => say(row, text));
  }

  /** Needs no frame to be drawn: a hidden tab follows too. @param {{state: string, reasons: string[]}} verdict */
  show({ state, reasons }) {
    mark(this.badge.closest(".verdict"), "data-state", state);
    this.reasons.update(reasons, (_, i) => i);
    if (state !== this.state) this.#change(state, reasons);
    const since = Math.max(this.sinceOf(state) ?? 0, this.seen ?? 0);
    say(this.since, !since ? "" : `since ${moment(since)} · ${ago(since)}`);
  }

  #change(state, reasons) {
    const wasKnown = ![null, "unknown", "unreachable"].includes(this.state);
    this.seen = wasKnown ? Date.now() / 1000 : null;
    this.state = state;
    say(this.badge.querySelector(".mark"), MARKS[state]);
    say(this.badge.querySelector(".word"), state.charAt(0).toUpperCase() + state.slice(1));
    this.page.title = plain(`${MARKS[state]} ${state} – ${this.host} – hvd`);
    this.icon.setAttribute("href", iconOf(state));
    // the reasons of this moment only: they hold times, which change all the while
    say(this.announcement, `The daemon is ${state}. ${reasons.join(" ")}`);
  }
}
