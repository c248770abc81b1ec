/** The longest requests in progress: what they ask for, since when, in which worker, and where in the code they stand. */

import { Rows, make, mark, say } from "./dom.js";
import { count, duration, exact, shortDuration } from "./format.js";
import { lead, makeLink } from "./names.js";
import { ageOf, frameText, placeOf } from "./requests.js";

/** Kinds of clients that a thread or a connection waits for, in words: of one, and of many. */
const WAITING = {
  silent: ["connection that sends nothing", "connections that send nothing"],
  half_head: ["half-sent request head", "half-sent request heads"],
  half_body: ["half-sent request body", "half-sent request bodies"],
  unread: ["client that doesn't read its response", "clients that don't read their response"],
  idle: ["connection kept open between requests", "connections kept open between requests"],
};

/** Clients that the server waits for, those kinds that there are. @returns {string} empty where there is none */
export const waitingText = (clients) =>
  Object.entries(WAITING)
    .filter(([kind]) => clients[kind] > 0)
    .map(([kind, [one, many]]) => `${count(clients[kind])} ${clients[kind] === 1 ? one : many}`)
    .join(" · ");

/** @param {import("./panel.js").Panels} panels @returns {{view: (model: any) => void, tick: (now: number) => void}} `tick` lets the ages go on between messages */
export function addLongest(section, panels) {
  const [aside, empty, waiting] = [".aside", ".empty", ".waiting"].map((name) => section.querySelector(name));
  const rows = new Rows(section.querySelector("ol"), () => createRow(panels), fillRow);
  let requests = [];
  const tick = (now) => requests.forEach((request) => say(rows.rows.get(request.id).children[0], shortDuration(ageOf(request, now))));
  const view = ({ raw, longest, now }) => {
    if (!raw) return;
    requests = longest ?? [];
    rows.update(requests, ({ id }) => id);
    tick(now());
    empty.hidden = requests.length > 0;
    say(empty, longest ? "No request is in progress." : "This daemon does not tell which requests take longest.");
    const all = raw.requests.in_flight;
    say(aside, all > requests.length ? `${requests.length} of ${count(all)} in progress` : `${count(all)} in progress`);
    const text = raw.waiting_clients ? waitingText(raw.waiting_clients) : "";
    say(waiting, text ? `The server waits for: ${text}` : raw.waiting_clients ? "The server waits for no client." : "");
    mark(waiting, "title", text || null);
  };
  return { view, tick };
}

function createRow(panels) {
  const who = makeLink(panels);
  who.className = "who";
  return make("li", {}, make("b"), make("span", { class: "what" }), who, createStack(), make("span", { class: "where" }));
}

function createStack() {
  const list = make("ol");
  const details = make("details", {}, make("summary"), make("p"), list);
  details.frames = new Rows(list, () => make("li"), (row, text) => say(row, text));
  return details;
}

function fillRow(row, request) {
  const [, what, who, details, where] = row.children;
  if (row.request !== request.id) details.open = false; // the row was another request's before
  row.request = request.id;
  mark(row.children[0], "title", `${exact(request.age_seconds)} s when last heard`);
  say(what, `${request.method} ${request.path}`);
  mark(what, "title", `${request.method} ${request.path}`);
  say(who, `worker ${request.pid}`);
  lead(who, "worker", request.pid);
  const place = placeOf(request.stack);
  details.hidden = !place;
  where.hidden = Boolean(place);
  say(where, typeof request.stack_age_seconds === "number" ? "its event loop is waiting" : "not looked at yet");
  if (!place) return;
  say(details.children[0], frameText(place));
  mark(details.children[0], "title", frameText(place, true));
  const age = request.stack_age_seconds;
  say(details.children[1], `Stack${typeof age === "number" ? ` of ${duration(age)} ago` : ""}, the innermost call first`);
  details.frames.update(request.stack.map((frame) => frameText(frame, true)), (_, i) => i);
}
