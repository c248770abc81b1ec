/** Own metrics: the rows of the list, what is charted, and the points of that. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { History } from "./history.js";
import { columnOf, keyOf, Own } from "./own.js";

let history, own;
beforeEach(() => {
  history = new History();
  own = new Own(history);
});

const series = (shop, value, recent) => ({ labels: { shop }, value, recent });
const orders = (north = 1, south = 2) => ({
  name: "orders", kind: "counter", unit: "", help: "Orders placed.", labels: ["shop"], recent: { rate: north + south }, series_total: 2,
  series: [series("north", 10, { rate: north }), series("south", 20, { rate: south })],
});
const pay = (p50 = 0.1, p99 = 0.5) => ({
  name: "pay_seconds", kind: "histogram", unit: "", help: "Time to pay.", labels: [], recent: { p50, p99 }, series_total: 1,
  series: [{ labels: {}, count: 7, sum: 1, recent: { p50, p99 } }],
});
const info = { name: "build", kind: "info", unit: "", help: "", recent: {}, series_total: 1, series: [{ labels: {}, info: { version: "1" }, recent: {} }] };
const at = (time, families, pinned = {}) => {
  history.add({ time, p50: 0 }, null);
  own.take(families, pinned, { time });
};
const line = (key, n = 0) => Array.from({ length: history.length }, (_, i) => history.at(columnOf(key, n), i));

test("a family of several series has a row for all of them", () => {
  own.take([orders(), pay(), info], {}, null);
  assert.deepEqual(own.rows.map(({ key, value, all = 0, unit }) => [key, value, all, unit]), [
    ["orders_total", 30, 2, ""],
    ['orders_total{shop="north"}', 10, 0, ""],
    ['orders_total{shop="south"}', 20, 0, ""],
    ["pay_seconds", 7, 0, "seconds"],
    ["build", { version: "1" }, 0, ""],
  ]);
});

test("all words are looked for, in name, labels and help; what is charted comes first", () => {
  own.take([orders(), pay()], {}, null);
  assert.deepEqual(own.found("SOUTH placed").map(({ key }) => key), ['orders_total{shop="south"}']);
  assert.equal(own.found("south pay").length, 0);
  own.toggle("pay_seconds");
  assert.deepEqual(own.found(" ").map(({ key }) => key)[0], "pay_seconds");
});

test("what is opened has a line from then on, and no more once it is closed", () => {
  at(2, [orders(5), pay()]);
  own.toggle("orders_total");
  own.toggle("pay_seconds");
  at(4, [orders(6), pay(0.2, 0.6)]);
  own.take([orders(60)], {}, null); // between two points
  own.toggle("orders_total");
  at(6, [orders(7), pay(null, 0.7)]);
  assert.deepEqual(line("orders_total"), [NaN, 8, NaN]);
  assert.deepEqual([line("pay_seconds"), line("pay_seconds", 1)], [[NaN, 0.2, NaN], [NaN, 0.6, 0.7]]);
  assert.deepEqual([...own.charted.keys()], ["pay_seconds"]);
});

test("what is pinned has the daemon's points, whichever come first", () => {
  for (const time of [2, 4]) history.add({ time, p50: 0 }, null);
  at(6, [orders(5)], { orders_total: { rate: 7 }, gone: {} });
  assert.ok(own.lacksPoints);
  own.load({ pins: [{ key: "orders_total", points: [[2, 1.5], [4, null]] }, { key: "gone", points: [[2, 9]] }] });
  assert.deepEqual(line("orders_total"), [1.5, NaN, 7]);
  assert.deepEqual([...own.charted.keys()], ["orders_total"]);
  own.lacksPoints = false;
  at(8, [orders(5)], { orders_total: { rate: 7 } });
  assert.ok(!own.lacksPoints && own.pinned.has("orders_total"));
  own.take([orders(5)], {}, null);
  assert.equal(own.charted.size, 0);
});

test("a chart stays while its metric is gone", () => {
  own.take([orders()], { orders_total: { rate: 3 } }, null);
  at(2, [], { orders_total: {} });
  assert.deepEqual(own.charted.get("orders_total").recent, { rate: null });
  assert.deepEqual(line("orders_total"), [NaN]);
});

test("a key is that of the daemon", () => {
  assert.equal(keyOf({ name: "orders", kind: "counter" }, { shop: 'a"b\\c\nd', x: "" }), 'orders_total{shop="a\\"b\\\\c\\nd",x=""}');
  assert.equal(keyOf({ name: "level", kind: "gauge" }, {}), "level");
});

test("series beyond the messages are found, and charted once they are pinned", () => {
  const partial = { ...orders(), series_total: 3 };
  own.take([partial], {}, null);
  assert.ok(own.isPartial);
  assert.equal(own.rows[0].value, null);
  own.know([{ ...orders(), series_total: 3, series: [...orders().series, { labels: { shop: "west" }, value: 4 }] }]);
  assert.deepEqual(own.found("west").map(({ key, isBeyond }) => [key, isBeyond]), [['orders_total{shop="west"}', true]]);
  assert.equal(own.found("").length, 3);
  at(2, [partial], { 'orders_total{shop="west"}': { rate: 4 } });
  assert.deepEqual(line('orders_total{shop="west"}'), [4]);
  assert.equal(own.charted.get('orders_total{shop="west"}').kind, "counter");
});
