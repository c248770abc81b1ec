/** The dashboard: what comes in, what is drawn when. Everything is drawn once a frame, and only what has changed. */

import { Charts } from "./charts.js";
import { make, mark, say } from "./dom.js";
import { clock } from "./format.js";
import { History } from "./history.js";
import { addJobs } from "./jobs.js";
import { addRoutes, addWorkers } from "./lists.js";
import { Model } from "./model.js";
import { readTheme } from "./plot.js";
import { Socket } from "./socket.js";
import { Status } from "./status.js";
import { addEvents, addTiles, showHealth } from "./tiles.js";
import { Timeline } from "./timeline.js";

const SPANS = [["1 min", 60], ["5 min", 300], ["15 min", 900]];
const TITLES = new Map([[60, "Last minute"], [300, "Last 5 minutes"], [900, "Last 15 minutes"]]);

const $ = (id) => document.getElementById(id);

class Page {
  constructor() {
    this.history = new History();
    this.model = new Model(this.history);
    this.timeline = new Timeline(this.history, () => this.changed());
    this.isPaused = false;
    this.theme = readTheme();
    this.news = true; // numbers have come since they were drawn
    this.frame = 0;
    const changed = () => this.changed(true);
    this.charts = new Charts($("charts"), this.timeline);
    this.views = [
      addTiles($("tiles")),
      (model) => showHealth($("health"), model),
      addEvents($("events")),
      addWorkers($("workers")),
      addJobs($("jobs"), changed),
      addRoutes($("routes"), changed),
      ({ version }) => version && say($("version"), `hvd ${version}`),
    ];
    this.status = new Status(this.model, () => this.socket.restart());
    const url = new URL("ws?detail=1", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    this.socket = new Socket(url, { message: (message) => this.handle(message), state: (state) => this.#connected(state) });
    say($("host"), location.host);
    this.#controls();
  }

  start() {
    this.#load();
    this.socket.open();
  }

  /** Take a message of the socket. */
  handle(message) {
    const hasEnded = this.model.message(message);
    if (message.type === "metrics") this.status.heard();
    if (hasEnded) this.#loadSnapshot();
    this.changed(true);
  }

  /** Something is to be drawn, in the next frame; `news` if it is numbers. */
  changed(news = false) {
    this.news ||= news;
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.charts.draw(this.theme);
    this.#drawTools();
    if (!this.news || this.isPaused) return;
    for (const view of this.views) view(this.model);
    this.news = false;
  }

  #connected(state) {
    this.status.connected(state);
    // what was missed meanwhile; the first time it is being fetched already
    if (state === "open" && this.wasOpen) this.#load();
    this.wasOpen ||= state === "open";
  }

  #load() {
    this.#loadSnapshot();
    get("api/v1/history", (answer) => {
      this.history.load(answer);
      this.changed(true);
    });
  }

  #loadSnapshot() {
    get("api/v1/snapshot", (answer) => {
      this.model.snapshot(answer);
      this.status.heard();
      this.changed(true);
    });
  }

  #drawTools() {
    const { timeline } = this;
    const [from, to] = timeline.window();
    $("reset").hidden = !timeline.zoom;
    say($("charts-title"), timeline.zoom ? `${clock(from)} to ${clock(to)}` : TITLES.get(timeline.span));
    const at = timeline.cursor !== null ? `at ${clock(timeline.cursor)}` : this.isPaused ? `paused at ${clock(to)}` : "";
    say($("cursor"), at);
    for (const button of $("spans").children) mark(button, "aria-pressed", !timeline.zoom && Number(button.value) === timeline.span);
  }

  #controls() {
    for (const [text, span] of SPANS) {
      const button = make("button", { type: "button", value: span, text });
      button.addEventListener("click", () => this.timeline.show(span));
      $("spans").append(button);
    }
    $("reset").addEventListener("click", () => this.timeline.reset());
    $("pause").addEventListener("click", () => this.#pause());
    document.addEventListener("keydown", (event) => {
      const isTyped = event.target.matches?.("input") || event.ctrlKey || event.metaKey || event.altKey;
      if (event.key.toLowerCase() === "p" && !isTyped) this.#pause();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.theme = readTheme();
      this.changed();
    });
    addEventListener("online", () => this.socket.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.socket.hurry());
  }

  #pause() {
    this.isPaused = !this.isPaused;
    mark($("pause"), "aria-pressed", this.isPaused);
    say($("pause").querySelector(".word"), this.isPaused ? "Resume" : "Pause");
    this.timeline.pause(this.isPaused);
  }
}

/** What the daemon answers there; where it doesn't, the state of the connection says so already. */
async function get(path, take) {
  try {
    const answer = await fetch(path, { headers: { Accept: "application/json" } });
    if (answer.ok) take(await answer.json());
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

export const page = new Page();
page.start();
