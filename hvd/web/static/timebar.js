/** The heading over the charts: which time they show, where the cursor is, other spans, and copies of this one. */

import { chartsOf } from "./charts.js";
import { make, mark, say } from "./dom.js";
import { csvOf, lackOf, textOf } from "./excerpt.js";
import { between, moment } from "./when.js";

const SPANS = [["1 min", 60], ["5 min", 300], ["15 min", 900]];
const TITLES = new Map([[60, "Last minute"], [300, "Last 5 minutes"], [900, "Last 15 minutes"]]);

/**
 * @param {Document} page @param {import("./timeline.js").Timeline} timeline
 * @param {import("./address.js").Address} address @param {import("./copying.js").Copier} copier
 * @param {() => object[]} own the charts of the app's own metrics
 * @returns {() => void} draws it, in each frame
 */
export function addTimebar(page, timeline, address, copier, own) {
  const [title, cursor, reset, spans] = ["charts-title", "cursor", "reset", "spans"].map((id) => page.getElementById(id));
  for (const [text, span] of SPANS) {
    const button = make("button", { type: "button", value: span, text });
    button.addEventListener("click", () => timeline.show(span));
    spans.append(button);
  }
  reset.addEventListener("click", () => timeline.reset());
  const lack = make("p", { id: "lack", role: "status" });
  const note = make("div", { class: "copied" });
  spans.before(copies(page, timeline, copier, note, own));
  title.parentElement.after(lack, note);
  followAddress(timeline, address);
  return () => {
    const [from, to] = timeline.window();
    reset.hidden = !timeline.zoom;
    say(title, timeline.zoom ? between(from, to) : TITLES.get(timeline.span));
    say(cursor, timeline.cursor !== null ? `at ${moment(timeline.cursor)}` : timeline.end !== null ? `paused at ${moment(to)}` : "");
    say(lack, timeline.zoom ? lackOf(timeline.history, timeline.zoom) : "");
    for (const button of spans.children) mark(button, "aria-pressed", !timeline.zoom && Number(button.value) === timeline.span);
  };
}

/** Buttons that copy the span that is shown. */
function copies(page, timeline, copier, note, own) {
  const { history } = timeline;
  const linkTo = () => new URL(fragmentOf(timeline.window()), page.location.href).href;
  const text = () => {
    const [from, to] = timeline.window();
    const name = ["service", "host"].map((id) => page.getElementById(id).textContent).filter(Boolean).join(" on ");
    const charts = [...chartsOf(history.columns), ...own()];
    return textOf({ name: `hvd: ${name}`, link: linkTo(), history, charts, events: timeline.events, from, to });
  };
  const csv = () => csvOf(history, ...timeline.window(), own());
  const file = () => `hvd-${new Date(timeline.window()[0] * 1000).toISOString().slice(0, 19).replaceAll(":", "")}.csv`;
  const group = make("div", { id: "copies", class: "segmented", role: "group", "aria-label": "Copy what is shown" });
  for (const [label, title, act] of [
    ["Copy link", "A link to this span", () => copier.copy(linkTo(), "Link", note)],
    ["Copy text", "This span as text: least, mean and most of each chart, and what happened", () => copier.copy(text(), "Text", note)],
    ["Copy CSV", "All points of this span as CSV", () => copier.copy(csv(), "CSV", note)],
    ["Save CSV", "All points of this span as a file", () => copier.save(csv(), file(), "text/csv", note)],
  ]) {
    const button = make("button", { type: "button", text: label, title });
    button.addEventListener("click", act);
    group.append(button);
  }
  return group;
}

/** Whole seconds that hold all of a window. */
const secondsOf = ([from, to]) => ({ from: Math.floor(from), to: Math.ceil(to) });

function fragmentOf(window) {
  const { from, to } = secondsOf(window);
  return `#from=${from}&to=${to}`;
}

/** A zoom is in the address, and an address leads to its span. */
function followAddress(timeline, address) {
  let isOwn = false; // the change of the address that is told of
  const take = () => {
    const [from, to] = [address.number("from"), address.number("to")];
    timeline.fix(from !== null && to !== null && from < to ? [from, to] : null);
  };
  if (address.get("from") && address.get("to")) take();
  address.follow((keys) => {
    if (!isOwn && (keys.has("from") || keys.has("to"))) take();
  });
  timeline.addEventListener("span", () => {
    const { from, to } = timeline.zoom ? secondsOf(timeline.zoom) : { from: null, to: null };
    const wasZoomed = address.get("from") !== null;
    isOwn = true;
    // back leads out of a zoom, and not through each step of it
    address.set({ from, to }, { isStep: wasZoomed !== Boolean(timeline.zoom) });
    isOwn = false;
  });
}
