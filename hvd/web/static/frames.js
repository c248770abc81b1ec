/** What is drawn part by part, in as many frames as it takes: none of them takes long. Knows no page. */

const WHOLE = 6; // ms that a frame may take: scripts, and all that the browser lays out and paints because of them
const [LEAST, MOST] = [2, 5]; // ms of it for scripts

/** A drawing: its parts are drawn one after the other, and from the first on once more if it was wanted again meanwhile. */
export class Drawing {
  /** @param {() => Iterator<void>} parts each `next` draws one */
  constructor(parts) {
    this.parts = parts;
    this.isWanted = false;
    this.rest = null; // of the parts, while some are drawn
  }

  want() {
    this.isWanted = true;
  }

  get isDone() {
    return !this.isWanted && !this.rest;
  }

  /** Draw the next part. */
  step() {
    if (this.isDone) return;
    if (!this.rest) {
      this.isWanted = false;
      this.rest = this.parts();
    }
    const { rest } = this;
    this.rest = null; // what fails is begun anew
    if (!rest.next().done) this.rest = rest;
  }
}

export class Frames {
  /** @param {() => Drawing[]} drawings that may be drawn now; each gets one part a frame at least */
  constructor(drawings, world = browser()) {
    this.drawings = drawings;
    this.world = world;
    this.budget = LEAST; // ms for scripts: less where a frame takes long because of what they have changed
    this.isAsked = false;
  }

  get isDone() {
    return this.drawings().every((drawing) => drawing.isDone);
  }

  /** Draw what is wanted, from the next frame on. */
  ask() {
    if (this.isAsked) return;
    this.isAsked = true;
    this.world.frame(() => {
      this.isAsked = false;
      const start = this.world.now();
      this.#draw(start + this.budget);
      if (!this.isDone) this.world.afterFrame(() => this.#learn(this.world.now() - start));
    });
  }

  /** Draw all of it now. */
  finish() {
    this.#draw(Infinity);
  }

  #draw(end) {
    try {
      for (const drawing of this.drawings()) {
        do drawing.step();
        while (!drawing.isDone && this.world.now() < end);
      }
    } finally {
      if (!this.isDone) this.ask();
    }
  }

  /** A frame that had work to the end of its budget has taken so many ms. */
  #learn(whole) {
    this.budget = Math.min(MOST, Math.max(LEAST, this.budget * (whole > WHOLE ? 0.7 : 1.1)));
  }
}

/** Clock and frames of a real browser. A message that is posted in a frame comes once it is painted. */
function browser() {
  const { port1, port2 } = new MessageChannel();
  let after = () => {};
  port2.onmessage = () => after();
  return {
    now: () => performance.now(),
    frame: (draw) => requestAnimationFrame(draw),
    afterFrame: (done) => {
      after = done;
      port1.postMessage(null);
    },
  };
}

/** Draw all parts at once. @param {Iterator<void>} parts */
export function finish(parts) {
  while (!parts.next().done);
}
