/** What `detail` messages bring: the workers, and what each does; the routes: how often, how fast, how well. */

import { make, mark, say } from "./dom.js";
import { count, duration, errors, exact, exactSize, instant, milliseconds, percent, rate, size } from "./format.js";
import { Table, text } from "./table.js";
import { when } from "./when.js";

/** One that is new is marked, one that ended is shown so for a moment. */
export function addWorkers(section) {
  const table = new Table(section, {
    title: "Workers",
    none: "No worker is known yet.",
    columns: [
      { name: "PID", fill: (cell, { pid, data }) => text(cell, `${pid}${data.kind === "joined" ? " joined" : ""}`) },
      { name: "State", fill: (cell, worker) => text(cell, stateOf(worker)) },
      { name: "Age", number: true, class: "spare", fill: (cell, { data }) => text(cell, duration(data.age_seconds, 2), started(data)) },
      { name: "Requests", number: true, fill: (cell, { data }) => text(cell, count(data.requests), `${count(data.errors)} errors`) },
      { name: "Per second", number: true, fill: (cell, { data, gone }) => text(cell, rate(gone === null ? data.requests_per_second : null)) },
      { name: "CPU", number: true, fill: (cell, { data }) => text(cell, percent(data.cpu_percent)) },
      { name: "Memory", number: true, fill: (cell, { data }) => text(cell, size(data.memory_bytes), exactSize(data.memory_bytes)) },
      { name: "In progress", class: "wide", fill: (cell, worker) => busy(cell, worker) },
    ],
    row: (row, { gone, isNew }) => mark(row, "data-state", gone === null ? (isNew ? "new" : null) : "gone"),
  });
  return (model) => {
    const workers = model.shownWorkers();
    const alive = workers.filter(({ gone }) => gone === null);
    const restarts = model.restarts === null ? "" : ` · ${count(model.restarts)} restart${model.restarts === 1 ? "" : "s"}`;
    const joined = alive.filter(({ data }) => data.kind === "joined").length;
    const kind = model.service.workerClass ? ` · ${model.service.workerClass}` : "";
    say(table.aside, `${alive.length - joined} alive${kind}${joined ? ` · ${joined} joined` : ""}${restarts}`);
    table.update(workers, ({ pid }) => pid);
  };
}

function stateOf({ gone, isNew, data }) {
  if (gone !== null) return "✕ gone";
  if (isNew) return "✦ new";
  return data.in_flight ? "▶ busy" : "○ idle";
}

const started = ({ started_at: at, age_seconds: age }) => `${exact(age)} s${at ? `, since ${when(instant(at))}` : ""}`;

/** How many, and the one that takes longest; those that take longest in the title. */
function busy(cell, { data, gone }) {
  const requests = [...data.busy].sort((one, other) => other.age_seconds - one.age_seconds);
  const texts = requests.map(({ method, path, age_seconds: age }) => `${method} ${path} ${milliseconds(age * 1000)}`);
  if (!texts.length || gone !== null) return text(cell, gone === null ? "0" : "–");
  const more = data.in_flight > 1 ? `, and ${data.in_flight - 1} more` : "";
  text(cell, `${data.in_flight}: ${texts[0]}${more}`, texts.join("\n"));
}

export function addRoutes(section, changed) {
  const ms = (name, field) => ({
    name,
    number: true,
    sort: (route) => route[field],
    fill: (cell, route) => text(cell, milliseconds(route[field]), `${exact(route[field])} ms`),
  });
  const table = new Table(section, {
    title: "Routes",
    none: "No request was answered yet.",
    sorted: [2, -1],
    columns: [
      { name: "Route", class: "wide", sort: ({ route }) => route, fill: (cell, { route }) => text(cell, route, route) },
      { name: "Methods", class: "spare", fill: (cell, { methods }) => text(cell, methods.join(" ")) },
      { name: "Count", number: true, sort: ({ count: n }) => n, fill: (cell, { count: n }) => text(cell, count(n)) },
      {
        name: "Per second",
        number: true,
        sort: ({ requests_per_second: n }) => n,
        fill: (cell, { requests_per_second: n }) => text(cell, rate(n), exact(n)),
      },
      {
        name: "Errors",
        number: true,
        sort: ({ errors: n }) => n,
        fill: (cell, route) => {
          text(cell, errors(route.errors, route.count), statuses(route));
          mark(cell, "data-state", route.errors ? "bad" : "none");
        },
      },
      ms("Mean", "mean_ms"),
      ms("p50", "p50_ms"),
      ms("p99", "p99_ms"),
    ],
  });
  const filter = make("input", { type: "search", placeholder: "Filter routes", "aria-label": "Filter routes", spellcheck: "false" });
  table.tools.append(filter);
  filter.addEventListener("input", changed);
  table.changed = changed;
  return (model) => {
    const wanted = filter.value.trim().toLowerCase();
    const routes = model.routes.filter(({ route }) => route.toLowerCase().includes(wanted));
    say(table.aside, wanted ? `${routes.length} of ${model.routes.length}` : `${model.routes.length}`);
    say(table.empty, model.routes.length ? `No route has “${filter.value.trim()}” in it.` : "No request was answered yet.");
    table.update(routes, ({ route }) => route);
  };
}

const statuses = ({ statuses: counts }) => Object.entries(counts ?? {}).map(([status, n]) => `${status}: ${count(n)}`).join("\n");
