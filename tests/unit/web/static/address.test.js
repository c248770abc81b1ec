/** The address of the page: what is in it, and what happens when it changes. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Address, parse, write } from "./address.js";

/** A browser's location and history, as far as they are used. */
class World {
  constructor(hash = "") {
    this.location = { pathname: "/hvd/", search: "", hash };
    this.visited = [hash];
    this.listeners = [];
    const go = (url) => (this.location.hash = url.slice(url.indexOf("#") < 0 ? url.length : url.indexOf("#")));
    this.history = {
      pushState: (state, unused, url) => this.visited.push(go(url)),
      replaceState: (state, unused, url) => (this.visited[this.visited.length - 1] = go(url)),
    };
    this.addEventListener = (name, listener) => this.listeners.push(listener);
  }

  back() {
    this.visited.pop();
    this.location.hash = this.visited.at(-1);
    this.listeners.forEach((listener) => listener()); // popstate and hashchange, both
  }
}

let world, address, changes;
beforeEach(() => {
  world = new World("#from=10&to=20&theirs=1");
  address = new Address(world);
  changes = [];
  address.follow((keys) => changes.push([...keys].sort().join()));
});

test("what is written is read again", () => {
  const values = new Map([["route", "/items/{id}/über?a=1&b=#x + y"], ["from", "12"], ["empty", ""]]);
  assert.deepEqual(parse(`#${write(values)}`), values);
  assert.equal(write(new Map([["route", "/pay"]])), "route=/pay");
  assert.deepEqual(parse("#"), new Map());
});

test("an address that was cut is taken as it is", () => {
  assert.deepEqual(parse("#route=/pay%E2%8&&=1&job"), new Map([["route", "/pay%E2%8"], ["job", ""]]));
  assert.equal(new Address(new World("#from=abc")).number("from"), null);
});

test("a key is set, and the others stay; back undoes it", () => {
  assert.equal(address.number("from"), 10);
  address.set({ route: "/pay", from: null });
  assert.equal(world.location.hash, "#to=20&theirs=1&route=/pay");
  world.back();
  assert.equal(address.get("route"), null);
  assert.equal(address.get("from"), "10");
  assert.deepEqual(changes, ["from,route", "from,route"]);
});

test("what moves all the while is no step to go back by, and the same again is none", () => {
  address.set({ to: 30 }, { isStep: false });
  address.set({ to: 30 });
  assert.deepEqual(world.visited, ["#from=10&to=30&theirs=1"]);
  address.set({ from: null, to: null, theirs: null });
  assert.equal(world.location.hash, "");
});
