/** All that is known of one event, in a panel: of a death, what it used and what it was serving. */

import { Rows, make, say } from "./dom.js";
import { count, duration, exact, exactSize, size } from "./format.js";
import { fillGlyph, glyph, postMortemOf, requestText } from "./events.js";
import { endOf, kindOf, sentenceOf } from "./marks.js";
import { lead, makeLink } from "./names.js";
import { frameText } from "./requests.js";
import { between, moment, when } from "./when.js";

const AROUND = 60; // s before and after, of which other events are listed
const BEFORE = 240; // s before and after an event that the charts show of it
const AFTER = 60;

/** What there is to say of an event: names and values. `now` is 0 for what is read on another day. @returns {[string, string][]} */
export function factsOf(event, entry, now) {
  const { process, pid, cause, memory_bytes: memory, peak_bytes: peak, aborted, number, until, version, state, reasons, seconds } = event;
  const isDeath = event.kind === "death";
  const facts = [
    ["When", until > event.time ? between(event.time, until, now) : (now === 0 ? moment : when)(event.time, now)],
    ["Times", number > 1 ? exact(number) : ""],
    ["Process", [process ?? entry?.kind, pid && `pid ${pid}`].filter(Boolean).join(", ")],
    ["Cause", cause ?? ""],
    ["Exit", entry?.signal ?? (typeof entry?.exit_status === "number" ? `status ${entry.exit_status}` : "")],
    ["Memory", typeof memory === "number" ? `${size(memory)} when last looked at (${exactSize(memory)})` : isDeath ? "not known" : ""],
    ["Most memory", typeof peak === "number" ? `${size(peak)} ever (${exactSize(peak)})` : ""],
    ["Requests lost", isDeath ? count(aborted ?? entry?.aborted ?? 0) : ""],
    ["Lasted", seconds > 0 ? duration(seconds, 2) : ""],
    ["Version", version ?? ""],
    ["Health", state ?? ""],
    ["Because", (reasons ?? []).join("; ")],
  ];
  return facts.filter(([, value]) => value !== "");
}

/** An event as text, for whoever it is sent to. */
export function eventText(event, postMortems) {
  const entry = postMortemOf(event, postMortems);
  const requests = (entry?.requests ?? []).flatMap((request) => [
    `  ${requestText(request)}`,
    ...(request.stack ?? []).map((frame) => `      ${frameText(frame, true)}`),
  ]);
  return [
    `${kindOf(event).name}: ${sentenceOf(event)}`,
    ...factsOf(event, entry, 0).map(([name, value]) => `${name}: ${value}`),
    ...(requests.length ? ["Was serving:", ...requests] : []),
  ].join("\n");
}

/**
 * @param {import("./panel.js").Panels} panels @param {import("./model.js").Model} model
 * @param {import("./timeline.js").Timeline} timeline @param {{copy: (text: string, what: string, note: HTMLElement) => void}} copier
 */
export function addEventPanel(panels, model, timeline, copier) {
  timeline.addEventListener("open", ({ detail }) => panels.open("event", detail));
  panels.add("event", (value) => ({ title: titleOf(find(model, value)), build: (body) => build(body, value, { panels, model, timeline, copier }) }));
}

const find = (model, value) => model.events.find(({ sequence }) => sequence === Number(value));
const titleOf = (event) => (event ? kindOf(event).name : "Event");

function build(body, value, { panels, model, timeline, copier }) {
  const [sentence, missing, note] = [make("p", { class: "story" }), make("p"), make("div", { class: "note" })];
  const [facts, requests, others] = [make("dl", { class: "facts" }), make("ul", { class: "serving" }), make("ul", { class: "around" })];
  const [serving, around] = ["Was serving", "Around that time"].map((text) => make("h3", { text }));
  const button = (text, act) => {
    const element = make("button", { type: "button", text });
    element.addEventListener("click", () => act(find(model, value)));
    return element;
  };
  const tools = make("p", { class: "tools" },
    button("Show in the charts", ({ time }) => timeline.fix([time - BEFORE, Math.max(time + AFTER, endOf(find(model, value)) + AFTER)])),
    button("Copy link", () => copier.copy(location.href, "Link", note)),
    button("Copy as text", (event) => copier.copy(`${eventText(event, model.postMortems)}\n${location.href}`, "Text", note)),
  );
  const shape = glyph();
  sentence.append(shape, make("span"));
  body.append(missing, sentence, facts, tools, note, serving, requests, around, others);
  const factRows = new Rows(facts, () => make("div", {}, make("dt"), make("dd")), (row, texts) => texts.forEach((text, i) => say(row.children[i], text)));
  const requestRows = new Rows(requests, createRequest, fillRequest);
  const otherRows = new Rows(others, () => createOther(panels), fillOther);
  const update = () => {
    const event = find(model, value);
    for (const part of [sentence, facts, tools]) part.hidden = !event;
    missing.hidden = Boolean(event);
    say(missing, model.events.length ? `Event ${value} is not among those that the daemon keeps: the last ${count(model.events.length)}.` : "The daemon has not told of any event yet.");
    const entry = event && postMortemOf(event, model.postMortems);
    const near = event ? model.events.filter((other) => other !== event && Math.abs(other.time - event.time) <= AROUND) : [];
    serving.hidden = !entry?.requests.length;
    requestRows.update(entry?.requests ?? [], (_, i) => i);
    around.hidden = !near.length;
    otherRows.update(near, ({ sequence }) => sequence);
    if (!event) return;
    say(panels.title, titleOf(event));
    fillGlyph(shape, kindOf(event));
    say(sentence.lastChild, sentenceOf(event));
    factRows.update(factsOf(event, entry), ([name]) => name);
  };
  update();
  return { update };
}

function createRequest() {
  const list = make("ol");
  const details = make("details", {}, make("summary", { text: "Stack, the innermost call first" }), list);
  details.frames = new Rows(list, () => make("li"), (row, text) => say(row, text));
  return make("li", {}, make("span"), details);
}

function fillRequest(row, request) {
  const [text, details] = row.children;
  say(text, requestText(request));
  details.hidden = !request.stack?.length;
  details.frames.update((request.stack ?? []).map((frame) => frameText(frame, true)), (_, i) => i);
}

const createOther = (panels) => make("li", {}, makeLink(panels, glyph(), make("span")));

function fillOther(row, event) {
  const link = row.firstChild;
  lead(link, "event", event.sequence);
  fillGlyph(link.firstChild, kindOf(event));
  say(link.lastChild, `${moment(event.time)}: ${sentenceOf(event)}`);
}
