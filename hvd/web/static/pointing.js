/** Pointer and keys on a plot: the cursor, dragging, zoom, and the marks that are pointed at. */

const DRAGGED = 5; // px from which a press is a drag

/** @param {object} plot a Plot, of plot.js */
export function followPointer(plot) {
  const { canvas, timeline } = plot;
  let pressed = null; // x where a mouse's button went down
  let told = null; // what a touch has been told before this one
  const inside = (event) => Math.min(plot.right, Math.max(plot.left, event.offsetX));
  const point = (event) => {
    plot.pointer = [event.offsetX, event.offsetY];
    timeline.point(plot.time(inside(event)));
  };
  canvas.addEventListener("pointerdown", (event) => {
    told = plot.pointed;
    if (event.pointerType !== "mouse") return point(event);
    if (event.button !== 0) return;
    pressed = inside(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const x = inside(event);
    point(event);
    if (pressed !== null && Math.abs(x - pressed) >= DRAGGED) timeline.select(plot.time(pressed), plot.time(x));
  });
  canvas.addEventListener("pointerup", () => {
    pressed = null;
    timeline.zoomIn();
  });
  canvas.addEventListener("pointercancel", () => {
    pressed = null;
    timeline.select(null);
  });
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "mouse") return; // a finger has told its mark, which stays to be read
    plot.pointer = null;
    if (pressed === null) timeline.point(null);
  });
  canvas.addEventListener("click", (event) => {
    const mark = plot.marking.at(event.offsetX, event.offsetY);
    if (mark && (event.pointerType !== "touch" || isSame(mark, told))) timeline.open(mark);
  });
  canvas.addEventListener("dblclick", () => timeline.reset());
  canvas.addEventListener("blur", () => {
    plot.pointer = null;
    timeline.point(null);
  });
  canvas.addEventListener("keydown", (event) => pressKey(plot, event));
}

/** Marks are found anew in each frame: the same one has the same event. */
const isSame = (one, other) => one.events[0] === other?.events[0];

function pressKey(plot, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { timeline } = plot;
  const far = event.shiftKey ? 10 : 1;
  const keys = {
    ArrowLeft: () => timeline.step(-far),
    ArrowRight: () => timeline.step(far),
    PageUp: () => timeline.step(30),
    PageDown: () => timeline.step(-30),
    Home: () => timeline.point(timeline.window()[0]),
    End: () => timeline.point(timeline.window()[1]),
    "+": () => timeline.zoomBy(0.5),
    "=": () => timeline.zoomBy(0.5),
    "-": () => timeline.zoomBy(2),
    m: () => timeline.stepMark(-1),
    M: () => timeline.stepMark(1),
    Enter: () => plot.pointed && timeline.open(plot.pointed),
    Escape: () => timeline.reset(),
  };
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  plot.pointer = null; // the keys lead now
  act();
}
