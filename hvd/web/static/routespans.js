/** Of which span of time the routes are shown: the last minute, that of the charts, or since the totals began. Nothing of the page. */

const AGAIN = 10; // s: spans are counted in steps of so much
const PAUSE = 0.3; // s between two questions: keys that zoom come fast

export const MINUTE = "minute";
export const CHARTS = "charts";
export const START = "start";

/** Messages bring the last minute; the others are asked for, once where they end in the past, else every AGAIN s. */
export class RouteSpans {
  /**
   * @param {import("./timeline.js").Timeline} timeline
   * @param {(path: string, take: (answer: any) => void) => void} ask the daemon
   * @param {() => number} now in s
   */
  constructor(timeline, ask, now = () => Date.now() / 1000) {
    this.timeline = timeline;
    this.ask = ask;
    this.now = now;
    this.choice = this.before = MINUTE; // `before` while nothing was zoomed
    this.zoom = null;
    this.#forget();
  }

  choose(choice) {
    this.choice = choice;
    if (!this.zoom) this.before = choice;
    this.#forget();
    this.follow();
  }

  /** To be called in each frame. @returns {boolean} true where the choice is another now, as the charts were zoomed */
  follow() {
    const { zoom } = this.timeline;
    const isOther = Boolean(zoom) !== Boolean(this.zoom);
    this.zoom = zoom;
    if (isOther) this.choose(zoom ? CHARTS : this.before);
    else if (this.choice !== MINUTE && this.#isDue()) this.#ask();
    return isOther;
  }

  /** What is to be asked for; a span in whole seconds. */
  wanted() {
    if (this.choice === START) return "api/v1/routes?all=1";
    const [from, to] = this.timeline.window();
    return `api/v1/routes?from=${Math.floor(from)}&to=${Math.ceil(to)}`;
  }

  #forget() {
    this.answer = null; // the last one for this choice
    this.path = ""; // what was asked last
    this.asked = -Infinity; // when
  }

  /** True where an answer may say something new. */
  #isDue() {
    const age = this.now() - this.asked;
    const isFixed = this.choice === CHARTS && this.zoom;
    if (isFixed && this.wanted() !== this.path) return age >= PAUSE;
    const isOver = isFixed && this.zoom[1] < this.asked - AGAIN;
    return age >= AGAIN && !isOver;
  }

  #ask() {
    const path = (this.path = this.wanted());
    this.asked = this.now();
    this.ask(path, (answer) => {
      if (this.path === path) this.answer = answer;
    });
  }

  /**
   * The routes of the span, each with what changed of it; null while that isn't known yet.
   * @param {import("./model.js").Model} model
   */
  rows({ routes, changes }) {
    if (this.choice !== MINUTE) return this.answer && withChanges(this.answer.routes, this.answer.changes);
    // a daemon of the version before tells what there was since its start alone
    if (routes.length && routes[0].last_minute === undefined) return routes.map(sinceStart);
    return withChanges(routes.map(({ last_minute: last }) => last).filter(Boolean), changes);
  }
}

function withChanges(routes, changes = []) {
  return routes.map((route) => ({ ...route, changes: changes.filter((change) => change.route === route.route) }));
}

const ofHundreds = (statuses, digit) => Object.entries(statuses ?? {}).reduce((sum, [status, n]) => sum + (status[0] === digit ? n : 0), 0);

/** What there was of a route since the start, as a span. */
export function sinceStart(route) {
  const [client, server] = ["4", "5"].map((digit) => ofHundreds(route.statuses, digit));
  return {
    ...route,
    requests: route.count,
    client_errors: client,
    server_errors: server,
    client_error_rate: client / route.count,
    server_error_rate: server / route.count,
    seconds_spent: (route.mean_ms * route.count) / 1000,
    changes: [],
  };
}
