/** What changed: the last minute against the minute before, the biggest first, each with a link to its route. */

import { Rows, make, mark, say } from "./dom.js";
import { lead, makeLink, sayName } from "./names.js";

/** Red is for what the service does wrong itself. */
export const stateOf = ({ what, is_bad: isBad }) => (!isBad ? "good" : what === "server_error_rate" ? "bad" : "warn");

const signOf = ({ before, now }) => ((now ?? 0) < (before ?? 0) ? "▼" : "▲");

/** A change's sentence without the route that it begins with. */
export const withoutRoute = ({ text, route }) => (route && text.startsWith(`${route}: `) ? text.slice(route.length + 2) : text);

/** Without those of all routes together that a route explains: how all are, the page says above. */
export const explained = (changes) => changes.filter(({ what, route }) => route || !changes.some((other) => other.route && other.what === what));

/** @param {HTMLElement} section @param {import("./panel.js").Panels} panels */
export function addChanges(section, panels) {
  const list = make("ol");
  const empty = make("p", { class: "empty" });
  const aside = make("p", { class: "aside", text: "against the minute before" });
  section.append(
    make("div", { class: "heading" }, make("h2", { id: section.getAttribute("aria-labelledby"), text: "What changed" }), aside),
    make("div", { class: "panel scroll", role: "region", tabindex: "0", "aria-label": "What changed, list" }, list, empty),
  );
  section.hidden = false;
  const rows = new Rows(list, () => createRow(panels), fillRow);
  return ({ raw, changes }) => {
    if (!raw) return;
    rows.update(explained(changes), ({ what, route }) => `${what} ${route}`);
    empty.hidden = changes.length > 0;
    say(empty, raw.minute_before ? "Nothing differs from the minute before by more than chance explains." : "Two minutes are compared once they have passed.");
  };
}

function createRow(panels) {
  const link = makeLink(panels, make("span", { class: "route" }), make("span", { class: "change" }));
  return make("li", {}, make("span", { class: "sign", "aria-hidden": "true" }), link, make("span", { class: "change" }));
}

function fillRow(row, change) {
  const [sign, link, whole] = row.children;
  const state = stateOf(change);
  mark(row, "data-state", state);
  say(sign, signOf(change));
  link.hidden = !change.route;
  whole.hidden = Boolean(change.route);
  if (!change.route) return say(whole, change.text);
  lead(link, "route", change.route);
  sayName(link.firstChild, change.route);
  say(link.lastChild, withoutRoute(change));
}
