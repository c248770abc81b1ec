/** Names on the page, and links to the panel of what they name: how a name begins and how it ends stays visible. */

import { make, mark, say } from "./dom.js";
import { halves } from "./format.js";

/** Let the element show a name, in two parts of which the first gives way where there is no room; whole it is in the title. */
export function sayName(element, name, title = name) {
  mark(element, "title", title);
  if (element.named === name) return;
  element.named = name;
  if (element.children.length !== 2) {
    element.classList.add("parts");
    element.replaceChildren(make("span"), make("span"));
  }
  const [start, end] = halves(name);
  say(element.firstChild, start);
  say(element.lastChild, end);
  element.lastChild.hidden = !end;
}

/** A link that shows the panel of what it is told to lead to, see `lead`; by its address it can be opened in a tab of its own. */
export function makeLink(panels, ...children) {
  const link = make("a", {}, ...children);
  link.addEventListener("click", (event) => {
    event.stopPropagation();
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    panels.open(...link.leads);
  });
  return link;
}

/** Let the link lead to the panel of that. @param {string} key of the address @param {string | number} value */
export function lead(link, key, value) {
  link.leads = [key, value];
  mark(link, "href", `#${key}=${encodeURIComponent(value)}`);
}
