/** The app's own metrics on the page: a list with search, and the charts of those that are pinned or opened. */

import { Card, drawCards } from "./charts.js";
import { make, mark, say } from "./dom.js";
import { count, exact, figure, seconds, share, size, withoutZeros } from "./format.js";
import { columnOf } from "./own.js";
import { Table, text } from "./table.js";

const PAUSE = 300; // ms without a key, after which all series are looked through
const SHOWN = 100; // rows at most: a service may have thousands, and is searched then
const FORMS = { seconds, bytes: size, ratio: share };
const BASES = { bytes: 1024 };
const BESIDE = { counter: "per second", gauge: "", summary: "mean", histogram: "", stateset: "number of the state" };

/**
 * @param {HTMLElement} section @param {import("./timeline.js").Timeline} timeline
 * @param {() => void} changed @param {import("./token.js").Token} token by which metrics are pinned
 * @param {{pins: () => void, all: () => void}} ask the daemon, for what is pinned and for all series
 */
export function addOwn(section, timeline, changed, token, ask) {
  const grid = make("div", { class: "charts" });
  const table = new Table(section, {
    title: "Own metrics",
    none: "",
    columns: [
      { name: "Metric", class: "wide", fill: (cell, row) => text(cell, nameOf(row), `${row.key}\n${row.help}`) },
      { name: "Kind", class: "spare", fill: (cell, { kind }) => text(cell, kind) },
      { name: "Value", number: true, fill: (cell, row) => text(cell, valueOf(row), exact(row.value)) },
      { name: "Lately", number: true, fill: (cell, row) => text(cell, latelyOf(row)) },
      { name: "", class: "action", create: (cell) => cell.append(button("Chart", open), button("Pin", pin)), fill: showButtons },
    ],
  });
  say(table.heads[4], "Chart");
  section.lastElementChild.before(grid); // between the heading and the table
  const search = make("input", { type: "search", placeholder: "Search metrics", "aria-label": "Search own metrics", spellcheck: "false" });
  table.tools.append(search);
  let wait = 0;
  search.addEventListener("input", () => {
    clearTimeout(wait);
    if (own.isPartial && search.value.trim()) wait = setTimeout(ask.all, PAUSE);
    changed();
  });
  let own = null;
  /** @type {Map<string, Card>} */
  let cards = new Map();

  function showButtons(cell, row) {
    const [chart, pinned] = cell.children;
    for (const element of cell.children) {
      element.row = row;
      element.hidden = row.kind === "info";
    }
    chart.hidden ||= row.isBeyond || own.pinned.has(row.key);
    mark(chart, "aria-pressed", own.opened.has(row.key));
    mark(pinned, "aria-pressed", own.pinned.has(row.key));
    mark(chart, "aria-label", `Chart ${row.key}`);
    mark(pinned, "aria-label", `Pin ${row.key}`);
    mark(pinned, "title", own.pinned.has(row.key) ? "Keep its history no more" : "Let the daemon keep its last fifteen minutes");
  }

  function open({ key }) {
    own.toggle(key);
    changed();
  }

  async function pin({ key }) {
    const method = own.pinned.has(key) ? "DELETE" : "PUT";
    const refusal = await token.ask(method, `api/v1/pins?key=${encodeURIComponent(key)}`);
    say(table.note, refusal ? `${key} was not ${method === "PUT" ? "pinned" : "unpinned"}: ${refusal.why}` : "");
    if (!refusal) {
      if (method === "PUT") own.opened.delete(key);
      else if (!own.opened.has(key)) own.toggle(key);
      ask.pins();
    }
    changed();
  }

  function* view(model) {
    ({ own } = model);
    section.hidden = !own.rows.length && !own.charted.size;
    const rows = own.found(search.value);
    const some = rows.length > SHOWN ? `the first ${SHOWN} of ` : "";
    say(table.aside, search.value.trim() ? `${some}${count(rows.length)} found` : `${some}${count(rows.length)}`);
    say(table.empty, `No metric has “${search.value.trim()}” in its name, labels or help.`);
    follow();
    yield* table.parts(rows.slice(0, SHOWN), ({ key }) => key);
  }

  /** Let there be a card for each metric that is charted. */
  function follow() {
    const known = cards;
    cards = new Map([...own.charted].map(([key, row]) => [key, known.get(key) ?? new Card(chartOf(row), timeline)]));
    const elements = [...cards.values()].map(({ element }) => element);
    if (elements.length !== grid.children.length || elements.some((element, i) => element !== grid.children[i])) grid.replaceChildren(...elements);
  }

  return { view, charts: () => [...(own?.charted.values() ?? [])].map(chartOf), draw: (theme) => drawCards([...cards.values()], theme) };
}

const nameOf = ({ key, all }) => (all ? `${key} (all ${count(all)})` : key);

/** How values of its unit are written; a counter's own are numbers. */
const formOf = ({ unit }) => FORMS[unit] ?? figure;

function valueOf(row) {
  if (row.kind === "gauge") return formOf(row)(row.value);
  if (row.kind === "info") return Object.entries(row.value ?? {}).map(([name, value]) => `${name}=${value}`).join(" ");
  return typeof row.value === "string" ? row.value : count(row.value);
}

function latelyOf(row) {
  const { rate, mean, p50, p99 } = row.recent;
  if (rate !== undefined) return `${formOf(row)(rate)}/s`;
  if (mean !== undefined) return `mean ${formOf(row)(mean)}`;
  return p50 === undefined ? "" : `p50 ${formOf(row)(p50)} · p99 ${formOf(row)(p99)}`;
}

/** The chart of a row: a line for each of its figures. */
export function chartOf(row) {
  const form = formOf(row);
  const series = Object.keys(row.recent).map((name, n) => ({ column: columnOf(row.key, n), name }));
  return { title: nameOf(row), beside: BESIDE[row.kind] ?? "", form, tick: withoutZeros(form), least: 0, base: BASES[row.unit], series };
}

function button(label, act) {
  const element = make("button", { type: "button", text: label });
  element.addEventListener("click", () => act(element.row));
  return element;
}
