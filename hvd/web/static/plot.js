/** A canvas with a time axis: sharp on any screen, in the page's colours; pointer and keys move the timeline. */

import { make, say } from "./dom.js";
import { clock, hour } from "./format.js";
import { Marking } from "./marking.js";
import { linesOf } from "./marks.js";
import { followPointer } from "./pointing.js";
import { times } from "./scale.js";

export const FONT = 11; // px
const BOTTOM = 20; // px for the times
const TOP = 20; // px for the marks
const TONES = ["muted", "grid", "card", "select", "bad", "warn", "good", "accent", "tint"];

/** The page's colours, read once for each colour scheme. */
export function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ...Object.fromEntries(TONES.map((name) => [name, colour(name)])),
    series: [colour("s0"), colour("s1"), colour("s2")],
    heat: [colour("h0"), colour("h1"), colour("h2")],
    font: `${FONT}px ${style.getPropertyValue("--font")}`,
  };
}

export class Plot {
  /**
   * @param {import("./timeline.js").Timeline} timeline
   * @param {string} label the chart's name for who can't see it
   * @param {{left: number, right: number}} margins px beside the plot, for labels
   */
  constructor(timeline, label, margins) {
    this.timeline = timeline;
    this.left = margins.left;
    this.margin = margins.right;
    this.top = TOP;
    this.width = this.height = this.ratio = 0;
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d");
    this.canvas.tabIndex = 0;
    // a slider along time: assistive technology then passes the arrow keys on and reads the values at each step
    for (const [name, value] of [["role", "slider"], ["aria-label", label], ["aria-valuemin", "0"]]) {
      this.canvas.setAttribute(name, value);
    }
    new ResizeObserver(([entry]) => {
      this.width = entry.contentRect.width;
      this.height = entry.contentRect.height;
      timeline.changed();
    }).observe(this.canvas);
    this.isInView = true;
    new IntersectionObserver((entries) => {
      this.isInView = entries.at(-1).isIntersecting;
      if (this.isInView) timeline.changed();
    }).observe(this.canvas);
    this.marking = new Marking(this);
    /** @type {[number, number] | null} px where the pointer is */
    this.pointer = null;
    /** @type {import("./marks.js").Mark | null} the mark that the pointer, or the keys, are at */
    this.pointed = null;
    this.tip = make("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    followPointer(this);
  }

  get right() {
    return this.width - this.margin;
  }

  get bottom() {
    return this.height - BOTTOM;
  }

  /** Make the canvas ready, with this window of time. False if there is nothing to draw on, or nobody sees it. */
  begin(theme) {
    if (!this.isInView || this.width < 60 || this.height < 60) return false;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.width * ratio);
    const height = Math.round(this.height * ratio);
    const isResized = this.canvas.width !== width || this.canvas.height !== height;
    if (isResized) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    [this.from, this.to] = this.timeline.window();
    this.scale = (this.right - this.left) / (this.to - this.from);
    const { context } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    // a canvas forgets its font when it is resized; to set it makes the browser compute the whole page's styles
    if (isResized || this.font !== theme.font) context.font = this.font = theme.font;
    context.textBaseline = "middle";
    return true;
  }

  /** px of a Unix time. */
  x(time) {
    return this.left + (time - this.from) * this.scale;
  }

  /** Unix time of px from the canvas's left. */
  time(x) {
    return this.from + (x - this.left) / this.scale;
  }

  /** Marks of time below the plot. */
  drawTimes(theme) {
    const { context } = this;
    const { marks, step } = times(this.from, this.to, (this.right - this.left) / 84);
    const form = step < 60 ? clock : hour;
    context.fillStyle = theme.muted;
    context.textAlign = "center";
    const half = context.measureText(form === clock ? "00:00:00" : "00:00").width / 2;
    for (const time of marks) {
      const text = form(time);
      const x = this.x(time);
      if (x - half >= 0 && x + half <= this.width) context.fillText(text, x, this.bottom + BOTTOM / 2 + 2);
    }
  }

  /** Lines across the plot, each with a text at its left. @param {[number, string][]} marks px from the top, and the text */
  drawGrid(theme, marks) {
    const { context } = this;
    context.strokeStyle = theme.grid;
    context.fillStyle = theme.muted;
    context.lineWidth = 1;
    context.textAlign = "right";
    context.setLineDash([]);
    context.beginPath();
    for (const [height, text] of marks) {
      const y = Math.round(height) + 0.5;
      context.moveTo(this.left, y);
      context.lineTo(this.right, y);
      context.fillText(text, this.left - 8, y);
    }
    context.stroke();
  }

  /** Draw inside the plot only, or so many px `below` it, and then the marks and the cursor. */
  drawInside(theme, below, draw) {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(this.left, 0, this.right - this.left, this.bottom + below);
    context.clip();
    draw();
    this.marking.place();
    this.marking.drawLines(theme);
    this.#drawCursor(theme);
    context.restore();
    this.marking.drawGlyphs(theme);
  }

  /** The cursor, and what is being dragged over. */
  #drawCursor(theme) {
    const { context, timeline } = this;
    if (timeline.drag) {
      const [from, to] = timeline.drag.map((time) => Math.min(this.right, Math.max(this.left, this.x(time))));
      context.fillStyle = theme.select;
      context.fillRect(from, this.top, to - from, this.bottom - this.top);
    }
    if (timeline.cursor === null) return;
    const x = Math.round(this.x(timeline.cursor)) + 0.5;
    context.strokeStyle = theme.muted;
    context.lineWidth = 1;
    context.setLineDash([]);
    context.beginPath();
    context.moveTo(x, this.top);
    context.lineTo(x, this.bottom);
    context.stroke();
  }

  /** Tell what mark is pointed at; and assistive technology where the cursor is, and what is there. @param {() => string} textOf */
  tell(i, textOf) {
    const { canvas } = this;
    const isFocused = document.activeElement === canvas;
    this.#point(isFocused);
    if (!isFocused && canvas.hasAttribute("aria-valuenow")) return;
    canvas.setAttribute("aria-valuemax", String(Math.max(0, this.timeline.history.length - 1)));
    canvas.setAttribute("aria-valuenow", String(Math.max(0, i)));
    const text = textOf();
    canvas.setAttribute("aria-valuetext", this.pointed ? `${this.#lines().join("; ")}; ${text}` : text);
  }

  #lines() {
    return linesOf(this.pointed, this.timeline.chosenOf(this.pointed));
  }

  #point(isFocused) {
    const { timeline, pointer, tip } = this;
    if (pointer) this.pointed = timeline.drag ? null : this.marking.at(...pointer);
    else this.pointed = isFocused && timeline.cursor !== null ? this.marking.ofTime(timeline.cursor, timeline.history.interval * 0.75) : null;
    this.canvas.classList.toggle("pointed", Boolean(pointer && this.pointed));
    tip.hidden = !this.pointed;
    if (!this.pointed) return;
    const lines = this.#lines();
    while (tip.children.length < lines.length) tip.append(make("p"));
    [...tip.children].forEach((line, at) => {
      line.hidden = at >= lines.length;
      say(line, lines[at] ?? "");
    });
    tip.className = `tip ${this.pointed.tone} ${(this.pointed.left + this.pointed.right) / 2 > this.width / 2 ? "left" : "right"}`;
  }
}
