/** What the page knows: answers and messages go in, each view takes what it shows. Nothing of the page. */

import { Own } from "./own.js";
import { follow } from "./requests.js";

const MARKED = 10; // s that a new worker is marked, and one that is gone is still shown
const FORGOTTEN = 30; // s without news of a job, after which it is left out
const ALERTS = 20;
const EVENTS = 500; // that are kept: more than the daemon's ring holds

export class Model {
  /** @param {import("./history.js").History} history @param {() => number} now in s, from any start */
  constructor(history, now = () => performance.now() / 1000) {
    this.history = history;
    this.now = now;
    this.raw = null;
    this.version = "";
    /** By what people know the service; empty where the daemon doesn't tell. */
    this.service = { instance: "", app: "", workerClass: "", bind: "" };
    /** @type {number | null} s between two messages `metrics`; null where the daemon doesn't tell */
    this.interval = null;
    /** @type {string[]} what is wrong, of a daemon that says so once only, when a client connects */
    this.firstReasons = [];
    /** @type {import("./requests.js").Followed[] | null} the longest requests; null where the daemon doesn't tell */
    this.longest = [];
    /** @type {Map<number, {pid: number, seen: number, gone: number | null, isNew: boolean, data: any}>} */
    this.workers = new Map();
    this.restarts = null;
    this.routes = [];
    this.postMortems = [];
    this.alerts = [];
    /** @type {Map<string, {job: any, heard: number}>} */
    this.jobs = new Map();
    /** @type {any[]} what is different from the minute before, the biggest first */
    this.changes = [];
    /** @type {any[]} workers that differ from the others */
    this.skew = [];
    /** @type {any[]} starts, deaths, alerts …, the oldest first */
    this.events = [];
    this.newestEvent = 0; // sequence of the newest that is known
    this.lacksEvents = false; // the daemon has some that aren't known here
    this.own = new Own(history);
    this.heard = -Infinity; // when the last numbers came
  }

  /** Take an answer of api/v1/snapshot: all but the rates of workers and routes. */
  snapshot(answer) {
    const { workers, routes, post_mortems: postMortems, processes, ...raw } = answer;
    this.#take(raw);
    this.postMortems = postMortems ?? [];
    const known = new Map(this.routes.map((route) => [route.route, route]));
    this.routes = routes.map((route) => ({ ...known.get(route.route), ...route }));
    this.#meet(workers.map((worker) => ({ ...this.workers.get(worker.pid)?.data, ...worker })));
  }

  /**
   * Take a message of /ws; a type that isn't known is left alone.
   * @returns {boolean} true if a worker has ended: a new snapshot tells how
   */
  message({ type, data }) {
    if (type === "metrics") this.#take(data.raw);
    else if (type === "detail") return this.#detail(data);
    else if (type === "job_update") this.#job(data);
    else if (type === "jobs") data.jobs.forEach((job) => this.#job(job));
    else if (type === "alert") this.alerts = [data, ...this.alerts].slice(0, ALERTS);
    else if (type === "status") {
      this.version = data.version;
      this.firstReasons = data.reasons ?? [];
      this.interval = data.interval_seconds ?? null;
      this.service = { instance: data.instance ?? "", app: data.app ?? "", workerClass: data.worker_class ?? "", bind: data.bind ?? "" };
      if (data.columns) this.history.describe(data.columns);
    }
    return false;
  }

  /** What the daemon said last of its health; one of the version before has no word of its own for it on /ws. */
  get health() {
    const { raw } = this;
    const state = raw.health ?? raw.system_health;
    return [state, raw.reasons ?? (state === "healthy" ? [] : this.firstReasons)];
  }

  /** Workers by slot, those that are gone for a moment too. */
  shownWorkers() {
    const order = ({ data, gone }) => data.slot + (gone === null ? 0 : 0.5);
    return [...this.workers.values()].sort((one, other) => order(one) - order(other) || one.pid - other.pid);
  }

  #take(raw) {
    this.raw = raw;
    this.heard = this.now();
    this.longest = raw.longest_requests ? follow(this.longest ?? [], raw.longest_requests, this.heard) : null;
    raw.recent_jobs.forEach((job) => this.#job(job));
    for (const [id, { heard }] of this.jobs) if (this.heard - heard > FORGOTTEN) this.jobs.delete(id);
  }

  #job(job) {
    const known = this.jobs.get(job.id)?.job;
    const isOlder =
      known && (job.revision < known.revision || (job.revision === known.revision && job.progress < known.progress));
    this.jobs.set(job.id, { job: isOlder ? known : job, heard: this.now() });
  }

  /** Take events that are new, or told anew, the oldest first; `newest` is the sequence of the last one there is. */
  takeEvents(events, newest) {
    if (newest < this.newestEvent) this.events = []; // another daemon's: its block is a new one
    const known = new Map([...this.events, ...events].map((event) => [event.sequence, event]));
    if (events.length) this.events = [...known.values()].sort((one, other) => one.sequence - other.sequence).slice(-EVENTS);
    this.newestEvent = newest;
  }

  #detail({ workers, routes, restarts, point, latency, own = [], pinned = {}, changes = [], skew = [], events = [], newest_event: newest = 0 }) {
    this.changes = changes;
    this.skew = skew;
    const isNext = (events[0]?.sequence ?? newest + 1) <= this.newestEvent + 1;
    if (newest < this.newestEvent) this.takeEvents([], 0);
    if (events.length && isNext) this.takeEvents(events, newest);
    this.lacksEvents ||= newest > this.newestEvent;
    const died = this.restarts !== null && restarts > this.restarts;
    this.restarts = restarts;
    this.routes = routes;
    this.#meet(workers);
    if (point) this.history.add(point, latency);
    this.own.take(own, pinned, point);
    return died;
  }

  #meet(workers) {
    const now = this.now();
    const isFirst = !this.workers.size;
    const alive = new Set();
    for (const data of workers) {
      if (!data.pid) continue; // its slot is taken, and it is about to be forked
      alive.add(data.pid);
      const known = this.workers.get(data.pid);
      const seen = known?.seen ?? (isFirst ? -Infinity : now);
      const isNew = now - seen < MARKED || data.age_seconds < MARKED;
      this.workers.set(data.pid, { pid: data.pid, seen, gone: null, isNew, data });
    }
    for (const [pid, worker] of this.workers) {
      if (alive.has(pid)) continue;
      worker.gone ??= now;
      if (now - worker.gone > MARKED) this.workers.delete(pid);
    }
  }
}
