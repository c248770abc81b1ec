/** Requests in progress: which there are, of which route each is, and a list of them with where in the code they stand. */

import { Rows, make, mark, say } from "./dom.js";
import { duration, exact, isKnown, shortDuration } from "./format.js";
import { lead, makeLink, sayName } from "./names.js";
import { frameText, placeOf } from "./requests.js";

const LATER = 3; // s between two messages at most: one tells a request's age, the other one its stack

/** Those that the workers tell of, the longest first, each with its process and, where it is known, its stack. */
export function inProgress({ workers, longest }) {
  const left = new Set(longest ?? []);
  const requests = [];
  for (const { pid, gone, data } of workers.values()) {
    for (const request of gone === null ? data.busy : []) {
      const known = [...left].find((other) => isSame(other, { pid, ...request }));
      left.delete(known);
      requests.push({ pid, ...known, ...request, stack: known?.stack ?? [] });
    }
  }
  return [...requests, ...left].sort((one, other) => other.age_seconds - one.age_seconds);
}

const isSame = (one, other) =>
  one.pid === other.pid && one.path === other.path && one.method === other.method && Math.abs(one.age_seconds - other.age_seconds) < LATER;

const HOLES = /(\{[^}]*\}|<[^>]*>)/; // Falcon's, FastAPI's and Django's, Flask's
const ODD = /[.*+?^${}()|[\]\\]/g;

/** What the paths of a route look like, and how many holes it has. */
function patternOf(route) {
  const parts = route.split(HOLES);
  const texts = parts.map((part, i) => (i % 2 ? (part.includes("path") ? ".+" : "[^/]+") : part.replace(ODD, "\\$&")));
  return { pattern: new RegExp(`^${texts.join("")}/?$`), holes: (parts.length - 1) / 2 };
}

/** Whether requests with a path are this route's: not where another one names the path with fewer holes. @param {string[]} routes */
export function makeTest(route, routes) {
  const own = patternOf(route);
  const others = routes.filter((other) => other !== route).map(patternOf).filter(({ holes }) => holes < own.holes);
  return (path) => {
    const [plain] = path.split("?");
    return own.pattern.test(plain) && !others.some(({ pattern }) => pattern.test(plain));
  };
}

/** A list under the parent -> shows these requests. `panels`: each names its worker, with a link to its panel. */
export function addRequestList(parent, panels = null) {
  const [title, list] = [make("h3", { text: "In progress" }), make("ol", { class: "requests" })];
  const empty = make("p", { class: "none", text: "No request is in progress." });
  parent.append(title, list, empty);
  const rows = new Rows(list, () => createRow(panels), fillRow);
  return (requests, all = requests.length) => {
    const seen = new Map(); // there may be several of the same path in a worker
    rows.update(requests, ({ pid, method, path }) => {
      const key = `${pid} ${method} ${path}`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
      return `${key} ${seen.get(key)}`;
    });
    empty.hidden = requests.length > 0;
    say(title, all > requests.length ? `In progress: ${requests.length} of ${all}` : requests.length ? `In progress: ${requests.length}` : "In progress");
  };
}

function createRow(panels) {
  const frames = make("ol");
  const details = make("details", {}, make("summary"), make("p"), frames);
  details.frames = new Rows(frames, () => make("li"), (row, frame) => say(row, frameText(frame, true)));
  const worker = panels ? makeLink(panels) : make("span");
  return make("li", {}, make("b"), make("span", { class: "what" }), worker, details);
}

function fillRow(row, { method, path, pid, age_seconds: age, stack, stack_age_seconds: stackAge }) {
  const [time, what, worker, details] = row.children;
  say(time, shortDuration(age));
  mark(time, "title", `${exact(age)} s`);
  sayName(what, `${method} ${path}`);
  if (worker.matches("a")) {
    lead(worker, "worker", pid);
    say(worker, `worker ${pid}`);
  }
  const place = placeOf(stack);
  details.hidden = !place;
  if (!place) return;
  say(details.children[0], frameText(place));
  say(details.children[1], `Stack${isKnown(stackAge) ? ` of ${duration(stackAge)} ago` : ""}, the innermost call first`);
  details.frames.update(stack, (_, i) => i);
}
