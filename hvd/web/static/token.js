/** The token that the daemon asks for: kept for this tab alone, and never part of an address, which histories and logs keep. */

import { say } from "./dom.js";

const PROTOCOL = "hvd"; // of /ws, which the daemon agrees on
const BEARER = "hvd.bearer."; // and the token, since a browser's WebSocket can have no header

export class Token {
  /**
   * @param {{getItem: any, setItem: any, removeItem: any}} storage of this tab
   * @param {string} name of the token in it
   * @param {{asked: (why: string) => void, given: () => void}} listener `asked`: the daemon wants a token, or another
   *   one; `given`: there is one now
   * @param {{fetch: typeof fetch}} [world]
   */
  constructor(storage, name, listener, world = globalThis) {
    this.storage = storage;
    this.name = name;
    this.listener = listener;
    this.world = world;
    this.text = this.#kept();
    this.isRefused = false; // the last one that was given: what is asked without one meanwhile doesn't change that
  }

  /** As `fetch`, with the token. Where the daemon refuses it, another one is asked for. */
  async fetch(path, options = {}) {
    const { text } = this;
    const headers = text ? { ...options.headers, Authorization: `Bearer ${text}` } : options.headers;
    const answer = await this.world.fetch(path, { ...options, headers });
    const challenge = answer.headers.get("WWW-Authenticate") ?? "";
    // not for another server's challenge, nor for a token that was replaced meanwhile
    if (!challenge.startsWith("Bearer") || text !== this.text) return answer;
    if (answer.status === 401) {
      this.isRefused ||= text !== "";
      this.#keep("");
      this.listener.asked(this.isRefused ? "The daemon has refused this token." : "The daemon asks for a token.");
    } else if (answer.status === 403) this.listener.asked("That needs a token of another scope.");
    return answer;
  }

  /** Ask for a change there -> null, or the refusal: its status, and the reason in words. */
  async ask(method, path) {
    return (await this.send(method, path)).refusal;
  }

  /** The same -> with the JSON that was answered, null where there is none. */
  async send(method, path, headers = {}) {
    try {
      const answer = await this.fetch(path, { method, headers: { Accept: "application/json", ...headers } });
      const type = answer.headers.get("Content-Type") ?? "";
      const body = /^application\/(problem\+)?json/.test(type) ? await answer.json() : null;
      if (answer.ok) return { answer: body, refusal: null };
      const isOurs = type.startsWith("application/problem+json");
      const why = isOurs ? body.detail : `a server in between answered ${answer.status}.`;
      return { answer: null, refusal: { status: answer.status, why: why ?? `the answer was ${answer.status}.` } };
    } catch {
      return { answer: null, refusal: { status: 0, why: "the daemon can't be reached." } };
    }
  }

  /** What to offer as subprotocols of the WebSocket. */
  get protocols() {
    if (!this.text) return [];
    const quoted = encodeURIComponent(this.text).replace(/[()]/g, (each) => `%${each.charCodeAt(0).toString(16)}`);
    return [PROTOCOL, BEARER + quoted];
  }

  /** Use this one from now on. */
  use(text) {
    this.isRefused = false;
    this.#keep(text);
    this.listener.given();
  }

  #kept() {
    try {
      return this.storage.getItem(this.name) ?? "";
    } catch {
      return ""; // a browser may forbid it
    }
  }

  #keep(text) {
    this.text = text;
    try {
      if (text) this.storage.setItem(this.name, text);
      else this.storage.removeItem(this.name);
    } catch {
      // then it is kept until the page is left
    }
  }
}

/** What keeps the token; a browser may forbid it, with an error at the mere name. */
export function sessionStorageOrNone() {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

/** Have the form ask for it -> shows the form, with the reason, or hides it where there is none. */
export function addTokenForm(form, use) {
  const input = form.querySelector("input");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = input.value.trim();
    input.value = "";
    if (text) use(text);
  });
  return (why) => {
    say(form.querySelector("p"), why ?? "");
    form.hidden = !why;
  };
}
