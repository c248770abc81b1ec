/** What is asked for once, over HTTP: history, pins, events, all of the own metrics. The messages bring the rest. */

export class Load {
  /**
   * @param {import("./model.js").Model} model that takes it @param {typeof fetch} fetch with the token
   * @param {() => void} changed
   */
  constructor(model, fetch, changed) {
    this.model = model;
    this.fetch = fetch;
    this.changed = changed;
  }

  history() {
    this.get("api/v1/history", (answer) => this.model.history.load(answer));
  }

  pins() {
    this.model.own.lacksPoints = false;
    this.get("api/v1/pins", (answer) => this.model.own.load(answer));
  }

  allOwn() {
    this.get("api/v1/snapshot?detail=1", (answer) => this.model.own.know(answer.own ?? []));
  }

  events() {
    this.model.lacksEvents = false;
    this.get(`api/v1/events?after=${this.model.newestEvent}`, ({ events, newest }) => this.model.takeEvents(events, newest));
  }

  /** What the daemon answers there; where it doesn't, the state of the connection says so already. */
  async get(path, take) {
    try {
      const answer = await this.fetch(path, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      take(await answer.json());
      this.changed();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }
}
