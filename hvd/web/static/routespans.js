/** Of which span of time the routes are shown: the last minute, that of the charts, or since the totals began. Nothing of the page. */

const AGAIN = 10; // s: spans are counted in steps of so much
const PAUSE = 0.3; // s between two questions: keys that zoom come fast

export const MINUTE = "minute";
export const CHARTS = "charts";
export const START = "start";

/** What the daemon answers of one span: asked once where the span has ended, else every AGAIN s. */
export class Asked {
  /**
   * @param {CHARTS | START} choice @param {import("./timeline.js").Timeline} timeline
   * @param {(path: string, take: (answer: any) => void) => void} ask the daemon
   * @param {() => number} now in s
   */
  constructor(choice, timeline, ask, now = () => Date.now() / 1000) {
    Object.assign(this, { choice, timeline, ask, now });
    this.answer = null; // the last one
    this.path = ""; // what was asked last
    this.time = -Infinity; // when
  }

  /** To be called in each frame. */
  follow() {
    if (!this.#isDue()) return;
    const path = (this.path = this.wanted());
    this.time = this.now();
    this.ask(path, (answer) => {
      if (this.path === path) this.answer = answer;
    });
  }

  /** What is to be asked for; a span in whole seconds. */
  wanted() {
    if (this.choice === START) return "api/v1/routes?all=1";
    const [from, to] = this.timeline.window();
    return `api/v1/routes?from=${Math.floor(from)}&to=${Math.ceil(to)}`;
  }

  /** True where an answer may say something new. */
  #isDue() {
    const age = this.now() - this.time;
    const zoom = this.choice === CHARTS ? this.timeline.zoom : null;
    if (zoom && this.wanted() !== this.path) return age >= PAUSE;
    return age >= AGAIN && !(zoom && zoom[1] < this.time - AGAIN);
  }
}

/** The span that was chosen. Messages bring the last minute, the others are asked for. */
export class RouteSpans {
  /** See Asked. */
  constructor(timeline, ask, now) {
    this.timeline = timeline;
    this.create = (choice) => (choice === MINUTE ? null : new Asked(choice, timeline, ask, now));
    this.choice = this.before = MINUTE; // `before` while nothing was zoomed
    this.asked = null;
    this.isZoomed = false;
  }

  choose(choice) {
    this.choice = choice;
    if (!this.isZoomed) this.before = choice;
    this.asked = this.create(choice);
    this.follow();
  }

  /** To be called in each frame. @returns {boolean} true where the choice is another now, as the charts were zoomed */
  follow() {
    const isOther = Boolean(this.timeline.zoom) !== this.isZoomed;
    this.isZoomed = Boolean(this.timeline.zoom);
    if (isOther) this.choose(this.isZoomed ? CHARTS : this.before);
    else this.asked?.follow();
    return isOther;
  }

  /** The last answer; null where there is none, and for the last minute. */
  get answer() {
    return this.asked?.answer ?? null;
  }

  /** The routes of the answer, each with what changed of it; null while that isn't known yet. */
  rows() {
    return this.answer && withChanges(this.answer.routes, this.answer.changes);
  }
}

/** The routes of the last minute, each with what changed of it. @param {import("./model.js").Model} model */
export function lastMinuteOf({ routes, changes }) {
  // a daemon of the version before tells what there was since its start alone
  if (routes.length && routes[0].last_minute === undefined) return routes.map(sinceStart);
  return withChanges(routes.map(({ last_minute: last }) => last).filter(Boolean), changes);
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
