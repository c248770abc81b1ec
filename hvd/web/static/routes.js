/** The routes: how often, how fast, how well. */

import { make, mark, say } from "./dom.js";
import { count, errors, exact, milliseconds, rate } from "./format.js";
import { Table, text } from "./table.js";

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
