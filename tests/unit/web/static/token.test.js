/** The token: sent where it belongs, asked for again once it is refused, and kept in no address. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Token } from "./token.js";

let kept, told, asked, answers, token;
const storage = {
  getItem: (name) => kept.get(name) ?? null,
  setItem: (name, text) => kept.set(name, text),
  removeItem: (name) => kept.delete(name),
};
const answer = (status, challenge = null) => ({ status, headers: { get: () => challenge } });
const make = (from = storage) =>
  new Token(from, "hvd", { asked: (why) => told.push(why), given: () => told.push("given") }, {
    fetch: async (path, options) => (asked.push([path, options.headers]), answers.shift() ?? answer(200)),
  });
beforeEach(() => {
  [kept, told, asked, answers] = [new Map(), [], [], []];
  token = make();
});

test("it is asked for once the daemon wants one, and then goes along", async () => {
  answers = [answer(401, 'Bearer realm="hvd", scope="read"')];
  await token.fetch("status", { headers: { Accept: "a" } });
  token.use("s");
  await token.fetch("status", { headers: { Accept: "a" } });
  assert.deepEqual(asked, [["status", { Accept: "a" }], ["status", { Accept: "a", Authorization: "Bearer s" }]]);
  assert.deepEqual(told, ["The daemon asks for a token.", "given"]);
  assert.equal(make().text, "s");
});

test("one that is refused is forgotten, one of too small a scope is not", async () => {
  token.use("s");
  answers = [answer(403, 'Bearer realm="hvd", error="insufficient_scope"'), answer(401, 'Bearer realm="hvd"')];
  await token.fetch("jobs");
  assert.equal(kept.get("hvd"), "s");
  await token.fetch("status");
  assert.equal(kept.size, 0);
  assert.deepEqual(told.slice(1), ["That needs a token of another scope.", "The daemon has refused this token."]);
});

test("that one was refused is said until there is another one, whatever is asked without one meanwhile", async () => {
  token.use("s");
  answers = [answer(401, "Bearer"), answer(401, "Bearer")];
  await token.fetch("status");
  await token.fetch("jobs");
  assert.deepEqual(told.slice(1), Array(2).fill("The daemon has refused this token."));
});

test("neither another server's challenge nor a late answer says anything of it", async () => {
  answers = [answer(401, 'Basic realm="site"'), answer(403)];
  await token.fetch("status");
  await token.fetch("status");
  answers = [answer(401, "Bearer")];
  const late = token.fetch("status");
  token.use("new");
  await late;
  assert.deepEqual([told, token.text], [["given"], "new"]);
});

test("as a subprotocol it has no byte that may not be there", () => {
  assert.deepEqual(token.protocols, []);
  token.use("a/b=(c)~");
  assert.deepEqual(token.protocols, ["hvd", "hvd.bearer.a%2Fb%3D%28c%29~"]);
});

test("a browser that keeps nothing has it until the page is left", () => {
  const forbidden = () => {
    throw new Error("SecurityError");
  };
  const other = make({ getItem: forbidden, setItem: forbidden, removeItem: forbidden });
  other.use("s");
  assert.equal(other.text, "s");
});

test("a change that is refused says why", async () => {
  const problem = { status: 409, ok: false, headers: { get: (name) => (name === "Content-Type" ? "application/problem+json" : null) }, json: async () => ({ detail: "Too many." }) };
  answers = [{ ...answer(204), ok: true }, problem, { ...answer(502), ok: false }];
  assert.equal(await token.ask("PUT", "pins"), null);
  assert.deepEqual(await token.ask("PUT", "pins"), { status: 409, why: "Too many." });
  assert.deepEqual(await token.ask("PUT", "pins"), { status: 502, why: "a server in between answered 502." });
  token.world.fetch = async () => { throw new TypeError("no network"); };
  assert.deepEqual(await token.ask("PUT", "pins"), { status: 0, why: "the daemon can't be reached." });
});

test("what is sent gets the answer, or the reason why there is none", async () => {
  const json = (status, type, body) => ({ status, ok: status < 400, headers: { get: (name) => (name === "Content-Type" ? type : null) }, json: async () => body });
  answers = [json(202, "application/json", { id: "a" }), json(409, "application/problem+json", { detail: "It runs." }), json(502, "text/html")];
  assert.deepEqual(await token.send("POST", "jobs/a/retry", { "Idempotency-Key": "k" }), { answer: { id: "a" }, refusal: null });
  assert.deepEqual(asked[0], ["jobs/a/retry", { Accept: "application/json", "Idempotency-Key": "k" }]);
  assert.deepEqual((await token.send("POST", "x")).refusal, { status: 409, why: "It runs." });
  assert.deepEqual((await token.send("POST", "x")).refusal, { status: 502, why: "a server in between answered 502." });
});
