/** The jobs: how far they are, and a button that cancels one. */

import { make, mark, say } from "./dom.js";
import { count, exact, shortDuration } from "./format.js";
import { Table, text } from "./table.js";

const STATES = {
  pending: "◌ pending",
  running: "▶ running",
  completed: "✓ completed",
  failed: "✕ failed",
  cancelled: "⊘ cancelled",
};
const OPEN = ["pending", "running"];

/** @param {import("./token.js").Token} token by which jobs are cancelled */
export function addJobs(section, changed, token) {
  let forbidden = null; // the token for which the daemon has said no
  const cancelled = new Set(); // ids of jobs that the user cancelled
  const table = new Table(section, {
    title: "Jobs",
    none: "No jobs.",
    columns: [
      { name: "Job", class: "name", fill: (cell, job) => text(cell, job.name, `${job.kind} ${job.id}\n${JSON.stringify(job.params)}`) },
      { name: "State", class: "state", fill: state },
      { name: "Progress", create: (cell) => cell.append(...progress()), fill: showProgress },
      { name: "Time", number: true, class: "spare", fill: (cell, job) => text(cell, timeOf(job), titleOf(job)) },
      { name: "", create: (cell) => cell.append(button(cancel)), fill: showButton, class: "action" },
    ],
  });
  say(table.heads[4], "Action");

  function showButton(cell, job) {
    const [element] = cell.children;
    element.job = job;
    element.hidden = forbidden === token.text || !OPEN.includes(job.status);
    element.disabled = cancelled.has(job.id);
    say(element, cancelled.has(job.id) ? "Cancelling" : "Cancel");
    mark(element, "aria-label", `Cancel ${job.name} ${job.id.slice(-6)}`);
  }

  async function cancel(job) {
    cancelled.add(job.id);
    changed();
    const refusal = await token.ask("POST", `jobs/${encodeURIComponent(job.id)}/cancel`);
    if (refusal) {
      cancelled.delete(job.id);
      if (refusal.status === 403) forbidden = token.text;
      say(table.note, forbidden !== token.text ? `${job.name} was not cancelled: ${refusal.why}` : `Jobs can't be cancelled from here: ${refusal.why}`);
    } else say(table.note, `${job.name} is told to end.`);
    table.scroll.focus({ preventScroll: true }); // its button goes away, and focus would with it
    changed();
  }

  return (model) => {
    const jobs = model.shownJobs();
    const ids = new Set(jobs.filter(({ status }) => OPEN.includes(status)).map(({ id }) => id));
    for (const id of cancelled) if (!ids.has(id)) cancelled.delete(id);
    const { raw } = model;
    const counts = ["active", "pending", "completed", "failed", "cancelled"].map((name) => [name, raw?.[`jobs_${name}`] ?? 0]);
    const known = counts.filter(([name, n]) => n || name === "active");
    say(table.aside, known.map(([name, n]) => `${count(n)} ${name === "active" ? "running" : name}`).join(" · "));
    table.update(jobs, ({ id }) => id);
  };
}

function button(cancel) {
  const element = make("button", { type: "button" });
  element.addEventListener("click", () => cancel(element.job));
  return element;
}

const progress = () => [make("progress", { max: "100" }), make("span")];

function state(cell, job) {
  text(cell, job.error_msg ? `${STATES[job.status]}: ${job.error_msg}` : STATES[job.status] ?? job.status, job.error_msg);
  mark(cell, "data-state", { failed: "bad", completed: "good" }[job.status] ?? null);
}

function showProgress(cell, job) {
  const [bar, label] = cell.children;
  if (bar.value !== job.progress) bar.value = job.progress;
  bar.hidden = !OPEN.includes(job.status); // what has ended moves no more, and shouldn't look as if
  mark(bar, "aria-label", `Progress of ${job.name}`);
  say(label, `${Math.floor(job.progress)}%`);
}

/** How long it took, or takes by now. */
const timeOf = ({ status, duration_seconds: seconds }) => (status === "pending" ? "–" : shortDuration(seconds));

const titleOf = (job) =>
  [
    `created ${job.created_at}`,
    job.duration_seconds > 0 && `started ${job.start_time}`, // before the start it is the time of creation
    job.end_time && `ended ${job.end_time}`,
    `${exact(job.duration_seconds)} s`,
  ].filter(Boolean).join("\n");
