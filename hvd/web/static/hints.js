/** What a title says on hover, such as the exact number, for those without a mouse: by a touch, and where the focus is. */

import { make, say } from "./dom.js";

/** @param {Document} page */
export function addHints(page) {
  const hint = make("p", { class: "told", role: "status" });
  page.body.append(hint);
  const show = (element) => {
    const title = element?.getAttribute("title") ?? "";
    say(hint, title === element?.textContent ? "" : title);
  };
  page.addEventListener("pointerup", ({ pointerType, target }) => {
    if (pointerType !== "mouse") show(target.closest?.("[title]:not(button, a, input)"));
  });
  page.addEventListener("focusin", ({ target }) => show(target.matches?.("[title]:focus-visible:not(button)") ? target : null));
  page.addEventListener("keydown", ({ key }) => key === "Escape" && show(null));
  for (const event of ["focusout", "scroll"]) page.addEventListener(event, () => show(null), { capture: true, passive: true });
}
