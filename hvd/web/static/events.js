/** Alerts, and what processes that died were doing. */

import { Rows, make, mark, say } from "./dom.js";
import { day, instant, milliseconds } from "./format.js";
import { frameText, placeOf } from "./requests.js";

/** @param {HTMLElement} section of a fixed height: what comes and goes in it moves nothing else */
export function addEvents(section) {
  const item = () => make("li", {}, make("span", { class: "when" }), make("span", { class: "what" }));
  const rows = new Rows(section.querySelector("ul"), item, (row, event) => {
    say(row.children[0], event.when);
    say(row.children[1], event.what);
    mark(row, "data-state", event.state);
    mark(row, "title", event.title);
  });
  const empty = section.querySelector(".empty");
  return ({ raw, alerts, postMortems }) => {
    if (!raw) return;
    const current = [...raw.alerts, ...alerts].map(alertOf);
    const dead = postMortems.slice(0, 5).map(deathOf);
    empty.hidden = current.length + dead.length > 0;
    say(empty, "No alert, and no process has died at work.");
    say(section.querySelector(".aside"), [current.length && `${current.length} alerts`, postMortems.length && `${postMortems.length} died at work`].filter(Boolean).join(" · "));
    rows.update([...current, ...dead], (_, i) => i);
  };
}

const alertOf = (alert) => ({
  state: "bad",
  when: alert.timestamp ? day(instant(alert.timestamp)) : "",
  what: `▲ ${typeof alert === "string" ? alert : (alert.message ?? alert.name ?? JSON.stringify(alert))}`,
  title: null,
});

/** A post-mortem in a line, and in the title each request with where in the code its thread stood. */
export function deathOf(entry) {
  const requests = entry.requests.map(({ method, path, age_seconds: age, stack = [] }) => {
    const place = placeOf(stack);
    return { text: `${method} ${path} (${milliseconds(age * 1000)}${place ? `, at ${frameText(place)}` : ""})`, stack };
  });
  const number = requests.length + (entry.requests_left_out ?? 0);
  const more = number > 1 ? `, and ${number - 1} more` : "";
  return {
    state: "dead",
    when: entry.time ? day(instant(entry.time)) : "",
    what: `✕ ${entry.kind ?? "process"} ${entry.pid} died (${entry.cause ?? "unknown"})${requests.length ? ` while serving ${requests[0].text}${more}` : ""}`,
    title: requests.flatMap(({ text, stack }) => [text, ...stack.map((frame) => `    ${frameText(frame, true)}`)]).join("\n") || null,
  };
}
