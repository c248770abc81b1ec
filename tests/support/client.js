// A client of /ws that trusts what it is sent: each field is formatted as it comes, as dashboards do that were built for
// the predecessor. Messages on stdin, one a line; what would show as nonsense, or end the script, is told on stdout.

import { createInterface } from "node:readline";

const clock = (text) => {
  if (!/^\d{4}-\d\d-\d\dT/.test(text.slice(0, 11))) throw new TypeError(`${text} is no time`);
  const date = new Date(text);
  return `${date.toISOString()} ${date.toLocaleTimeString()}`; // RangeError for what is no date
};
const fixed = (number) => number.toFixed(1);
const size = (bytes) => `${(bytes / 1024 / 1024).toFixed(1)} MB`;
const span = (seconds) => (seconds < 60 ? `${seconds.toFixed(1)}s` : `${Math.floor(seconds / 60).toFixed(0)}m`);
const title = (text) => text.charAt(0).toUpperCase() + text.slice(1).toLowerCase();
const short = (text) => (text.length > 40 ? `${text.substring(0, 40)}…` : text.trim());
const total = (number) => number.toLocaleString();

const job = (each) => [
  each.id.slice(0, 8),
  short(each.name),
  title(each.status),
  title(each.provider),
  short(each.vm_name),
  title(each.kind),
  fixed(each.progress),
  clock(each.start_time),
  each.end_time ? clock(each.end_time) : "still open",
  span(each.duration_seconds),
  short(each.error_msg),
  clock(each.created_at),
  clock(each.updated_at),
  Object.entries(each.params).map(([name, value]) => `${name}=${value}`).join(" "),
  each.revision.toFixed(0),
];

const counts = ["jobs_active", "jobs_pending", "jobs_completed", "jobs_failed", "jobs_cancelled", "queue_length"];
const rates = ["requests_per_second", "error_rate", "p50", "p90", "p99"];

const views = {
  metrics: ({ raw }) => [
    clock(raw.timestamp),
    title(raw.system_health),
    size(raw.memory_usage),
    span(raw.uptime_seconds),
    ...["avg_response_time", "cpu_usage", "observed_age_seconds", ...rates, ...rates.map((each) => `${each}_since_start`)]
      .map((each) => fixed(raw[each])),
    ...["http_requests", "http_errors", "active_connections", "websocket_clients", "goroutines", "threads", "tasks", ...counts]
      .map((each) => total(raw[each])),
    ...Object.values(raw.requests).map(total),
    ...raw.recent_jobs.flatMap(job),
    ...Object.entries(raw.provider_stats).flatMap(([name, each]) => [
      title(name),
      ...["jobs_total", "jobs_active", "jobs_completed", "jobs_failed"].map((field) => total(each[field])),
      span(each.avg_duration_seconds),
    ]),
    ...raw.alerts.map((each) => title(each.message)),
  ],
  status: (data) => [
    data.version.split("."),
    title(data.system_health),
    span(data.uptime_seconds),
    ...Object.values(data.requests).map(total),
    ...counts.map((each) => total(data[each])),
    ...data.reasons.map(short),
  ],
  jobs: (data) => data.jobs.flatMap(job),
  job_update: job,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { type, timestamp, data } = JSON.parse(line);
  try {
    const shown = [clock(timestamp), ...(views[type]?.(data) ?? [])].flat();
    const odd = shown.filter((text) => /NaN|undefined|null|Infinity|Invalid|object/.test(text));
    if (odd.length) throw new Error(odd.join(", "));
  } catch (error) {
    console.log(`${type}: ${error.message} ${error.stack.split("\n")[1]?.trim()} ${line.slice(0, 300)}`);
  }
}
