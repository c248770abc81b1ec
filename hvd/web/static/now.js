/** Now: the figures of the last minute in large, others in small, and the totals since the start as small print. */

import { make, mark, say } from "./dom.js";
import { FIGURES, SMALL, totalsOf } from "./figures.js";
import { UNKNOWN } from "./format.js";

/** A number, and its unit, which is smaller: `46` of `46 of 64`. */
const PARTS = /^(<?[\d.,]+(?: [kMGTP](?![a-z]))?|[^\d]*)(.*)$/;

/** @param {HTMLElement} section with two <dl>, and a line of small print */
export function addNow(section) {
  const [large, small] = section.querySelectorAll("dl");
  const print = section.querySelector(".print");
  const figures = Object.entries(FIGURES).map(([name, figureOf]) => {
    const [value, beside, change] = ["value", "beside", "change"].map((name) => make("dd", { class: name, text: " " }));
    value.append(make("span"), make("small"));
    large.append(make("div", {}, make("dt", { text: name }), value, beside, change));
    return { figureOf, value, beside, change };
  });
  const smalls = Object.entries(SMALL).map(([name, textsOf]) => {
    const value = make("dd", { text: UNKNOWN });
    const item = make("div", {}, make("dt", { text: name }), value);
    small.append(item);
    return { item, textsOf, value };
  });
  return ({ raw, events }) => {
    if (!raw) return;
    for (const figure of figures) showFigure(figure, figure.figureOf(raw));
    for (const { item, textsOf, value } of smalls) {
      const texts = textsOf(raw, events) || (item.isKnown && [UNKNOWN, null]); // what was there once keeps its place
      item.isKnown = Boolean(texts);
      item.hidden = !texts;
      if (!texts) continue;
      say(value, texts[0]);
      mark(value, "title", texts[1]);
      mark(value, "data-state", texts[2]);
    }
    const { text, title } = totalsOf(raw);
    say(print, text);
    mark(print, "title", title);
  };
}

function showFigure({ value, change, beside }, figure) {
  const [, number, unit] = PARTS.exec(figure.value);
  say(value.children[0], number);
  say(value.children[1], unit);
  mark(value, "title", figure.title ?? null);
  mark(value, "data-state", figure.state ?? null);
  change.hidden = !figure.change;
  say(change, figure.change ?? "");
  mark(change, "data-state", figure.changeState ?? null);
  say(beside, figure.beside);
}
