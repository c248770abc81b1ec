/** Text for the clipboard, or for a file; where the browser allows neither, text to be copied by hand. */

import { make } from "./dom.js";

const TOLD = 4000; // ms that a success is told

export class Copier {
  /** @param {{navigator: Navigator, document: Document}} [world] */
  constructor(world = globalThis) {
    this.world = world;
  }

  /**
   * Copy, and say in `note` what became of it. A page without TLS has no clipboard, and browsers may refuse it.
   * @param {string} text @param {string} what it is: a word
   */
  async copy(text, what, note) {
    if ((await this.#write(text)) || this.#copySelected(text)) return this.#tell(note, `${what} copied.`);
    const area = make("textarea", { readonly: true, rows: "5", "aria-label": `${what}, to be copied` });
    area.value = text;
    const close = make("button", { type: "button", text: "Close" });
    close.addEventListener("click", () => note.replaceChildren());
    note.replaceChildren(make("p", { role: "status", text: "This browser lets no page copy: press Ctrl+C, or ⌘C." }), area, close);
    area.focus();
    area.select();
    area.scrollTop = 0;
  }

  /** Save it as a file. */
  save(text, name, type, note) {
    const { document } = this.world;
    const url = URL.createObjectURL(new Blob([text], { type }));
    const link = make("a", { href: url, download: name, hidden: true });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), TOLD);
    this.#tell(note, `${name} saved.`);
  }

  async #write(text) {
    try {
      await this.world.navigator.clipboard.writeText(text);
      return true;
    } catch {
      return false; // there is none, or it was refused
    }
  }

  /** The old way, which asks for no permission, and works without TLS. */
  #copySelected(text) {
    const { document } = this.world;
    const before = document.activeElement;
    const area = make("textarea", { readonly: true, class: "hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    let isDone = false;
    try {
      isDone = document.execCommand("copy");
    } catch {
      // then by hand
    }
    area.remove();
    before?.focus({ preventScroll: true });
    return isDone;
  }

  #tell(note, text) {
    const line = make("p", { role: "status" });
    note.replaceChildren(line);
    line.append(text); // after it is there: a status that comes with its text is not told
    setTimeout(() => line.remove(), TOLD);
  }
}
