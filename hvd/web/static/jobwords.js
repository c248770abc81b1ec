/** What is said of a job, in the list and in its panel. Pure. */

import { UNKNOWN, clock, instant, shortDuration } from "./format.js";
import { ago, when } from "./when.js";

const STATES = { pending: "◌ pending", running: "▶ running", completed: "✓ completed", failed: "✕ failed", cancelled: "⊘ cancelled" };
const LOOKS = { failed: "warn", completed: "good" };

/** In words, with a sign. */
export const stateOf = ({ status }) => STATES[status] ?? status;

/** How it looks: "good", "warn", or null. */
export const lookOf = ({ status }) => LOOKS[status] ?? null;

/** How far it is, in percent; null where nobody knows: a kind may say nothing of it, and what waits has not begun. */
export const progressOf = ({ progress }) => (progress > 0 ? progress : null);

/** The same in words. */
export const progressText = (job) => (progressOf(job) === null ? UNKNOWN : `${Math.floor(job.progress)} %`);

/** How long it took, or takes by now. */
export const timeOf = ({ status, duration_seconds: seconds, start_time: start, created_at: created }) =>
  status === "pending" || (!seconds && start === created) ? UNKNOWN : shortDuration(seconds);

/** Since when it is what it is, Unix time in s. */
const changed = (job) => instant(job.end_time ?? (job.status === "running" ? job.start_time : job.created_at));

/** `3 min ago`; of one that runs, whose time is told beside: `since 14:03:05` */
export const sinceOf = (job, now) => (job.status === "running" ? `since ${clock(changed(job))}` : ago(changed(job), now));

/** Its times, a line each. */
export function timesOf(job, now) {
  const hasStarted = job.start_time && (job.duration_seconds > 0 || job.status === "running"); // before, it is the time of creation
  return [
    ["Created", when(instant(job.created_at), now)],
    hasStarted && ["Started", when(instant(job.start_time), now)],
    job.end_time && ["Ended", when(instant(job.end_time), now)],
  ].filter(Boolean);
}

/** What happens where it is cancelled: a question, and what it means. */
export function cancelWords(job) {
  const question = `Cancel ${job.name}?`;
  if (job.status === "pending") return [question, "It has not started, and won't. It stays in the list as cancelled."];
  return [question, `It has run for ${timeOf(job)}. It is asked to end (SIGTERM), and is killed if it doesn't within a few seconds. What it has done until then is not undone.`];
}

const SEQUENCE = /\ufffd\[[0-9;?]*[ -/]*[@-~]/g;

/** Lines that a job printed, as text: colours and the like, whose ESC the daemon has made harmless, are left out. */
export const linesText = (lines) => lines.map((line) => line.replace(SEQUENCE, "").replaceAll("\t", "    ")).join("\n");

const TOML = `[jobs.kinds.greet]
command = ["echo", "hello {name}"]
params = { name = { type = "string", pattern = "[a-z]{1,20}" } }`;

/** What to do where there is no job: what is missing, and lines to be copied. @param {Record<string, any> | null} kinds null: none is declared */
export function firstSteps(kinds, base) {
  const [[name, kind]] = Object.entries(kinds ?? {}).concat([["", {}]]);
  if (!name) return ["No kind of job is declared. A job is a command that hvd runs for whoever asks. To have one, write this into hvd.toml, and restart the daemon:", TOML];
  const params = Object.entries(kind.params ?? {}).filter(([, { required }]) => required).map(([param, limits]) => [param, exampleOf(limits)]);
  const words = params.map(([param, value]) => ` ${param}=${value}`).join("");
  const body = JSON.stringify({ kind: name, params: Object.fromEntries(params) });
  return [
    "No job was submitted yet. Submit one:",
    `hvd jobs submit ${name}${words} --wait\n\ncurl ${base}jobs/submit -H 'Content-Type: application/json' \\\n  -d '${body}'`,
  ];
}

function exampleOf({ type, choices, min }) {
  if (choices) return choices[0];
  if (type === "int") return min ?? 1;
  return type === "path" ? "/path/to/file" : "…";
}
