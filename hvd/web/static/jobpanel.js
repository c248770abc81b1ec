/** One job: all of it, what it printed last, and what can be done. It follows while the job runs. */

import { make, mark, say } from "./dom.js";
import { isOpen, newer } from "./joblist.js";
import { linesText, lookOf, progressOf, progressText, stateOf, timeOf, timesOf } from "./jobwords.js";
import { lead, makeLink } from "./names.js";

const LINES = 200; // of output that are shown
const PERIOD = 1000; // ms between two questions
const PATIENCE = 5000; // ms after which it is asked again with a token that was refused, or where nobody answered
const LIKE = 100; // jobs of the same name, the newest, among which those are that retry this one
const UNKNOWN = "No job has this id. Jobs that have ended are deleted after a while.";

/**
 * @param {import("./panel.js").Panels} panels
 * @param {{ask: (path: string) => Promise<{status: number, body: any, why: string}>, actions: import("./jobactions.js").JobActions,
 *   changed: () => void, known: (id: string) => any, retryOf: (id: string, others: any[]) => any}} parts `known`: the job as a list
 *   has it; `retryOf`: the newest job that does that one once more, of the list and of others
 */
export function addJobPanel(panels, parts) {
  panels.add("job", (id) => ({ title: "Job", build: (body) => new JobPanel(body, id, panels, parts) }));
}

class JobPanel {
  constructor(body, id, panels, { ask, actions, changed, known, retryOf }) {
    Object.assign(this, { id, panels, ask, actions, changed, retryOf });
    this.job = known(id) ?? null;
    this.logs = null;
    this.like = []; // jobs that have its name
    this.trouble = "";
    this.said = "";
    this.isAsked = false;
    this.isClosed = false;
    this.asked = 0; // when, ms
    this.refused = ""; // the token that was sent along
    this.seen = -1; // revision of the job whose output is shown
    this.#build(body);
    this.timer = setInterval(() => this.#follow(), PERIOD);
    this.#follow();
  }

  close() {
    this.isClosed = true;
    clearInterval(this.timer);
  }

  #build(body) {
    this.note = make("p", { class: "note", role: "status" });
    this.name = make("p", { class: "title" });
    this.state = make("p", { class: "job-state" }, make("span"), make("progress", { max: "100" }), make("small"));
    this.error = make("p", { class: "error" });
    this.cancel = button("Cancel", async () => this.#tell(await this.actions.cancel(this.job)));
    this.retry = button("Retry", () => this.#retry());
    [this.before, this.after] = ["Retry of job ", "Retried as job "].map((text) => make("p", { text }, makeLink(this.panels)));
    this.facts = make("dl", { class: "facts" });
    this.params = make("pre", { class: "params", tabindex: "0", "aria-label": "Parameters" });
    this.aside = make("p", { class: "aside" });
    this.output = make("pre", { class: "output", tabindex: "0", role: "log", "aria-label": "Last lines of output" });
    this.rest = make("a", { href: `jobs/${encodeURIComponent(this.id)}/output`, target: "_blank", rel: "noreferrer", text: "All of its output" });
    body.append(
      this.note, this.name, this.state, this.error, make("div", { class: "buttons" }, this.cancel, this.retry), make("div", { class: "kin" }, this.before, this.after), this.facts,
      make("h3", { text: "Parameters" }), this.params, make("h3", { text: "Last lines" }), this.aside, this.output, this.rest,
    );
  }

  /** Ask for the job, and for its output where that may have changed. */
  async #follow() {
    const { text } = this.actions.token;
    const isRefused = this.trouble && text === this.refused && performance.now() - this.asked < PATIENCE;
    if (this.isAsked || isRefused || document.hidden || (this.job && !isOpen(this.job) && this.seen === this.job.revision)) return;
    this.isAsked = true;
    this.asked = performance.now();
    this.refused = text;
    const path = encodeURIComponent(this.id);
    const { status, body, why } = await this.ask(`jobs/${path}`);
    if (status === 200) this.job = this.job ? newer(this.job, body) : body;
    this.trouble = status === 200 ? "" : status === 404 ? UNKNOWN : why;
    if (status === 404) this.close();
    if (status === 200 && !this.isClosed) {
      const logs = await this.ask(`jobs/logs/${path}?lines=${LINES}`);
      if (!isOpen(body)) await this.#askForRetries(body);
      if (logs.status === 200) [this.logs, this.seen] = [logs.body, body.revision];
    }
    this.isAsked = false;
    if (!this.isClosed || status === 404) this.changed();
  }

  /** The list has one page of all jobs: those that wait may leave no room there for what has ended. */
  async #askForRetries({ name, kind }) {
    const { status, body } = await this.ask(`jobs?${new URLSearchParams({ search: name, kind, limit: LIKE })}`);
    if (status === 200) this.like = body.jobs;
  }

  async #retry() {
    const { why, job } = await this.actions.retry(this.job);
    if (job && !this.isClosed) this.panels.open("job", job.id);
    else this.#tell(why);
  }

  #tell(what) {
    this.said = what;
    this.changed();
  }

  update(model) {
    const live = model.jobs.get(this.id)?.job;
    const { job } = this;
    say(this.note, this.trouble || this.said);
    for (const element of [this.name, this.state, this.facts, this.before.parentElement]) element.hidden = !job;
    if (!job) return this.#showButtons({ status: "" });
    const now = newer(job, live);
    if (live && live.revision > job.revision) this.job = now; // its output is asked for once more
    say(this.name, now.name);
    const [state, bar, label] = this.state.children;
    say(state, stateOf(now));
    mark(state, "data-state", lookOf(now));
    showProgress(bar, now);
    say(label, progressOf(now) === null || now.status === "completed" ? "" : progressText(now));
    say(this.error, now.error_msg ?? "");
    this.error.hidden = !now.error_msg;
    this.#showButtons(now);
    showLink(this.before, now.retry_of);
    showLink(this.after, this.retryOf(this.id, [...this.like, ...this.actions.retries])?.id);
    this.#showFacts(now);
    say(this.params, JSON.stringify(now.params, null, 2));
    this.#showOutput(now);
  }

  #showButtons(job) {
    const isKnown = Boolean(job.status) && !this.actions.isForbidden;
    const isCancelled = job.cancel_requested || this.actions.cancelled.has(this.id);
    this.cancel.hidden = !isKnown || !isOpen(job);
    this.cancel.disabled = isCancelled;
    say(this.cancel, isCancelled ? "Cancelling" : "Cancel");
    this.retry.hidden = !isKnown || isOpen(job);
  }

  #showFacts(job) {
    const facts = [
      ...timesOf(job), ["Duration", timeOf(job)], ["Kind", job.kind], ["Attempt", job.attempt || null], ["Exit code", job.exit_code],
      ["Ran on", job.host], ["Id", job.id],
    ].filter(([, value]) => value !== null && value !== undefined);
    while (this.facts.children.length > facts.length) this.facts.lastChild.remove();
    while (this.facts.children.length < facts.length) this.facts.append(make("div", {}, make("dt"), make("dd")));
    facts.forEach(([name, value], i) => {
      say(this.facts.children[i].children[0], name);
      say(this.facts.children[i].children[1], value);
    });
  }

  #showOutput(job) {
    const lines = (this.logs?.logs ?? []).filter(({ source }) => source === "output").map(({ message }) => message);
    const { output } = this;
    const isAtEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 30;
    say(output, linesText(lines));
    output.hidden = !lines.length;
    if (isAtEnd) output.scrollTop = output.scrollHeight;
    this.rest.hidden = !lines.length || this.logs.is_complete || Boolean(this.actions.token.text); // a link carries no token
    say(this.aside, asideOf(job, this.logs, lines.length));
  }
}

function showLink(element, id) {
  element.hidden = !id;
  if (!id) return;
  lead(element.lastChild, "job", id);
  say(element.lastChild, `…${id.slice(-6)}`);
  mark(element.lastChild, "title", id);
}

function asideOf(job, logs, lines) {
  if (!logs) return "";
  if (!lines) return job.status === "pending" ? "It has not started." : logs.is_complete ? `It ${isOpen(job) ? "has" : "had"} printed nothing.` : "Its output is not kept here.";
  const end = isOpen(job) ? "; more comes as it is printed" : "";
  return logs.is_complete ? `All of it${end}.` : `The last ${lines} lines${end}. \`hvd jobs output ${job.id}\` has all of it.`;
}

function button(text, click) {
  const element = make("button", { type: "button", text });
  element.addEventListener("click", click);
  return element;
}

/** A bar where it runs: one that moves to and fro while nobody knows how far it is. */
export function showProgress(bar, job) {
  const done = progressOf(job);
  bar.hidden = job.status !== "running"; // what has ended moves no more, and shouldn't look as if
  mark(bar, "value", done);
  mark(bar, "aria-label", done === null ? `${job.name} runs, and hasn't said how far it is` : `Progress of ${job.name}`);
}
