/** A worker in detail: how it is, what is odd about it, its charts, what it does now, and how its like have ended. */

import { Card, drawCards } from "./charts.js";
import { Rows, make, mark, say } from "./dom.js";
import { UNKNOWN, count, duration, errors, exact, instant, percent, rate, size, withoutZeros } from "./format.js";
import { finish } from "./frames.js";
import { History } from "./history.js";
import { addRequestList, inProgress } from "./inprogress.js";
import { Timeline } from "./timeline.js";
import { moment, when } from "./when.js";
import { lastMinute, stateOf } from "./workers.js";

const MB = 1024 * 1024;
const SPAN = 900; // s that the charts show
const STEP = 10; // s between two points that the daemon keeps

const chart = (title, beside, column, form, least, more = {}) => ({ title, beside, form, tick: withoutZeros(form), least, series: [{ column, name: title }], ...more });
const CHARTS = [
  chart("Its requests", "per second", "requests_per_second", rate, 2),
  {
    ...chart("Its errors", "per second", "", rate, 2),
    series: [{ column: "server_errors_per_second", name: "5xx", tone: "bad" }, { column: "client_errors_per_second", name: "4xx", tone: "warn" }],
  },
  chart("Its CPU", "of one core", "cpu_percent", percent, 5),
  chart("Its memory", "", "memory_bytes", size, MB, { base: 1024 }),
  chart("Its requests in progress", "", "in_flight", count, 4),
];
const COLUMNS = ["time", ...CHARTS.flatMap(({ series }) => series.map(({ column }) => column))];

/** By name, what is known of a worker: of `data`, and of its last minute. */
const FACTS = {
  State: ({ worker }) => stateOf(worker),
  Age: ({ data }) => `${duration(data.age_seconds, 2)}${data.started_at ? `, since ${moment(instant(data.started_at))}` : ""}`,
  Requests: ({ data, last }) => `${rate(last.requests_per_second)}/s in the last minute, ${exact(data.requests)} in all`,
  "5xx": ({ data, last }) => `${count(last.server_errors)} in the last minute, ${errors(data.server_errors, data.requests)} in all`,
  "4xx": ({ data, last }) => `${count(last.client_errors)} in the last minute, ${errors(data.client_errors, data.requests)} in all`,
  CPU: ({ last }) => `${percent(last.cpu_percent)} of one core`,
  Memory: ({ data }) => `${size(data.memory_bytes)}, ${exact(data.memory_bytes)} bytes`,
  Threads: ({ data }) => count(data.threads),
};

/**
 * @param {import("./panel.js").Panels} panels @param {(path: string, take: (answer: any) => void) => void} ask the daemon
 * @param {() => object} theme the page's colours of now
 */
export function addWorkerPanel(panels, ask, theme) {
  panels.add("worker", (text) => ({ title: `Worker ${text}`, build: (body) => build(body, Number(text), panels, ask, theme) }));
}

function build(body, pid, panels, ask, theme) {
  const [gone, skew, facts] = [make("p", { class: "lead" }), make("ul", { class: "changes" }), make("dl", { class: "facts" })];
  const grid = make("div", { class: "cards" });
  body.append(gone, skew, facts);
  const showRequests = addRequestList(body);
  const [endsTitle, ends] = [make("h3", { text: "Ends" }), make("ul", { class: "ends" })];
  body.append(make("h3", { text: "Its last 15 minutes" }), grid, endsTitle, ends);
  const charts = new WorkerCharts(grid, pid, ask, theme);
  charts.timeline.addEventListener("open", ({ detail }) => panels.open("event", detail));
  const skewRows = new Rows(skew, () => make("li", { "data-state": "warn" }), (row, { text }) => say(row, text));
  const factRows = new Rows(facts, () => make("div", {}, make("dt"), make("dd")), (row, [name, value]) => {
    say(row.firstChild, name);
    say(row.lastChild, value);
  });
  const endRows = new Rows(ends, () => make("li"), (row, event) => {
    say(row, `${when(event.time)}: ${event.text}`);
    mark(row, "data-state", event.kind === "death" ? "bad" : null);
  });
  return {
    update: (model) => {
      const worker = model.workers.get(pid);
      say(gone, worker && worker.gone === null ? "" : model.raw ? "This process is gone." : "Nothing was heard yet.");
      skewRows.update(model.skew.filter((one) => one.pid === pid), ({ what }) => what);
      factRows.update(worker ? factsOf(worker) : [], ([name]) => name);
      showRequests(inProgress(model).filter((request) => request.pid === pid), worker?.gone === null ? worker.data.in_flight : 0);
      const known = endsOf(pid, model);
      endsTitle.hidden = !known.length;
      endRows.update(known, ({ time, text }) => `${time} ${text}`);
      charts.timeline.events = model.events;
      charts.take(worker, model.raw);
    },
    close: () => charts.close(),
  };
}

function factsOf(worker) {
  const { data } = worker;
  return Object.entries(FACTS).map(([name, textOf]) => [name, textOf({ worker, data, last: lastMinute(data) }) ?? UNKNOWN]);
}

/** Events and post-mortems that name this process, the newest first; a death that both tell is told once. */
export function endsOf(pid, { events, postMortems }) {
  const named = events.filter((event) => event.pid === pid);
  const dead = named.some(({ kind }) => kind === "death")
    ? []
    : postMortems.filter((entry) => entry.pid === pid).map(({ time, cause }) => ({ kind: "death", time: instant(time), text: `died (${cause ?? "unknown"})` }));
  return [...named, ...dead].sort((one, other) => other.time - one.time);
}

/** Its charts: what the daemon has kept, then what messages bring. They have a timeline of their own. */
class WorkerCharts {
  constructor(parent, pid, ask, theme) {
    this.theme = theme;
    this.history = new History();
    this.history.interval = STEP;
    this.timeline = new Timeline(this.history, () => this.changed());
    this.cards = CHARTS.map((one) => new Card(one, this.timeline));
    parent.append(...this.cards.map(({ element }) => element));
    this.last = null; // {time, data} of the point before
    const now = Date.now() / 1000;
    ask(`api/v1/workers?pid=${pid}&from=${Math.floor(now - SPAN)}&to=${Math.ceil(now)}`, (answer) => this.#load(answer, pid));
  }

  #load({ columns, workers }, pid) {
    const points = workers.find((worker) => worker.pid === pid)?.points ?? [];
    this.history.load({ columns, points, interval_seconds: STEP, latency: { bounds_ms: [], counts: points.map(() => []) } });
    this.changed();
  }

  /** Note how the worker is now. */
  take(worker, raw) {
    if (!worker || worker.gone !== null || !raw) return;
    const { data } = worker;
    const time = instant(raw.timestamp);
    const { last } = this;
    if (last?.data === data || time <= (last?.time ?? 0)) return;
    const perSecond = (field) => (last ? Math.max(0, data[field] - last.data[field]) / (time - last.time) : null);
    const errors = { server_errors_per_second: perSecond("server_errors"), client_errors_per_second: perSecond("client_errors") };
    this.last = { time, data };
    this.history.add(Object.fromEntries(COLUMNS.map((name) => [name, { time, ...errors, ...data }[name] ?? null])), null);
    this.changed();
  }

  changed() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      finish(drawCards(this.cards, this.theme()));
    });
  }

  close() {
    cancelAnimationFrame(this.frame);
    this.frame = -1; // nothing is drawn any more
  }
}
