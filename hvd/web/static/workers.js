/** The workers: how each is, what it did in the last minute, what it does now, and which differ from the others. */

import { Rows, make, mark, say } from "./dom.js";
import { count, duration, exact, exactSize, instant, milliseconds, percent, rate, size } from "./format.js";
import { lead, makeLink, sayName } from "./names.js";
import { Table, text } from "./table.js";
import { when } from "./when.js";

/** What it did in the last minute; of a daemon of the version before, what it did in the last interval. */
export const lastMinute = ({ last_minute: minute, ...data }) =>
  minute === undefined ? { ...data, requests: null, errors: null } : (minute ?? {});

const minute = (name, field, form, title, { exactly = (value) => exact(value), stateOf: look = () => null } = {}) => ({
  name,
  title,
  number: true,
  class: field.split("_")[0],
  sort: ({ data }) => lastMinute(data)[field],
  fill: (cell, { data, gone }) => {
    const value = gone === null ? lastMinute(data)[field] : null;
    text(cell, form(value), exactly(value));
    mark(cell, "data-state", look(value));
  },
});

const COLUMNS = (panels) => [
  {
    name: "Worker",
    class: "main",
    sort: ({ data }) => data.slot,
    create: (cell) => cell.append(makeLink(panels)),
    fill: (cell, { pid, data }) => {
      lead(cell.firstChild, "worker", pid);
      say(cell.firstChild, `${pid}${data.kind === "joined" ? " joined" : ""}`);
    },
  },
  { name: "State", class: "state", sort: (worker) => stateOf(worker).slice(2), fill: showState },
  { name: "Age", number: true, class: "age", sort: ({ data }) => data.age_seconds, fill: (cell, { data }) => text(cell, duration(data.age_seconds, 2), started(data)) },
  minute("Req/s", "requests_per_second", rate, "Requests a second, in the last minute"),
  minute("5xx", "server_errors", count, "Responses that are errors of the service, in the last minute", { stateOf: (n) => (n ? "bad" : "none") }),
  minute("4xx", "client_errors", count, "Responses that are errors of the client, in the last minute", { stateOf: (n) => (n ? null : "none") }),
  minute("CPU", "cpu_percent", percent, "Of one core, in the last minute"),
  minute("Memory", "memory_bytes", size, "That this process alone would free", { exactly: exactSize }),
  { name: "Does now", class: "doing", sort: ({ data }) => oldest(data)?.age_seconds, number: false, create: createDoing, fill: showDoing },
];

/** One that is new is marked, one that ended is shown so for a moment. */
export function addWorkers(section, panels) {
  const table = new Table(section, {
    title: "Workers",
    none: "No worker is known yet.",
    columns: COLUMNS(panels),
    row: (row, { pid, gone, isNew, skew }) => {
      mark(row, "data-state", gone === null ? (isNew ? "new" : skew.length ? "skewed" : null) : "gone");
      mark(row, "aria-current", panels.address.get("worker") === String(pid) ? "true" : null);
    },
    open: ({ pid }) => panels.open("worker", pid),
  });
  table.scroll.classList.add("stacked", "workers");
  panels.address.follow((keys) => keys.has("worker") && table.redraw());
  const list = make("ul", { class: "skew", "aria-label": "Workers that differ from the others" });
  table.note.before(list);
  const skewed = new Rows(list, () => make("li", {}, make("span", { "aria-hidden": "true", text: "▲ " }), makeLink(panels)), (row, { pid, text: sentence }) => {
    lead(row.lastChild, "worker", pid);
    say(row.lastChild, sentence);
  });
  return function* view(model) {
    const workers = model.shownWorkers();
    const alive = workers.filter(({ gone }) => gone === null);
    const restarts = model.restarts === null ? "" : ` · ${count(model.restarts)} restart${model.restarts === 1 ? "" : "s"}`;
    const joined = alive.filter(({ data }) => data.kind === "joined").length;
    const kind = model.service.workerClass ? ` · ${model.service.workerClass}` : "";
    say(table.aside, `${alive.length - joined} alive${kind}${joined ? ` · ${joined} joined` : ""}${restarts}`);
    skewed.update(model.skew, ({ pid, what }) => `${pid} ${what}`);
    yield* table.parts(workers.map((worker) => ({ ...worker, skew: model.skew.filter(({ pid }) => pid === worker.pid) })), ({ pid }) => pid);
  };
}

export function stateOf({ gone, isNew, data }) {
  if (gone !== null) return "✕ gone";
  if (isNew) return "✦ new";
  return data.in_flight ? "▶ busy" : "○ idle";
}

function showState(cell, worker) {
  const isSkewed = worker.gone === null && worker.skew.length > 0;
  text(cell, `${stateOf(worker)}${isSkewed ? " ▲" : ""}`, isSkewed ? worker.skew.map((skew) => skew.text).join("\n") : null);
}

export const started = ({ started_at: at, age_seconds: age }) => `${exact(age)} s${at ? `, since ${when(instant(at))}` : ""}`;

const oldest = ({ busy }) => busy.reduce((most, request) => (request.age_seconds > (most?.age_seconds ?? -1) ? request : most), null);

function createDoing(cell) {
  cell.append(make("span", { class: "cut" }, make("span"), make("span", { class: "more" })));
}

/** The request that takes longest, and how many more; those that take longest in the title. */
function showDoing(cell, { data, gone }) {
  const [name, more] = cell.firstChild.children;
  const request = gone === null ? oldest(data) : null;
  mark(cell, "data-state", request ? null : "none");
  if (!request) {
    sayName(name, gone === null && data.in_flight ? `${data.in_flight} in progress` : "–", null);
    return say(more, "");
  }
  const texts = [...data.busy].sort((one, other) => other.age_seconds - one.age_seconds).map(inWords);
  sayName(name, `${request.method} ${request.path}`, texts.join("\n"));
  say(more, ` ${milliseconds(request.age_seconds * 1000)}${data.in_flight > 1 ? `, ${count(data.in_flight - 1)} more` : ""}`);
}

const inWords = ({ method, path, age_seconds: age }) => `${method} ${path} ${milliseconds(age * 1000)}`;
