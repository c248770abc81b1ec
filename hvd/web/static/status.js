/** The state of the connection, and a mark on numbers that are old. */

import { mark, say } from "./dom.js";

const STATES = {
  connecting: ["◌", "Connecting"],
  open: ["●", "Live"],
  silent: ["▲", "Silent"],
  waiting: ["◌", "Reconnecting"],
};

/** @param {HTMLElement} element that says it */
export function addStatus(element) {
  /** @param {import("./contact.js").Contact} contact */
  return ({ connection, isStale }) => {
    const [symbol, word] = STATES[connection];
    mark(element, "data-state", connection);
    say(element.querySelector(".mark"), symbol);
    say(element.querySelector(".word"), word);
    mark(document.body, "data-stale", isStale ? "" : null);
  };
}
