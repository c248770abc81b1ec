/** What is said of a job: never a progress that nobody told, nor a time that it hasn't had. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cancelWords, firstSteps, linesText, progressOf, progressText, sinceOf, stateOf, timeOf, timesOf } from "./jobwords.js";

const at = Date.parse("2026-11-28T08:00:00Z") / 1000;
const pending = { name: "a", status: "pending", progress: 0, created_at: "2026-11-28T07:58:00Z", start_time: "2026-11-28T07:58:00Z", end_time: null, duration_seconds: 0 };
const running = { ...pending, status: "running", start_time: "2026-11-28T07:59:00Z", duration_seconds: 60 };
const failed = { ...running, status: "failed", end_time: "2026-11-28T07:59:30Z", duration_seconds: 30, progress: 45.7 };
const never = { ...pending, status: "cancelled", end_time: "2026-11-28T07:59:50Z" };

test("a job that hasn't said how far it is has no progress", () => {
  assert.deepEqual([pending, running, failed].map(progressOf), [null, null, 45.7]);
  assert.deepEqual([pending, running, failed].map(progressText), ["–", "–", "45 %"]);
});

test("times are those that it has had", () => {
  assert.deepEqual([pending, running, failed, never].map(timeOf), ["–", "1m 0s", "30s", "–"]);
  assert.deepEqual([pending, failed, never].map((job) => sinceOf(job, at)), ["2 min ago", "30 s ago", "10 s ago"]);
  assert.match(sinceOf(running, at), /^since \d\d:59:00$/);
  assert.deepEqual([pending, running, failed, never].map((job) => timesOf(job, at).map(([name]) => name).join()), ["Created", "Created,Started", "Created,Started,Ended", "Created,Ended"]);
  assert.equal(stateOf({ status: "other" }), "other");
});

test("before it is cancelled one knows what happens", () => {
  assert.match(cancelWords(pending)[1], /has not started/);
  assert.match(cancelWords(running).join(" "), /Cancel a\?.*1m 0s.*SIGTERM/);
});

test("output is text: colours are left out, and what a job means as text stays", () => {
  assert.equal(linesText(["\ufffd[1;32mok\ufffd[0m\tdone", "[0m <b>", "\ufffd"]), "ok    done\n[0m <b>\n\ufffd");
});

test("where there are no jobs the page says how to get one", () => {
  assert.match(firstSteps(null, "http://h/").join(), /hvd\.toml.*\[jobs\.kinds\.greet\]/s);
  const kinds = { copy: { params: { file: { type: "path", required: true }, level: { type: "int", min: 3, required: true }, mode: { choices: ["a"], required: true }, opt: { required: false } } } };
  const [, lines] = firstSteps(kinds, "http://h/hvd/");
  assert.match(lines, /^hvd jobs submit copy file=\/path\/to\/file level=3 mode=a --wait\n/);
  assert.match(lines, /curl http:\/\/h\/hvd\/jobs\/submit .*\n {2}-d '\{"kind":"copy","params":\{"file":"\/path\/to\/file","level":3,"mode":"a"\}\}'$/);
});
