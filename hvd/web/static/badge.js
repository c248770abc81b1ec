/** The daemon's health where it is seen: the badge and its reasons, the tab's title and icon, and a word for who listens. */

import { Rows, make, mark, say } from "./dom.js";
import { plain } from "./format.js";
import { iconOf } from "./icon.js";
import { MARKS } from "./verdict.js";

export class Badge {
  /** @param {Document} page @param {string} host whose daemon it is */
  constructor(page, host) {
    this.page = page;
    this.host = host;
    this.state = null;
    const find = (selector) => page.querySelector(selector);
    [this.badge, this.icon, this.announcement] = ["#health", "link[rel=icon]", "#announcement"].map(find);
    const list = find("#reasons");
    list.replaceChildren(); // what stood there before this script ran
    this.reasons = new Rows(list, () => make("li"), (row, text) => say(row, text));
  }

  /** Needs no frame to be drawn: a hidden tab follows too. @param {{state: string, reasons: string[]}} verdict */
  show({ state, reasons }) {
    mark(this.badge.parentElement, "data-state", state);
    this.reasons.update(reasons, (_, i) => i);
    if (state === this.state) return;
    this.state = state;
    say(this.badge.querySelector(".mark"), MARKS[state]);
    say(this.badge.querySelector(".word"), state.charAt(0).toUpperCase() + state.slice(1));
    this.page.title = plain(`${MARKS[state]} ${state} – ${this.host} – hvd`);
    this.icon.setAttribute("href", iconOf(state));
    // the reasons of this moment only: they hold times, which change all the while
    say(this.announcement, `The daemon is ${state}. ${reasons.join(" ")}`);
  }
}
