/** A route in detail: its figures of three spans side by side, its responses by status, and its requests in progress. */

import { stateOf, withoutRoute } from "./changes.js";
import { Rows, make, mark, say } from "./dom.js";
import { UNKNOWN, count, exact, instant, isKnown, milliseconds, rate, seconds, share, shortDuration } from "./format.js";
import { addRequestList, inProgress, makeTest } from "./inprogress.js";
import { Asked, CHARTS, START, sinceStart } from "./routespans.js";
import { between, when } from "./when.js";

const SPANS = ["Last minute", "Visible span", "Since start"];

const isFew = (value) => count(value) === exact(value);
const ms = (field) => (route) => ({ text: milliseconds(route[field]), title: isKnown(route[field]) ? `${exact(route[field])} ms` : null });
const errors = (kind, state) => (route) => ({
  text: share(route[`${kind}_error_rate`]),
  small: route[`${kind}_errors`] ? exact(route[`${kind}_errors`]) : null,
  state: route[`${kind}_errors`] ? state : "none",
});

/** By name, of a route in a span: what is shown, what more in small print, and the exact value for the title. */
const FIGURES = {
  Requests: ({ requests }) => ({ text: count(requests), small: isFew(requests) ? null : exact(requests) }),
  "Requests/s": ({ requests_per_second: n }) => ({ text: rate(n), title: exact(n) }),
  "5xx": errors("server", "bad"),
  "4xx": errors("client", null),
  p50: ms("p50_ms"),
  p90: ms("p90_ms"),
  p99: ms("p99_ms"),
  Mean: ms("mean_ms"),
  "Time spent": ({ seconds_spent: spent }) => ({ text: isKnown(spent) && spent >= 60 ? shortDuration(spent) : seconds(spent), title: `${exact(spent)} s` }),
};

/**
 * @param {import("./panel.js").Panels} panels @param {import("./timeline.js").Timeline} timeline
 * @param {(path: string, take: (answer: any) => void) => void} ask the daemon
 */
export function addRoutePanel(panels, timeline, ask) {
  panels.add("route", (route) => ({ title: route, build: (body) => build(body, route, { panels, timeline, ask }) }));
}

function build(body, route, { panels, timeline, ask }) {
  const methods = make("p", { class: "lead" });
  const changes = make("ul", { class: "changes" });
  const changeRows = new Rows(changes, () => make("li"), (row, change) => {
    mark(row, "data-state", stateOf(change));
    say(row, withoutRoute(change));
  });
  const aside = make("p", { class: "hint" });
  body.append(methods, changes);
  const figures = addTable(body, "Figures", "Figure");
  body.append(aside);
  const statuses = addTable(body, "Responses by status", "Status");
  const showRequests = addRequestList(body, panels);
  const askFor = (path, take) => ask(path, (answer) => (take(answer), panels.renew()));
  const asked = [new Asked(CHARTS, timeline, askFor), new Asked(START, timeline, askFor)];
  return {
    update: (model) => {
      for (const one of asked) one.follow();
      const spans = spansOf(route, model, asked);
      const known = spans.find(Boolean);
      say(methods, known ? known.methods.join(" ") : "No request to this route was answered.");
      const own = model.changes.filter((change) => change.route === route);
      changeRows.update(own, ({ what }) => what);
      figures(Object.entries(FIGURES).map(([name, form]) => ({ name, cells: spans.map((span) => span && form(span)) })));
      statuses(statusesOf(spans));
      say(aside, asideOf(asked[0].answer, model.raw));
      const isOwn = makeTest(route, model.routes.map((other) => other.route));
      showRequests(inProgress(model).filter(({ path }) => isOwn(path)));
    },
  };
}

/** The route in the last minute, in the charts' span, and since the start; null where there was no request, or nothing is known. */
function spansOf(route, { routes }, [charts, start]) {
  const known = routes.find((other) => other.route === route);
  const of = ({ answer }) => answer?.routes.find((other) => other.route === route);
  return [known?.last_minute, of(charts), of(start) ?? (known && sinceStart(known))].map((span) => span ?? null);
}

/** A row for each status that there was in any of the spans. */
export function statusesOf(spans) {
  const statuses = [...new Set(spans.flatMap((span) => Object.keys(span?.statuses ?? {})))].sort();
  return statuses.map((status) => ({
    name: status,
    state: status[0] === "5" ? "bad" : null,
    cells: spans.map((span) => {
      const n = span?.statuses?.[status];
      return n ? { text: share(n / span.requests), small: exact(n) } : null;
    }),
  }));
}

function asideOf(answer, raw) {
  const visible = answer ? `Visible span: ${between(answer.from, answer.to)}. ` : "";
  return `${visible}${raw?.totals_since ? `Start: ${when(instant(raw.totals_since))}.` : ""}`;
}

/** A table of the spans under the parent -> shows these rows. */
function addTable(parent, title, first) {
  const body = make("tbody");
  const heads = [first, ...SPANS].map((name) => make("th", { scope: "col", text: name }));
  parent.append(make("h3", { text: title }), make("table", { class: "spans" }, make("thead", {}, make("tr", {}, ...heads)), body));
  const cell = () => make("td", {}, make("span"), make("small"));
  const rows = new Rows(body, () => make("tr", {}, make("th", { scope: "row" }), ...SPANS.map(cell)), (row, { name, state = null, cells }) => {
    say(row.cells[0], name);
    mark(row.cells[0], "data-state", state);
    cells.forEach((value, i) => fillCell(row.cells[i + 1], value));
  });
  return (items) => rows.update(items, ({ name }) => name);
}

function fillCell(cell, value) {
  say(cell.firstChild, value?.text ?? UNKNOWN);
  say(cell.lastChild, value?.small ?? "");
  mark(cell, "title", value?.title ?? null);
  mark(cell, "data-state", value ? (value.state ?? null) : "none");
}
