// Messages as a daemon sends them, for a page that is shown what a test needs. Put before a script that has `page`.
const span = (more = {}) => ({
  seconds: 60, requests: 57_120, requests_per_second: 952, server_errors: 240, client_errors: 684, server_error_rate: 240 / 57_120,
  client_error_rate: 684 / 57_120, seconds_spent: 812, mean_ms: 14.2, p50_ms: 8.1, p90_ms: 31, p99_ms: 182, busy_ratio: 0.71, ...more,
});
const quiet = { requests: 0, requests_per_second: 0, server_errors: 0, client_errors: 0, server_error_rate: 0, client_error_rate: 0, seconds_spent: 0, mean_ms: null, p50_ms: null, p90_ms: null, p99_ms: null };
const stack = (file, line, name) => [
  { file: "/usr/lib/python3.11/ssl.py", line: 1134, function: "read" },
  { file: `/srv/shop/shop/${file}`, line, function: name },
  { file: "/srv/venv/lib/python3.11/site-packages/falcon/app.py", line: 365, function: "__call__" },
];
const request = (path, age, pid, at = ["payments/gateway.py", 88, "charge"], method = "POST") => ({
  method, path, age_seconds: age, pid, slot: pid % 100, stack: at ? stack(...at) : [], stack_age_seconds: at ? 0.4 : null,
});
const raw = (more = {}) => ({
  timestamp: new Date().toISOString(), http_requests: 1_204_511, http_errors: 9_020, http_client_errors: 8_400, http_server_errors: 620,
  avg_response_time: 13.9, active_connections: 3, websocket_clients: 3, memory_usage: 1.21e9, cpu_usage: 187.2, goroutines: 76, threads: 74,
  tasks: 2, uptime_seconds: 273_000, totals_since: new Date(Date.now() - 273e6).toISOString(), jobs_active: 2, jobs_pending: 5, jobs_completed: 1_900,
  jobs_failed: 3, jobs_cancelled: 1, queue_length: 5, runs_jobs: false, recent_jobs: [], provider_stats: {}, alerts: [], system_health: "healthy",
  health: "healthy", reasons: [], workers_alive: 16, worker_threads: 64, worker_threads_busy: 46, busy_ratio: 0.72, saturated_seconds: 0,
  accept_backlog: 0, accept_backlog_limit: 2048, queued_requests: 0, longest_requests: [], event_loop_lag_seconds: null, app_connections: 0,
  waiting_clients: { silent: 0, half_head: 0, half_body: 0, unread: 0, idle: 12 }, joined_processes: 0, last_minute: span(),
  minute_before: span({ requests: 51_000, requests_per_second: 850, server_errors: 0, server_error_rate: 0, client_error_rate: 0.0153, p99_ms: 45, busy_ratio: 0.55 }),
  ends: { planned: 12, unplanned: 2, failed_boots: 0 }, requests_per_second: 940, error_rate: 0.01, server_error_rate: 0.004, client_error_rate: 0.012,
  p50: 8, p90: 30, p99: 180, p50_with_open: 8, p90_with_open: 30, p99_with_open: 190, queue_time_p50: 0, queue_time_p99: 0,
  requests: { started: 1_204_557, finished: 1_204_511, in_flight: 46, aborted: 0 }, observed_age_seconds: 0.4, memory_age_seconds: 1, ...more,
});
const outage = (seconds = 192, more = {}) => raw({
  health: "degraded", system_health: "degraded", saturated_seconds: seconds, worker_threads_busy: 64, busy_ratio: 1, queued_requests: 410, accept_backlog: 128,
  reasons: [`saturated: all 64 threads busy for ${seconds} s; the oldest request POST /checkout/4711/pay for ${seconds} s`],
  requests_per_second: 0, last_minute: span({ ...quiet, busy_ratio: 1 }), minute_before: span({ ...quiet, busy_ratio: 1 }), p99: 0, p99_with_open: seconds * 1000,
  requests: { started: 1_204_575, finished: 1_204_511, in_flight: 64, aborted: 0 },
  longest_requests: [
    ...Array.from({ length: 7 }, (_, i) => request(`/checkout/${4711 + i}/pay`, seconds - i * 3, 4700 + (i % 4))),
    ...Array.from({ length: 2 }, (_, i) => request(`/reports/monthly`, seconds - 30 - i, 4705, ["reports/build.py", 311, "collect_rows"], "GET")),
    request("/health-of-partners?region=eu-central-1", seconds - 70, 4706, null, "GET"),
  ],
  ...more,
});
const show = (data) => page.handle({ type: "metrics", timestamp: "", data: { raw: data } });
// 70 routes, 16 workers, 500 jobs, numbers of 10^12
const many = () => {
  const workers = Array.from({ length: 16 }, (_, i) => ({
    pid: 4700 + i, slot: i, kind: "worker", age_seconds: 3000 - i, requests: 8.41e12, errors: i, in_flight: 1, cpu_percent: 11.5, memory_bytes: 3.2e12,
    busy: [{ method: "POST", path: `/checkout/${"long-".repeat(40)}${i}`, age_seconds: 3 }], threads: 5, requests_per_second: 1.2e9, server_errors: i % 3, client_errors: i,
    last_minute: { requests: 7.2e10, requests_per_second: 1.2e9, errors: 1.5e9, server_errors: i % 3 ? 0 : 1.2e9, client_errors: 3e8, cpu_percent: 11.5, memory_bytes: 3.2e12 },
  }));
  const routes = Array.from({ length: 70 }, (_, i) => {
    const route = `/api/v1/customers/{customer_id}/orders/{order_id}/positions/${i}/attachments`;
    const span = {
      route, methods: ["GET", "POST"], requests: 8.41e12, requests_per_second: 1.4e11, client_errors: 3, server_errors: 9, client_error_rate: 0.01,
      server_error_rate: 0.02, statuses: { 200: 8.41e12 }, seconds_spent: 900 + i, mean_ms: 15, p50_ms: 9, p90_ms: 20, p99_ms: 12_000,
    };
    return { ...span, count: 8.41e12, errors: 12, last_minute: span };
  });
  const jobs = Array.from({ length: 500 }, (_, k) => ({
    id: `01a21081-8bc0-735c-8883-${String(k).padStart(12, "0")}`, name: `convert customer-upload-${k}-of-the-night.mov`, kind: "convert", params: {},
    revision: 3, status: k < 3 ? "running" : k % 9 ? "completed" : "failed", progress: k < 3 ? 40 : 100, created_at: new Date().toISOString(),
    start_time: new Date().toISOString(), end_time: null, duration_seconds: 90, error_msg: k % 9 ? "" : "exit status 3",
  }));
  show(raw({ http_requests: 8.41e12, memory_usage: 3.2e12, websocket_clients: 123_456, worker_threads: 64_000, worker_threads_busy: 51_234,
    queued_requests: 1.2e12, last_minute: span({ requests: 1.23e12, requests_per_second: 2.05e10 }) }));
  page.handle({ type: "jobs", timestamp: "", data: { jobs } });
  page.handle({ type: "detail", timestamp: "", data: { workers, routes, restarts: 0, point: null, latency: null } });
};
