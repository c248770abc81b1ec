/** The jobs that are listed: a page as the daemon has it, and what it tells of these jobs meanwhile. No elements. */

export const SIZE = 20; // jobs of a page
const PAUSE = 2000; // ms between two questions, however much happens
const OLD = 30000; // ms after which it is asked again, though nothing seems to have happened
const COUNTS = ["active", "pending", "completed", "failed", "cancelled"].map((name) => `jobs_${name}`);
const RANK = { running: 0, pending: 1 };

export const isOpen = ({ status }) => status in RANK;

const rank = ({ status }) => RANK[status] ?? 2;

/** What runs, what waits, then the newest: ids sort by the time of their making. */
const compare = (one, other) => rank(one) - rank(other) || (one.id < other.id ? 1 : -1);

/** The same job as it was heard of last. */
export const newer = (known, live) => (live && live.revision >= known.revision ? { ...known, ...live } : known);

/** Whether the daemon would list it, as hvd/jobs/database/listing.py has it. */
function matches(job, { status, kind, search }) {
  const text = search.toLowerCase();
  return (!status || job.status === status) && (!kind || job.kind === kind) && [job.name, job.kind, job.id].some((part) => part.toLowerCase().includes(text));
}

export class JobList {
  /**
   * @param {(path: string) => Promise<{status: number, body: any, why: string}>} ask the daemon; status 0 where it is away
   * @param {() => void} changed
   * @param {{performance: {now: () => number}, setTimeout: any, clearTimeout: any}} [world]
   */
  constructor(ask, changed, world = globalThis) {
    this.ask = ask;
    this.changed = changed;
    this.world = world;
    this.filter = { status: "", kind: "", search: "" };
    this.places = [""]; // where each page begins, up to the one that is shown
    this.jobs = [];
    this.next = null;
    this.total = null;
    this.state = "new"; // or "known", "undeclared": no kind of job is; the last answer said so
    this.trouble = ""; // why there was no answer
    /** @type {Map<string, {job: any}>} */
    this.live = new Map();
    this.timer = null;
    this.counts = null;
    this.asked = -Infinity; // when, ms
    this.isAsked = this.isWanted = false;
  }

  get isFirst() {
    return this.places.length === 1;
  }

  get isFiltered() {
    return Object.values(this.filter).some(Boolean);
  }

  /** Take what the page knows; the list is asked for anew where that has to do with it. @param {string} token in use */
  hear({ raw, jobs }, token) {
    this.live = jobs;
    if (!raw) return;
    if (raw.runs_jobs === false) {
      this.#forget();
      this.counts = null;
      return;
    }
    const counts = [token, ...COUNTS.map((name) => raw[name])].join();
    if (counts === this.counts && this.world.performance.now() - this.asked < OLD) return;
    this.counts = counts;
    this.refresh();
  }

  /** Only these from now on. @param {Partial<JobList["filter"]>} filter */
  show(filter) {
    this.filter = { ...this.filter, ...filter };
    this.#turn([""]);
  }

  older() {
    if (this.next) this.#turn([...this.places, this.next]);
  }

  newer() {
    if (!this.isFirst) this.#turn(this.places.slice(0, -1));
  }

  /** Jobs in order: of the first page what the daemon told since, too; of others the same as when it was asked. */
  rows() {
    const jobs = this.jobs.map((job) => newer(job, this.live.get(job.id)?.job));
    if (!this.isFirst || this.state !== "known") return jobs;
    const known = new Set(jobs.map(({ id }) => id));
    const others = [...this.live.values()].map(({ job }) => job).filter(({ id }) => !known.has(id));
    return [...jobs, ...others].filter((job) => matches(job, this.filter)).sort(compare).slice(0, SIZE);
  }

  /** The newest job that does that one once more, of these and of others. @param {string} id @param {any[]} [others] */
  retryOf(id, others = []) {
    const jobs = [...this.jobs, ...others].filter((job) => job.retry_of === id);
    return jobs.reduce((newest, job) => (newest && newest.id > job.id ? newest : job), null); // ids begin with their time
  }

  /** `21–40 of 500` @param {number} shown */
  range(shown) {
    if (!shown) return "";
    const first = (this.places.length - 1) * SIZE + 1;
    const last = first + shown - 1;
    const total = this.total === null ? "" : ` of ${Math.max(this.total, last).toLocaleString("en")}`;
    return `${first}–${last}${total}`;
  }

  /** Ask for the page, unless it was asked for a moment ago: then after that moment. */
  refresh() {
    if (this.isAsked) this.isWanted = true;
    else this.timer ??= this.world.setTimeout(() => this.#ask(), Math.max(0, this.asked + PAUSE - this.world.performance.now()));
  }

  #turn(places) {
    this.places = places;
    if (!this.isAsked) this.#ask();
    this.changed();
  }

  async #ask() {
    this.world.clearTimeout(this.timer);
    this.timer = null;
    this.isAsked = true;
    this.isWanted = false;
    this.asked = this.world.performance.now();
    const { filter, places } = this;
    const answer = await this.ask(`jobs?${this.#query()}`);
    this.isAsked = false;
    if (filter !== this.filter || places !== this.places) {
      this.#ask(); // something else is wanted by now
      return;
    }
    this.#take(answer);
    if (this.isWanted) this.refresh();
    this.changed();
  }

  #query() {
    const values = { order: "open", limit: SIZE, before: this.places.at(-1), ...this.filter };
    return new URLSearchParams(Object.entries(values).filter(([, value]) => value));
  }

  #take({ status, body, why }) {
    this.trouble = status === 200 || status === 404 ? "" : why;
    if (status === 404) this.#forget(); // a reload took the kinds away
    if (status !== 200) return;
    this.state = "known";
    this.jobs = body.jobs;
    this.next = body.next;
    this.total = body.total ?? null;
    if (!body.jobs.length && !this.isFirst) this.#turn([""]); // they were deleted meanwhile
  }
  #forget() {
    [this.state, this.jobs, this.next, this.total] = ["undeclared", [], null, null];
  }
}
