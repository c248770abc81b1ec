/** The jobs: a page of them at a time, searched and filtered, with what can be done. */

import { make, mark, say } from "./dom.js";
import { count } from "./format.js";
import { JobActions } from "./jobactions.js";
import { JobList, isOpen } from "./joblist.js";
import { addJobPanel, showProgress } from "./jobpanel.js";
import { firstSteps, lookOf, progressOf, progressText, sinceOf, stateOf, timeOf, timesOf } from "./jobwords.js";
import { lead, makeLink, sayName } from "./names.js";
import { Table, text } from "./table.js";

const TYPED = 250; // ms without a key, after which a search is meant
const NOTHING = "Nothing was heard yet.";
const COUNTS = [["active", "running"], ["pending"], ["completed"], ["failed"], ["cancelled"]];

/**
 * @param {HTMLElement} section @param {() => void} changed
 * @param {import("./token.js").Token} token by which jobs are read, cancelled and retried
 * @param {import("./panel.js").Panels} panels where one of them is shown
 */
export function addJobs(section, changed, token, panels) {
  const actions = new JobActions(token, changed);
  const ask = (path) => answerOf(token, path);
  const list = new JobList(ask, changed);
  const kinds = new Kinds(ask, changed);
  const table = new Table(section, {
    title: "Jobs",
    none: NOTHING,
    open: ({ id }) => panels.open("job", id),
    row: (row, { id }) => mark(row, "aria-current", panels.address.get("job") === id ? "true" : null),
    columns: [
      { name: "Job", class: "job", create: (cell) => cell.append(makeLink(panels), make("small")), fill: showJob },
      { name: "State", class: "state", create: (cell) => cell.append(...stateParts()), fill: showState },
      { name: "Time", number: true, class: "spare", create: (cell) => cell.append(make("span"), make("small")), fill: showTime },
      { name: "", class: "action", create: (cell) => cell.append(actionButton()), fill: showAction },
    ],
  });
  say(table.heads[3], "Action");
  const tools = addTools(table, list);
  const pager = addPager(table, list);
  const steps = make("pre", { tabindex: "0", "aria-label": "Lines to copy" });
  const all = make("button", { type: "button", text: "Show all jobs" });
  all.addEventListener("click", () => {
    tools.clear();
    list.show({ status: "", kind: "", search: "" });
  });
  const why = make("p");
  table.empty.replaceChildren(why, steps, all);
  const base = new URL(".", document.baseURI).href; // without what the page shows
  let said = ""; // what came of the last action

  function actionButton() {
    const element = make("button", { type: "button" });
    element.addEventListener("click", () => (isOpen(element.job) ? cancel(element.job) : retry(element.job)));
    return element;
  }

  function showAction(cell, job) {
    const [element] = cell.children;
    element.job = job;
    const isCancelled = isOpen(job) && (job.cancel_requested || actions.cancelled.has(job.id));
    element.hidden = actions.isForbidden || job.status === "completed";
    element.disabled = isCancelled;
    say(element, isOpen(job) ? (isCancelled ? "Cancelling" : "Cancel") : "Retry");
    mark(element, "aria-label", `${isOpen(job) ? "Cancel" : "Retry"} ${job.name} ${job.id.slice(-6)}`);
  }

  async function cancel(job) {
    const what = await actions.cancel(job);
    if (!what) return;
    tell(what);
  }

  async function retry(job) {
    const { why: refusal, job: made } = await actions.retry(job);
    tell(refusal ?? `${job.name} is submitted again.`);
    if (made) list.refresh();
  }

  function tell(what) {
    said = what;
    if (document.activeElement === document.body || document.activeElement?.hidden) table.scroll.focus({ preventScroll: true }); // its button went away
    changed();
  }

  addJobPanel(panels, { ask, actions, changed, known: (id) => list.jobs.find((job) => job.id === id), retryOf: (id, others) => list.retryOf(id, others) });
  return function* view(model) {
    list.hear(model, token.text);
    kinds.hear(list.state);
    const jobs = list.rows();
    actions.settle(jobs);
    const counts = COUNTS.map(([name, word = name]) => [word, model.raw?.[`jobs_${name}`] ?? 0]).filter(([word, n]) => n || word === "running");
    say(table.aside, counts.map(([word, n]) => `${count(n)} ${word}`).join(" · "));
    say(table.note, list.trouble ? `The jobs can't be listed: ${list.trouble}` : said);
    const isUsed = list.state === "known" && (jobs.length || list.isFiltered || !list.isFirst);
    table.tools.hidden = !isUsed;
    tools.update(kinds.names);
    pager.update(jobs.length);
    const [first, lines] = emptyWords();
    say(why, first);
    say(steps, lines);
    steps.hidden = !lines;
    all.hidden = !(list.state === "known" && list.isFiltered);
    yield* table.parts(jobs, ({ id }) => id);
  };

  function emptyWords() {
    if (list.state === "undeclared") return firstSteps(null, base);
    if (list.state !== "known" || list.isFiltered || !kinds.all) return [list.isFiltered ? "No job is like that." : NOTHING, ""];
    return firstSteps(kinds.all, base);
  }
}

/** The kinds of job that are declared: asked for once there are jobs, or may be. */
export class Kinds {
  constructor(ask, changed) {
    this.ask = ask;
    this.changed = changed;
    this.all = null;
    this.isAsked = false;
  }

  get names() {
    return Object.keys(this.all ?? {}).sort();
  }

  async hear(state) {
    if (state !== "known" || this.all || this.isAsked) return;
    this.isAsked = true;
    const { status, body } = await this.ask("jobs/kinds");
    this.isAsked = status === 200; // else the next news asks again; told of a failure, each frame would
    if (!this.isAsked) return;
    this.all = body.kinds;
    this.changed();
  }
}

/** @returns {Promise<{status: number, body: any, why: string}>} */
async function answerOf(token, path) {
  try {
    const answer = await token.fetch(path, { headers: { Accept: "application/json" }, cache: "no-store" });
    const isJson = /^application\/(problem\+)?json/.test(answer.headers.get("Content-Type") ?? "");
    const body = isJson ? await answer.json() : null;
    // a 404 of a server in between says nothing of the daemon
    const status = isJson || answer.status >= 500 ? answer.status : 0;
    return { status, body, why: body?.detail ?? `the answer was ${answer.status}.` };
  } catch {
    return { status: 0, body: null, why: "the daemon can't be reached." };
  }
}

function showJob(cell, job) {
  const [link, more] = cell.children;
  lead(link, "job", job.id);
  sayName(link, job.name);
  text(more, job.error_msg || `${job.kind} · …${job.id.slice(-6)}`, job.error_msg || `${job.kind} ${job.id}\n${JSON.stringify(job.params)}`);
  mark(more, "data-state", job.error_msg ? "warn" : null);
}

const stateParts = () => [make("span"), make("progress", { max: "100" }), make("small")];

function showState(cell, job) {
  const [state, bar, label] = cell.children;
  say(state, stateOf(job));
  mark(state, "data-state", lookOf(job));
  showProgress(bar, job);
  say(label, job.status === "completed" ? "" : progressText(job));
  label.hidden = job.status === "completed" || progressOf(job) === null;
}

function showTime(cell, job) {
  const [took, since] = cell.children;
  say(took, timeOf(job));
  say(since, sinceOf(job));
  mark(cell, "title", timesOf(job).map((line) => line.join(" ")).join("\n"));
}

/** The search, and the choices of status and kind. */
function addTools(table, list) {
  const search = make("input", { type: "search", placeholder: "Search jobs", "aria-label": "Search jobs by name, kind or id", spellcheck: "false", maxlength: "200" });
  const status = choice("Status", [["", "Any status"], ...["running", "pending", "failed", "completed", "cancelled"].map((each) => [each, each])]);
  const kind = choice("Kind", [["", "Any kind"]]);
  let typed = 0;
  search.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => list.show({ search: search.value.trim() }), TYPED);
  });
  status.addEventListener("change", () => list.show({ status: status.value }));
  kind.addEventListener("change", () => list.show({ kind: kind.value }));
  table.tools.append(search, status, kind);
  return {
    clear() {
      clearTimeout(typed);
      for (const element of [search, status, kind]) element.value = "";
      search.focus();
    },
    update(names) {
      if (names.length === kind.options.length - 1) return;
      kind.append(...names.map((name) => make("option", { value: name, text: name })));
      kind.hidden = names.length < 2;
    },
  };
}

const choice = (label, options) => make("select", { "aria-label": label }, ...options.map(([value, name]) => make("option", { value, text: name })));

function addPager(table, list) {
  const [range, newer, older] = [make("span", { role: "status" }), make("button", { type: "button", text: "‹ Newer" }), make("button", { type: "button", text: "Older ›" })];
  const row = make("div", { class: "pager" }, range, newer, older);
  newer.addEventListener("click", () => turn(() => list.newer()));
  older.addEventListener("click", () => turn(() => list.older()));
  table.scroll.after(row);
  function turn(page) {
    page();
    table.scroll.scrollTop = 0;
  }
  return {
    update(shown) {
      row.hidden = !shown && list.isFirst;
      say(range, list.range(shown));
      newer.disabled = list.isFirst;
      older.disabled = !list.next;
      newer.hidden = older.hidden = list.isFirst && !list.next;
    },
  };
}
