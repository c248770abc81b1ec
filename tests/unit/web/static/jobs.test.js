/** The kinds of job: how often the page asks for them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Kinds } from "./jobs.js";

test("a failure is no news: it is asked again with the next, and not in each frame", async () => {
  let [asked, changes] = [0, 0];
  const answers = [{ status: 0, body: null }, { status: 200, body: { kinds: { copy: {} } } }];
  const kinds = new Kinds(() => ((asked += 1), Promise.resolve(answers.shift())), () => (changes += 1));
  await kinds.hear("known");
  assert.deepEqual([asked, changes, kinds.names], [1, 0, []]);
  await kinds.hear("known");
  assert.deepEqual([asked, changes, kinds.names], [2, 1, ["copy"]]);
  await kinds.hear("known");
  assert.equal(asked, 2);
});
