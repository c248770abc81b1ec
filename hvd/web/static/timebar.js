/** The heading over the charts: which time they show, where the cursor is, and buttons for the spans. */

import { make, mark, say } from "./dom.js";
import { clock } from "./format.js";

const SPANS = [["1 min", 60], ["5 min", 300], ["15 min", 900]];
const TITLES = new Map([[60, "Last minute"], [300, "Last 5 minutes"], [900, "Last 15 minutes"]]);

/** @param {import("./timeline.js").Timeline} timeline @returns {() => void} draws it, in each frame */
export function addTimebar(page, timeline) {
  const [title, cursor, reset, spans] = ["charts-title", "cursor", "reset", "spans"].map((id) => page.getElementById(id));
  for (const [text, span] of SPANS) {
    const button = make("button", { type: "button", value: span, text });
    button.addEventListener("click", () => timeline.show(span));
    spans.append(button);
  }
  reset.addEventListener("click", () => timeline.reset());
  return () => {
    const [from, to] = timeline.window();
    reset.hidden = !timeline.zoom;
    say(title, timeline.zoom ? `${clock(from)} to ${clock(to)}` : TITLES.get(timeline.span));
    say(cursor, timeline.cursor !== null ? `at ${clock(timeline.cursor)}` : timeline.end !== null ? `paused at ${clock(to)}` : "");
    for (const button of spans.children) mark(button, "aria-pressed", !timeline.zoom && Number(button.value) === timeline.span);
  };
}
