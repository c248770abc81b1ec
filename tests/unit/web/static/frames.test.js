/** What is drawn in several frames: how much in each, and what is drawn anew. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Drawing, Frames } from "./frames.js";

/** A clock that parts let go on, and frames that the test lets come; the browser takes `painting` ms after each. */
class World {
  constructor(painting = 0) {
    this.time = 0;
    this.painting = painting;
    this.waiting = [];
  }

  now() {
    return this.time;
  }

  frame(draw) {
    this.waiting.push(draw);
  }

  afterFrame(done) {
    this.time += this.painting;
    done();
  }

  /** Let a frame come. @returns {number} ms of scripts in it */
  next() {
    const start = this.time;
    const draws = this.waiting;
    this.waiting = [];
    for (const draw of draws) draw();
    return this.time - start;
  }
}

/** A drawing of so many parts of 1 ms, which notes what it has drawn. */
function drawingOf(world, number) {
  const drawn = [];
  const drawing = new Drawing(function* () {
    for (let i = 0; i < number; i += 1) {
      world.time += 1;
      drawn.push(i);
      yield;
    }
  });
  return { drawing, drawn };
}

/** @returns {number[]} how many parts each frame drew, until none is wanted */
function framesOf(world, drawn) {
  const numbers = [];
  while (world.waiting.length) {
    const before = drawn.length;
    world.next();
    numbers.push(drawn.length - before);
  }
  return numbers;
}

test("what takes longer than a frame has room for goes on in the next", () => {
  const world = new World();
  const { drawing, drawn } = drawingOf(world, 40);
  const frames = new Frames(() => [drawing], world);
  drawing.want();
  frames.ask();
  frames.ask(); // once more is no other frame
  assert.equal(world.waiting.length, 1);
  const numbers = framesOf(world, drawn);
  assert.deepEqual(drawn, Array.from({ length: 40 }, (_, i) => i));
  assert.ok(Math.max(...numbers) <= 5, "no frame has more");
  assert.ok(Math.max(...numbers) > numbers[0], "more where there is room");
  assert.ok(frames.isDone);
});

test("where the browser takes long for what has changed, a frame changes less", () => {
  const world = new World(20);
  const { drawing, drawn } = drawingOf(world, 40);
  const frames = new Frames(() => [drawing], world);
  frames.budget = 5;
  drawing.want();
  frames.ask();
  const numbers = framesOf(world, drawn);
  assert.equal(numbers[0], 5);
  assert.deepEqual(numbers.slice(5, 10), [2, 2, 2, 2, 2]);
});

test("what is wanted again meanwhile is drawn to its end first, then anew", () => {
  const world = new World();
  const { drawing, drawn } = drawingOf(world, 3);
  const frames = new Frames(() => [drawing], world);
  drawing.want();
  frames.ask();
  world.next();
  drawing.want();
  frames.ask();
  framesOf(world, drawn);
  assert.deepEqual(drawn, [0, 1, 2, 0, 1, 2]);
});

test("one that takes all the time does not keep others from being drawn", () => {
  const world = new World();
  const [long, short] = [drawingOf(world, 100), drawingOf(world, 2)];
  const frames = new Frames(() => [long.drawing, short.drawing], world);
  for (const { drawing } of [long, short]) drawing.want();
  frames.ask();
  for (let i = 0; i < 3; i += 1) world.next();
  assert.deepEqual(short.drawn, [0, 1]);
  assert.ok(long.drawn.length < 100);
});

test("what fails is told, and is drawn once it is wanted again", () => {
  const world = new World();
  let isBroken = true;
  const broken = new Drawing(function* () {
    if (isBroken) throw new Error("no");
    yield;
  });
  const frames = new Frames(() => [broken], world);
  broken.want();
  frames.ask();
  assert.throws(() => world.next(), /no/);
  isBroken = false;
  broken.want();
  frames.ask();
  world.next();
  world.next();
  assert.ok(frames.isDone);
});

test("all can be drawn at once", () => {
  const world = new World();
  const { drawing, drawn } = drawingOf(world, 30);
  const frames = new Frames(() => [drawing], world);
  drawing.want();
  frames.finish();
  assert.equal(drawn.length, 30);
  assert.equal(world.waiting.length, 0);
});
