/** Asks the daemon over HTTP, again and again, while its WebSocket is away or silent. */

const PERIOD = 2000; // ms between two questions
const TIMEOUT = 3000; // ms that an answer may take; what takes longer is no answer

const GATEWAY = [502, 503, 504]; // by which a server in between says that it doesn't reach the daemon

/** One question: a path that is asked at most once at a time. */
export class Question {
  /**
   * @param {string} path
   * @param {{answered: (body: any, asked: number) => void, failed: (why: string, asked: number) => void,
   *   odd: (what: string) => void}} listener
   *   `answered` by the daemon; `failed`: there was no answer; `odd`: there was one that isn't the daemon's. `asked` is
   *   when it was asked, in s of `performance.now()`
   * @param {{fetch: typeof fetch, AbortSignal: {timeout: (ms: number) => AbortSignal}, performance: {now: () => number}}} [world]
   */
  constructor(path, listener, world = globalThis) {
    this.path = path;
    this.listener = listener;
    this.world = world;
    this.isAsked = false;
    this.isWanted = false; // once more, as something has changed since it was asked
  }

  /** Ask, unless an answer is still to come; `anew` then asks again after it. */
  async ask(anew = false) {
    if (this.isAsked) {
      this.isWanted ||= anew;
      return;
    }
    this.isAsked = true;
    const tell = await this.#fetch();
    this.isAsked = false;
    if (this.isWanted) {
      this.isWanted = false;
      this.ask();
    }
    tell();
  }

  /** @returns {Promise<() => void>} what is to be told to the listener */
  async #fetch() {
    const { listener, path, world } = this;
    const asked = world.performance.now() / 1000;
    try {
      const signal = world.AbortSignal.timeout(TIMEOUT);
      const answer = await world.fetch(path, { headers: { Accept: "application/json" }, cache: "no-store", signal });
      if (answer.headers.get("Content-Type")?.startsWith("application/json")) {
        const body = await answer.json(); // with 503 too: that is how an unhealthy daemon says so
        return () => listener.answered(body, asked);
      }
      const what = `the answer to ${path} is ${answer.status}, and not from the daemon`;
      return () => (GATEWAY.includes(answer.status) ? listener.failed(what, asked) : listener.odd(what));
    } catch (error) {
      const why = error.name === "TimeoutError" ? `${path} has not answered within ${TIMEOUT / 1000} s` : `${path} can't be reached`;
      return () => listener.failed(why, asked);
    }
  }
}

/** Asks all of its questions every two seconds while it runs. */
export class Poll {
  /** @param {Question[]} questions */
  constructor(questions, world = globalThis) {
    this.questions = questions;
    this.world = world;
    this.timer = null;
  }

  get isRunning() {
    return this.timer !== null;
  }

  start() {
    if (this.isRunning) return;
    this.timer = this.world.setInterval(() => this.#round(), PERIOD);
    this.#round();
  }

  stop() {
    if (this.isRunning) this.world.clearInterval(this.timer);
    this.timer = null;
  }

  #round() {
    for (const question of this.questions) question.ask();
  }
}
