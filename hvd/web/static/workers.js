/** The workers: what each does. One that is new is marked, one that ended is shown so for a moment. */

import { mark, say } from "./dom.js";
import { count, duration, exact, exactSize, milliseconds, percent, rate, size } from "./format.js";
import { Table, text } from "./table.js";

export function addWorkers(section) {
  const table = new Table(section, {
    title: "Workers",
    none: "No worker is known yet.",
    columns: [
      { name: "PID", fill: (cell, { pid }) => text(cell, String(pid)) },
      { name: "State", fill: (cell, worker) => text(cell, stateOf(worker)) },
      { name: "Age", number: true, class: "spare", fill: (cell, { data }) => text(cell, duration(data.age_seconds, 2), started(data)) },
      { name: "Requests", number: true, fill: (cell, { data }) => text(cell, count(data.requests), `${count(data.errors)} errors`) },
      { name: "Per second", number: true, fill: (cell, { data, gone }) => text(cell, rate(gone === null ? data.requests_per_second : null)) },
      { name: "CPU", number: true, fill: (cell, { data }) => text(cell, percent(data.cpu_percent)) },
      { name: "Memory", number: true, fill: (cell, { data }) => text(cell, size(data.memory_bytes), exactSize(data.memory_bytes)) },
      { name: "Busy threads", class: "wide", fill: (cell, worker) => busy(cell, worker) },
    ],
    row: (row, { gone, isNew }) => mark(row, "data-state", gone === null ? (isNew ? "new" : null) : "gone"),
  });
  return (model) => {
    const workers = model.shownWorkers();
    const alive = workers.filter(({ gone }) => gone === null);
    const restarts = model.restarts === null ? "" : ` · ${count(model.restarts)} restart${model.restarts === 1 ? "" : "s"}`;
    say(table.aside, `${alive.length} alive${restarts}`);
    table.update(workers, ({ pid }) => pid);
  };
}

function stateOf({ gone, isNew, data }) {
  if (gone !== null) return "✕ gone";
  if (isNew) return "✦ new";
  return data.busy.length ? "▶ busy" : "○ idle";
}

const started = ({ started_at: at, age_seconds: age }) => `${exact(age)} s${at ? `, since ${at}` : ""}`;

/** How many, and the one that takes longest; all of them in the title. */
function busy(cell, { data, gone }) {
  const requests = [...data.busy].sort((one, other) => other.age_seconds - one.age_seconds);
  const texts = requests.map(({ method, path, age_seconds: age }) => `${method} ${path} ${milliseconds(age * 1000)}`);
  if (!texts.length || gone !== null) return text(cell, gone === null ? "0" : "–");
  const more = texts.length > 1 ? `, and ${texts.length - 1} more` : "";
  text(cell, `${texts.length}: ${texts[0]}${more}`, texts.join("\n"));
}
