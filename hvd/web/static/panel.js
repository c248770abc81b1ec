/** The panel: one thing in detail, beside the page where there is room, else over it. It has an address that can be sent. */

import { make, mark, say } from "./dom.js";

const BESIDE = "(min-width: 1280px)"; // as in panels.css: there is room for both

/**
 * @typedef {{title: string, build: (body: HTMLElement) => {update: (model: any) => void, close?: () => void}}} Content
 *   `build` fills the body once; `update` is called at once and with each news, `close` when the panel is closed
 */

export class Panels {
  /**
   * @param {HTMLElement} element an empty <div> @param {import("./address.js").Address} address
   * @param {() => void} changed asks for a frame, in which `update` is called
   */
  constructor(element, address, changed) {
    this.element = element;
    this.address = address;
    this.changed = changed;
    /** @type {Map<string, (value: string) => Content>} by the key that the address has */
    this.kinds = new Map();
    this.shown = null; // {key, value, content}
    this.opener = null; // what had the focus, and where it leads
    this.led = null;
    this.title = make("h2", { id: "panel-title", tabindex: "-1" });
    this.button = make("button", { type: "button", class: "close", "aria-label": "Close", title: "Close (Esc)" }, "✕");
    this.body = make("div", { class: "body" });
    element.append(make("div", { class: "head" }, this.title, this.button), this.body);
    this.button.addEventListener("click", () => this.close());
    element.ownerDocument.addEventListener("keydown", (event) => this.#key(event));
    const beside = matchMedia(BESIDE);
    beside.addEventListener("change", () => this.#place(beside.matches));
    this.beside = beside;
    address.follow(() => this.follow());
  }

  /** A kind of panel: `contentOf` makes that of a value of `key` in the address. @param {(value: string) => Content} contentOf */
  add(key, contentOf) {
    this.kinds.set(key, contentOf);
  }

  /** Show that of `key`, as a link to it would. @param {string | number} value */
  open(key, value) {
    const others = [...this.kinds.keys()].filter((other) => other !== key);
    this.address.set({ ...Object.fromEntries(others.map((other) => [other, null])), [key]: value });
  }

  close() {
    this.address.set(Object.fromEntries([...this.kinds.keys()].map((key) => [key, null])));
  }

  /** Show what the address says; called once all kinds are added. */
  follow() {
    const key = [...this.kinds.keys()].find((known) => this.address.get(known));
    const value = key && this.address.get(key);
    if (this.shown?.key === key && this.shown?.value === value) return;
    const wasOpen = Boolean(this.shown);
    this.shown?.content.close?.();
    this.shown = null;
    this.body.replaceChildren();
    if (key) this.#show(key, value, wasOpen);
    else if (wasOpen) this.#leave();
  }

  /** What is shown, with what is known now. */
  update(model) {
    if (!this.shown) return;
    this.shown.isFilled = true;
    this.shown.content.update(model);
  }

  /** The same on a page that is paused: only what was opened meanwhile, or got an answer that it has asked for. */
  fill(model) {
    if (this.shown && !this.shown.isFilled) this.update(model);
  }

  /** What is shown has got an answer that it has asked for. */
  renew() {
    if (this.shown) this.shown.isFilled = false;
  }

  #show(key, value, wasOpen) {
    const { title, build } = this.kinds.get(key)(value);
    const { activeElement } = this.element.ownerDocument;
    if (!wasOpen) [this.opener, this.led] = [activeElement, leadsTo(activeElement)];
    say(this.title, title);
    mark(this.title, "title", title);
    this.element.hidden = false;
    this.shown = { key, value, content: build(this.body) };
    this.body.scrollTop = 0;
    this.#place(this.beside.matches);
    this.title.focus({ preventScroll: true });
    this.changed();
  }

  #leave() {
    this.element.hidden = true;
    this.#place(true);
    const { opener } = this;
    this.opener = null;
    // a row may be gone meanwhile, or be another's
    const { body } = this.element.ownerDocument;
    const isSame = opener && opener !== body && leadsTo(opener) === this.led;
    const isThere = isSame && opener.isConnected && opener.checkVisibility();
    (isThere ? opener : body.querySelector("main")).focus({ preventScroll: true });
    this.changed();
  }

  /** Over the page, nothing else of it is reached. */
  #place(isBeside) {
    const isOver = !isBeside && Boolean(this.shown);
    mark(this.element.ownerDocument.body, "data-panel", this.shown ? (isOver ? "over" : "beside") : null);
    mark(this.element, "role", isOver ? "dialog" : "complementary");
    mark(this.element, "aria-modal", isOver ? "true" : null);
    for (const other of this.element.parentElement.children) if (other !== this.element) other.inert = isOver;
  }

  #key(event) {
    if (event.key !== "Escape" || event.defaultPrevented || !this.shown) return;
    if (event.target.matches?.("input, canvas") && !this.element.contains(event.target)) return; // it means something else there
    event.preventDefault();
    this.close();
  }
}

const leadsTo = (element) => element?.getAttribute?.("href") ?? null;
