/** The list of jobs: its order, its pages, and what it makes of news between two answers. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { JobList, SIZE } from "./joblist.js";

let now, timers, asked, answers, changes, list;
const job = (n, status = "completed", more = {}) => ({ id: `0${String(n).padStart(4, "0")}`, kind: "copy", name: `job ${n}`, status, revision: 1, progress: 0, ...more });
const ok = (jobs, next = null, total = jobs.length) => ({ status: 200, body: { jobs, next, total }, why: "" });
const settle = () => new Promise((done) => setImmediate(done));
const raw = (completed) => ({ jobs_active: 0, jobs_pending: 0, jobs_completed: completed, jobs_failed: 0, jobs_cancelled: 0 });
const live = (...jobs) => new Map(jobs.map((each) => [each.id, { job: each }]));
const ids = () => list.rows().map(({ id }) => Number(id));
const world = {
  performance: { now: () => now },
  setTimeout: (run, pause) => timers.push({ run, at: now + pause }),
  clearTimeout: (id) => id && (timers[id - 1].run = () => {}),
};

function hear(completed, jobs = new Map(), token = "") {
  list.hear({ raw: raw(completed), jobs }, token);
}

async function pass(ms) {
  now += ms;
  for (const timer of timers.filter(({ at }) => at <= now)) {
    const { run } = timer;
    timer.run = () => {};
    run();
  }
  await settle();
}

beforeEach(() => {
  [now, timers, asked, answers, changes] = [100000, [], [], [], 0];
  const ask = (path) => (asked.push(path), Promise.resolve(answers.shift() ?? ok([])));
  list = new JobList(ask, () => (changes += 1), world);
});

test("it asks for the first page, and again as jobs come and go, but not all the time", async () => {
  answers = [ok([job(1)]), ok([job(2), job(1)])];
  hear(1);
  await pass(0);
  assert.deepEqual([asked, ids(), changes], [[`jobs?order=open&limit=${SIZE}`], [1], 1]);
  for (let i = 0; i < 50; i += 1) hear(1);
  await pass(5000);
  assert.equal(asked.length, 1, "nothing has happened");
  hear(2);
  await pass(0);
  assert.deepEqual([asked.length, ids()], [2, [2, 1]]);
  for (let i = 3; i < 50; i += 1) hear(i);
  await pass(1999);
  assert.equal(asked.length, 2);
  await pass(1);
  assert.equal(asked.length, 3, "of all that once");
  await pass(30000);
  hear(49);
  await pass(0);
  assert.equal(asked.length, 4, "old ones are deleted meanwhile");
  hear(49, new Map(), "another token");
  await pass(2000);
  assert.equal(asked.length, 5);
});

test("the first page shows at once what the daemon tells: what runs, what waits, then the newest", async () => {
  answers = [ok([job(3, "running"), job(2), job(1)])];
  hear(2);
  await pass(0);
  hear(2, live(job(3, "completed", { revision: 2 }), job(2, "running", { revision: 0 }), job(4, "pending"), job(5, "running", { progress: 7 })));
  assert.deepEqual(list.rows().map(({ id, status }) => [Number(id), status]), [[5, "running"], [4, "pending"], [3, "completed"], [2, "completed"], [1, "completed"]]);
  const many = Array.from({ length: 100 }, (_, i) => job(i + 10));
  hear(2, live(...many));
  assert.equal(list.rows().length, SIZE);
});

test("what a filter leaves out is not shown, whoever tells of it", async () => {
  answers = [ok([]), ok([job(2, "failed", { name: "Image" })])];
  hear(0);
  await pass(0);
  list.show({ status: "failed", search: "IMAGE", kind: "copy" });
  await settle();
  assert.equal(asked[1], `jobs?order=open&limit=${SIZE}&status=failed&kind=copy&search=IMAGE`);
  hear(0, live(job(3, "failed", { name: "an image" }), job(4, "completed", { name: "image" }), job(5, "failed"), job(6, "failed", { name: "image", kind: "x" })));
  assert.deepEqual(ids(), [3, 2]);
  assert.equal(list.isFiltered, true);
});

test("pages follow each other, and say where in the list they are", async () => {
  const page = (first) => Array.from({ length: SIZE }, (_, i) => job(first - i));
  answers = [ok(page(500), "ended.a", 500), ok(page(480), "ended.b", 500), ok(page(460), null, null), ok(page(480), "ended.b", 500)];
  hear(1);
  await pass(0);
  assert.deepEqual([list.range(SIZE), list.isFirst], ["1–20 of 500", true]);
  list.older();
  await settle();
  assert.ok(asked[1].endsWith("&before=ended.a"));
  assert.deepEqual([list.range(SIZE), ids()[0]], ["21–40 of 500", 480]);
  hear(1, live(job(999, "running"), job(480, "failed", { revision: 2 })));
  assert.deepEqual([list.rows()[0].id, list.rows()[0].status], [job(480).id, "failed"], "others don't move them");
  list.older();
  await settle();
  assert.deepEqual([list.range(7), list.next], ["41–47", null]);
  list.older();
  list.newer();
  await settle();
  assert.deepEqual([asked.length, list.range(SIZE)], [4, "21–40 of 500"]);
  answers = [ok([]), ok([job(1)])];
  list.refresh();
  await pass(2000);
  await settle();
  assert.deepEqual([list.isFirst, ids().includes(1)], [true, true], "its jobs are gone: the first page");
  assert.equal(list.range(0), "");
});

test("an answer to what is no longer asked is passed over", async () => {
  let release;
  const slow = new Promise((done) => (release = done));
  list.ask = (path) => (asked.push(path), asked.length === 1 ? slow : Promise.resolve(ok([job(2)])));
  hear(0);
  await pass(0);
  list.show({ search: "2" });
  assert.equal(asked.length, 1, "one question at a time");
  release(ok([job(1)]));
  await settle();
  await settle();
  assert.deepEqual([asked.length, ids()], [2, [2]]);
});

test("nothing is asked before the first news, nor where no kind is declared", async () => {
  list.hear({ raw: null, jobs: new Map() }, "");
  list.hear({ raw: { ...raw(0), runs_jobs: false }, jobs: new Map() }, "");
  await pass(60000);
  assert.deepEqual([asked, list.state], [[], "undeclared"]);
  list.hear({ raw: { ...raw(0), runs_jobs: true }, jobs: new Map() }, "");
  await pass(0);
  assert.deepEqual([asked.length, list.state], [1, "known"]);
});

test("without kinds there are no jobs; what can't be read keeps what was, and says why", async () => {
  answers = [{ status: 404, body: {}, why: "No kinds" }, ok([job(1)]), { status: 503, body: {}, why: "away" }, ok([])];
  hear(0);
  await pass(0);
  assert.deepEqual([list.state, list.trouble, ids()], ["undeclared", "", []]);
  await pass(30000);
  hear(0);
  await pass(0);
  assert.deepEqual([list.state, ids()], ["known", [1]], "kinds were declared meanwhile");
  hear(1);
  await pass(2000);
  assert.deepEqual([list.state, list.trouble, ids()], ["known", "away", [1]]);
  hear(2);
  await pass(2000);
  assert.equal(list.trouble, "");
});

test("the newest job that retries another is known from the list and from others", async () => {
  answers = [ok([job(3, "failed", { retry_of: "00001" }), job(1, "failed")])];
  hear(1);
  await pass(0);
  const newest = (id, others) => list.retryOf(id, others)?.id;
  assert.deepEqual([newest("00001"), newest("00003")], ["00003", undefined]);
  assert.equal(newest("00001", [job(2, "failed", { retry_of: "00001" }), job(4, "failed", { retry_of: "00001" }), job(5)]), "00004");
});
