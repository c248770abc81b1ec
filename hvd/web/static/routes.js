/** The routes: how often, how well, how fast, and what time they take, of a span that is chosen. */

import { stateOf, withoutRoute } from "./changes.js";
import { draw, make, mark, say } from "./dom.js";
import { count, exact, isKnown, instant, milliseconds, rate, share } from "./format.js";
import { finish } from "./frames.js";
import { lead, makeLink, sayName } from "./names.js";
import { CHARTS, MINUTE, START, lastMinuteOf } from "./routespans.js";
import { Table, text } from "./table.js";
import { between, when } from "./when.js";

const CHOICES = [[MINUTE, "Last minute"], [CHARTS, "Visible span"], [START, "Since start"]];

/** A column of times, each with its exact value. */
const ms = (name, field, title) => ({
  name,
  title,
  number: true,
  class: "ms",
  sort: (route) => route[field],
  fill: (cell, route) => text(cell, milliseconds(route[field]), isKnown(route[field]) ? `${exact(route[field])} ms` : null),
});

/** A column of shares, whose exact values are counts. Nothing among nothing is no share. */
const errors = (name, kind, title) => ({
  name,
  title,
  number: true,
  class: "share",
  sort: (route) => route[`${kind}_error_rate`],
  fill: (cell, route) => {
    const n = route[`${kind}_errors`];
    text(cell, share(route[`${kind}_error_rate`]), `${exact(n)} of ${exact(route.requests)}`);
    mark(cell, "data-state", n ? (kind === "server" ? "bad" : null) : "none");
  },
});

const COLUMNS = (panels) => [
  {
    name: "Route",
    class: "main",
    sort: ({ route }) => route,
    create: (cell) => cell.append(makeLink(panels)),
    fill: (cell, { route }) => {
      lead(cell.firstChild, "route", route);
      sayName(cell.firstChild, route);
    },
  },
  { name: "Methods", class: "methods", sort: ({ methods }) => methods.join(" "), fill: (cell, { methods }) => text(cell, methods.join(" "), methods.join(" ")) },
  {
    name: "Req/s",
    title: "Requests a second",
    number: true,
    class: "rate",
    sort: ({ requests_per_second: n }) => n,
    fill: (cell, { requests_per_second: n, requests }) => text(cell, rate(n), `${exact(n)} requests/s, ${exact(requests)} requests`),
  },
  { name: "Requests", number: true, class: "count", sort: ({ requests }) => requests, fill: (cell, { requests }) => text(cell, count(requests), exact(requests)) },
  errors("5xx", "server", "Share of responses that are errors of the service"),
  errors("4xx", "client", "Share of responses that are errors of the client"),
  ms("p50", "p50_ms", "Half of the requests took no longer"),
  ms("p99", "p99_ms", "99 % of the requests took no longer"),
  {
    name: "Time spent",
    title: "Share of the time that all routes together took",
    number: true,
    class: "spent",
    sort: ({ seconds_spent: seconds }) => seconds,
    create: (cell) => cell.append(bar(), make("span")),
    fill: showSpent,
  },
  { name: "What changed", class: "changed", title: "Against the span before", sort: ({ changes }) => changes[0]?.weight, fill: showChange },
];

const bar = () => draw("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", class: "bar", "aria-hidden": "true" }, draw("rect", { height: 8, width: 0 }));

function showSpent(cell, { seconds_spent: seconds, part, ofMost }) {
  mark(cell.firstChild.firstChild, "width", (100 * ofMost).toFixed(1));
  text(cell.lastChild, share(part));
  mark(cell, "title", `${exact(seconds)} s in all`);
}

function showChange(cell, { changes }) {
  const texts = changes.map(withoutRoute);
  text(cell, texts.join(", "), texts.join("\n") || null);
  mark(cell, "data-state", changes.length ? stateOf(changes[0]) : null);
}

/**
 * @param {HTMLElement} section @param {import("./panel.js").Panels} panels
 * @param {import("./routespans.js").RouteSpans} spans
 * @returns {{view: (model: any) => Iterator<void>, follow: () => Iterator<void>}} `follow` whenever the charts are drawn
 */
export function addRoutes(section, panels, spans) {
  const table = new Table(section, {
    title: "Routes",
    none: "",
    sorted: [4, -1], // which of them fails is asked first
    among: ({ requests_per_second: rate }) => rate,
    columns: COLUMNS(panels),
    row: (row, { route }) => mark(row, "aria-current", panels.address.get("route") === route ? "true" : null),
    open: ({ route }) => panels.open("route", route),
  });
  table.scroll.classList.add("stacked", "routes");
  const show = () => finish(parts());
  const filter = make("input", { type: "search", placeholder: "Filter routes", "aria-label": "Filter routes", spellcheck: "false" });
  const choices = make("div", { class: "segmented", role: "group", "aria-label": "Time of which the routes are shown" });
  for (const [choice, name] of CHOICES) {
    const button = make("button", { type: "button", value: choice, text: name });
    button.addEventListener("click", () => {
      spans.choose(choice);
      show();
    });
    choices.append(button);
  }
  table.tools.append(choices, filter);
  filter.addEventListener("input", show);
  panels.address.follow((keys) => keys.has("route") && table.redraw());
  let model = null;
  let minute = []; // the rows of the last minute: on a page that is paused they stay as they were
  let answer = null; // that is shown
  function* parts() {
    for (const button of choices.children) mark(button, "aria-pressed", button.value === spans.choice);
    if (!model) return;
    ({ answer } = spans);
    const all = spans.choice === MINUTE ? minute : spans.rows();
    const wanted = filter.value.trim().toLowerCase();
    const routes = withParts(all ?? []).filter(({ route }) => route.toLowerCase().includes(wanted));
    say(table.aside, asideOf(spans, model, all, wanted ? routes.length : null));
    say(table.empty, !all ? "Nothing was heard yet." : all.length ? `No route has “${filter.value.trim()}” in it.` : emptyText(spans.choice, model));
    yield* table.parts(routes, ({ route }) => route);
  }
  const view = (news) => {
    model = news;
    minute = lastMinuteOf(news);
    return parts();
  };
  function* follow() {
    if (spans.follow() || spans.answer !== answer) yield* parts();
  }
  return { view, follow };
}

/** Each with its part of the time that all take, and of what the slowest of them takes. */
export function withParts(routes) {
  const seconds = routes.map(({ seconds_spent: spent }) => spent ?? 0);
  const [all, most] = [seconds.reduce((sum, spent) => sum + spent, 0), Math.max(...seconds, 0)];
  return routes.map((route, i) => ({ ...route, part: all ? seconds[i] / all : null, ofMost: most ? seconds[i] / most : 0 }));
}

/** How many, and of which time. */
function asideOf(spans, { raw, routes }, all, left) {
  if (!all) return "";
  const number = left === null ? count(all.length) : `${left} of ${all.length}`;
  if (spans.choice === MINUTE && left === null && all.length < routes.length) return `${number} of ${routes.length} had requests`;
  if (spans.choice === START) return raw?.totals_since ? `${number} · since ${when(instant(raw.totals_since))}` : number;
  return spans.answer && spans.choice === CHARTS ? `${number} · ${between(spans.answer.from, spans.answer.to)}` : number;
}

/** What to do where there is none. */
function emptyText(choice, { routes, service }) {
  if (routes.length && choice !== START) return choice === MINUTE ? "No request was answered in the last minute." : "No request was answered in this time.";
  return `No request was answered yet. ${firstRequest(service.bind, location)}`;
}

/**
 * How to send the service its first request, in a sentence. `place` is where the page is.
 * @param {string} bind where the service listens: an address with a port, `unix:PATH`, or empty where that isn't known
 */
export function firstRequest(bind, place) {
  if (bind.startsWith("unix:")) return `Send a first one: curl --unix-socket ${bind.slice(5)} http://localhost/`;
  const [, host, port] = /^(.*):([1-9]\d*)$/.exec(bind) ?? [];
  if (!port) return "Send the service a first one.";
  const isAnywhere = ["", "0.0.0.0", "[::]"].includes(host);
  return `Send a first one: curl http://${isAnywhere ? place.hostname : host}:${port}/`;
}
