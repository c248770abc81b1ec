// A piece of a day of messages, given to the dashboard's own handler: the body of an async function that has `page`.
// FROM, TO and EVERY are put in: the first message, the one after the last, and after how many two
// are drawn: the first at once, the second as the page does, and timed.
const span = (i) => ({
  seconds: 60, requests: 3600 + (i % 211), requests_per_second: 60 + (i % 40), server_errors: i % 9, client_errors: i % 50, server_error_rate: (i % 9) / 3600,
  client_error_rate: (i % 50) / 3600, seconds_spent: 20 + (i % 13), mean_ms: 1 + (i % 13), p50_ms: 1 + (i % 3), p90_ms: 5 + (i % 11), p99_ms: 40 + (i % 97), busy_ratio: (i % 33) / 32,
});
// another number in each frame that is drawn, and the same at the end of each quarter
const some = (i) => Math.floor(i / EVERY) % 10;
const raw = (i) => ({
  timestamp: new Date(start + 2000 * i).toISOString(), http_requests: 120 * i, http_errors: i, avg_response_time: 3 + (i % 7),
  active_connections: 3, websocket_clients: 1 + (i % 5), memory_usage: 1.5e8 + 1e6 * (i % 31), cpu_usage: i % 90,
  goroutines: 19, threads: 17, tasks: 2, uptime_seconds: 2 * i, jobs_active: i % 3, jobs_pending: i % 5,
  jobs_completed: i, jobs_failed: 0, jobs_cancelled: 0, queue_length: i % 5, provider_stats: {}, alerts: [],
  system_health: i % 500 ? "healthy" : "degraded", requests_per_second: 60 + (i % 40), error_rate: (i % 20) / 400,
  p50: 1 + (i % 3), p90: 5 + (i % 11), p99: 40 + (i % 97), requests: { started: 120 * i, finished: 120 * i, in_flight: 0, aborted: 0 },
  observed_age_seconds: 0.1, health: i % 500 ? "healthy" : "degraded", reasons: i % 500 ? [] : [`saturated for ${i} s`],
  workers_alive: 8, worker_threads: 32, worker_threads_busy: i % 33, busy_ratio: (i % 33) / 32, saturated_seconds: i % 500 ? 0 : 2.5,
  accept_backlog: i % 7, accept_backlog_limit: 2048, queued_requests: i % 5, waiting_clients: { silent: i % 3, half_head: i % 4, half_body: 0, unread: 0, idle: i % 50 },
  longest_requests: Array.from({ length: some(i) }, (_, k) => request(i, k)), p50_with_open: 2, p90_with_open: 6, p99_with_open: 41 + (i % 97),
  runs_jobs: true, recent_jobs: Array.from({ length: 20 }, (_, k) => job(i - k)),
});
// half of them go on from message to message, and stand somewhere
const request = (i, k) => ({
  method: "GET", path: k % 2 ? `/items/${i}/${k}` : `/reports/${k}`, pid: 1000 + k, slot: k, age_seconds: k % 2 ? 0.5 : 2 * (i % 1000),
  stack: k % 2 ? [] : Array.from({ length: 30 }, (_, depth) => ({ file: `/srv/shop/part${depth}.py`, line: depth + (i % 40), function: `f${depth}` })),
  stack_age_seconds: k % 2 ? null : 1.5,
});
const job = (k, progress = 100) => ({
  id: `01a21081-8bc0-735c-8883-${String(k).padStart(12, "0")}`, name: `convert ${k}`, kind: "convert", params: { n: k }, revision: 3,
  status: k % 4 ? "completed" : "running", progress, created_at: new Date(start + 2000 * k).toISOString(),
  start_time: new Date(start + 2000 * k).toISOString(), end_time: null, duration_seconds: k % 4 ? 12.5 : 2, error_msg: "",
});
const detail = (i) => ({
  restarts: 0,
  workers: Array.from({ length: 8 }, (_, slot) => ({
    pid: 1000 + slot + 8 * Math.floor((i + 40 * slot) / 320), slot, age_seconds: 2 * (i % 320), requests: i, errors: 0, in_flight: 1,
    busy: [{ method: "GET", path: `/items/${i}`, age_seconds: 0.01 }], cpu_percent: i % 50, memory_bytes: 4e7 + i, threads: 5,
    requests_per_second: 7.5, started_at: "2026-11-25T02:49:57Z",
    last_minute: { requests: 450 + (i % 9), requests_per_second: 7.5, errors: i % 3, cpu_percent: i % 50, memory_bytes: 4e7 + i },
  })),
  routes: Array.from({ length: 60 }, (_, k) => ({
    route: `/route/${k + (i % 6000 < 3000 ? 0 : 30)}`, methods: ["GET"], count: i * k, errors: i % 9, statuses: { 200: i * k },
    mean_ms: 1 + ((i * k) % 13), p50_ms: 1, p90_ms: 2, p99_ms: 30 + (i % 17), requests_per_second: (i * k) % 23,
    last_minute: { ...span(i * k), route: `/route/${k + (i % 6000 < 3000 ? 0 : 30)}`, methods: ["GET"], statuses: { 200: i } },
  })),
  changes: Array.from({ length: some(i) }, (_, k) => ({
    what: "p99_ms", route: k ? `/route/${k + 30}` : "", before: 10 + k, now: 20 + i, weight: k, is_bad: true, text: `${k ? `/route/${k + 30}` : ""}: p99 ${10 + k} ms → ${20 + i} ms`,
  })),
  skew: i % 100 ? [] : [{ pid: 1000, slot: 0, what: "cpu_percent", value: i, others: 1, text: `worker 1000 uses ${i} % of a core` }],
  events: i % 50 ? [] : [{ sequence: i / 50 + 1, time: start / 1000 + 2 * i, kind: ["death", "reload", "alert"][(i / 50) % 3], text: `worker ${i} ended`, process: "worker", pid: i, cause: "SIGKILL" }],
  newest_event: Math.floor(i / 50) + 1,
  point: {
    time: start / 1000 + 2 * i, requests_per_second: 60 + (i % 40), error_rate: (i % 20) / 400, server_error_rate: (i % 9) / 400, client_error_rate: (i % 20) / 400, p50: 1 + (i % 3), p90: 5 + (i % 11),
    p99: 40 + (i % 97), cpu_usage: i % 90, memory_usage: 1.5e8 + 1e6 * (i % 31), websocket_clients: 1 + (i % 5),
    jobs_active: i % 3, jobs_pending: i % 5, in_flight: 0, busy_ratio: (i % 33) / 32,
  },
  events: i % 30 ? [] : [happened(i / 30)],
  newest_event: Math.floor(i / 30) + 1,
  latency: Array.from({ length: page.history.width }, (_, k) => (k > 1 && k < 14 ? (i * (k + 3)) % 40 : 0)),
});
// every minute: the charts have 15 marks
const happened = (k) => ({
  sequence: k + 1, time: start / 1000 + 60 * k, kind: ["death", "reload", "alert", "alert_over", "boot_failed", "version"][k % 6],
  text: `event ${k} happened to worker ${1000 + k}`, pid: 1000 + k, cause: "SIGKILL", memory_bytes: 1e8 + k, aborted: 1,
});
// this daemon has no jobs: their list is answered here
page.token.fetch = function (path, options) {
  if (!path.startsWith("jobs")) return Object.getPrototypeOf(this).fetch.call(this, path, options);
  const jobs = Array.from({ length: 20 }, (_, k) => job(k));
  return Promise.resolve(new Response(JSON.stringify({ jobs, next: null, total: 20, kinds: {} }), { headers: { "Content-Type": "application/json" } }));
};
const start = Date.now();
const times = []; // of each frame, ms of the page's scripts, and of all until it is painted
const all = [];
const { frame } = page.frames.world;
const channel = new MessageChannel();
page.frames.world.frame = (draw) => frame(() => {
  const start = performance.now();
  draw();
  const scripts = performance.now() - start;
  channel.port2.onmessage = () => times.push([scripts, performance.now() - start]);
  channel.port1.postMessage(null);
});
for (let i = FROM; i < TO; i += 1) {
  now = 2 * i;  // of the page's clock, so that what is to be forgotten is
  page.handle({ type: "metrics", timestamp: "", data: { raw: raw(i) } });
  page.handle({ type: "detail", timestamp: "", data: detail(i) });
  if (i % 3 === 0) page.handle({ type: "job_update", timestamp: "", data: job(i, 50) });
  if (i % EVERY > 1) continue;
  page.timeline.cursor = i % 2 ? page.history.time(Math.floor(page.history.length / 2)) : null;
  if (i % EVERY === 0) page.frames.finish(); // what all messages before have brought
  if (i % EVERY === 0) times.length = 0;
  do await new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
  while (!page.frames.isDone);
  if (i % EVERY === 1) all.push(...times);
}
page.frames.world.frame = frame;
channel.port1.close(); // an open one keeps this script, and all that was compiled of it
const medianOf = (numbers) => numbers.sort((one, other) => one - other)[numbers.length >> 1];
return { scripts: medianOf(all.map(([scripts]) => scripts)), whole: medianOf(all.map(([, whole]) => whole)), frames: all.length,
  nodes: document.querySelectorAll("*").length };
