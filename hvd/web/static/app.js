/** The dashboard: what comes in, what is drawn when. Only what has changed is drawn, a part of it in each frame. */

import { Address } from "./address.js";
import { Badge } from "./badge.js";
import { addChanges } from "./changes.js";
import { Charts } from "./charts.js";
import { Contact } from "./contact.js";
import { Copier } from "./copying.js";
import { mark, say } from "./dom.js";
import { addEventPanel } from "./eventpanel.js";
import { addEvents } from "./events.js";
import { addHints } from "./hints.js";
import { Drawing, Frames } from "./frames.js";
import { History } from "./history.js";
import { addJobs } from "./jobs.js";
import { Load } from "./load.js";
import { addLongest } from "./longest.js";
import { Model } from "./model.js";
import { addOwn } from "./ownlist.js";
import { addName } from "./name.js";
import { addNow } from "./now.js";
import { Outage } from "./outage.js";
import { Panels } from "./panel.js";
import { readTheme } from "./plot.js";
import { Poll, Question } from "./poll.js";
import { addRoutePanel } from "./routepanel.js";
import { addRoutes } from "./routes.js";
import { RouteSpans } from "./routespans.js";
import { Socket } from "./socket.js";
import { addStatus } from "./status.js";
import { addTimebar } from "./timebar.js";
import { Timeline } from "./timeline.js";
import { addTokenForm, sessionStorageOrNone, Token } from "./token.js";
import { sinceOf } from "./verdict.js";
import { addWorkerPanel } from "./workerpanel.js";
import { addWorkers } from "./workers.js";

const CHECKED = 500; // ms between two looks at the clock

const $ = (id) => document.getElementById(id);

class Page {
  constructor() {
    this.history = new History();
    this.model = new Model(this.history);
    this.timeline = new Timeline(this.history, () => this.changed());
    this.isPaused = false;
    this.theme = readTheme();
    this.look = new Drawing(() => this.#drawLook());
    this.news = new Drawing(() => this.#drawNews());
    this.frames = new Frames(() => (this.isPaused ? [this.look] : [this.look, this.news]));
    const changed = () => this.changed(true);
    const askForToken = addTokenForm($("token"), (text) => this.token.use(text));
    this.token = new Token(sessionStorageOrNone(), `hvd ${new URL(".", document.baseURI)}`, {
      asked: askForToken,
      given: () => {
        askForToken(null);
        this.#connectAnew();
      },
    });
    this.address = new Address();
    this.panels = new Panels($("panel"), this.address, changed);
    this.load = new Load(this.model, (path, how) => this.token.fetch(path, how), () => {
      this.#learnInterval();
      changed();
    });
    this.charts = new Charts($("charts"), this.timeline);
    const copier = new Copier();
    this.drawTimebar = addTimebar(document, this.timeline, this.address, copier, () => this.own.charts());
    addEventPanel(this.panels, this.model, this.timeline, copier);
    this.outage = new Outage($("outage"));
    this.longest = addLongest($("longest"), this.panels);
    const ask = (path, take) => this.load.get(path, take);
    this.routes = addRoutes($("routes"), this.panels, new RouteSpans(this.timeline, ask));
    addRoutePanel(this.panels, this.timeline, ask);
    addWorkerPanel(this.panels, ask, () => this.theme);
    this.own = addOwn($("own"), this.timeline, changed, this.token, { pins: () => this.load.pins(), all: () => this.load.allOwn() });
    this.views = [
      (model) => this.outage.view(model),
      addNow($("now")),
      this.longest.view,
      addChanges($("changes"), this.panels),
      this.routes.view,
      addWorkers($("workers"), this.panels),
      addJobs($("jobs"), changed, this.token, this.panels),
      this.own.view,
      addEvents($("events"), this.panels),
      addName(document, location.host),
      (model) => this.panels.update(model),
    ];
    addHints(document);
    this.#connect();
    this.#controls();
  }

  #connect() {
    const url = new URL("ws?detail=1", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const listener = { message: (message) => this.handle(message), state: (state) => this.#connected(state) };
    this.socket = new Socket(url, listener, () => this.token.protocols);
    const world = { AbortSignal, performance, fetch: (...request) => this.token.fetch(...request) };
    const failed = (why, asked) => this.contact.noteHttpFailure(why, asked);
    const health = new Question("health", {
      answered: ({ status, reasons }, asked) => this.contact.reportFromHttp(status, reasons ?? [], asked),
      failed,
      odd: (what) => this.contact.noteForeignAnswer(what),
    }, world);
    // what it says of odd answers, /health says too
    this.snapshot = new Question("api/v1/snapshot", { answered: (...answer) => this.#takeSnapshot(...answer), failed, odd: () => {} }, world);
    const badge = new Badge(document, location.host, (state) => this.#since(state));
    const showStatus = addStatus($("connection"));
    this.contact = new Contact(new Poll([health, this.snapshot]), {
      restart: () => this.socket.restart(),
      changed: (contact) => {
        badge.show(contact.verdict);
        showStatus(contact);
        this.outage.hear(contact);
      },
    });
  }

  start() {
    this.changed(true);
    this.panels.follow();
    this.load.history();
    this.load.events();
    this.socket.open();
    setInterval(() => this.#check(), CHECKED);
  }

  /** Look at the clock. A hidden tab follows too, if only once a minute: so nothing here waits for a frame. */
  #check() {
    this.contact.check();
    if (this.isPaused || document.hidden || this.contact.isStale) return;
    this.outage.tick(this.model.now());
    this.longest.tick(this.model.now());
  }

  /** Take a message of the socket. */
  handle(message) {
    const hasEnded = this.model.message(message);
    if (message.type === "metrics") {
      this.contact.gotNumbers();
      this.contact.reportFromSocket(...this.model.health);
    }
    if (message.type === "status") this.#learnInterval();
    if (this.model.own.lacksPoints) this.load.pins();
    if (this.model.lacksEvents) this.load.events();
    if (hasEnded) this.snapshot.ask(true);
    this.changed(true);
  }

  /** Since when the daemon is in that state; of one that is silent, since it was heard. */
  #since(state) {
    const { report } = this.contact;
    return state === "unreachable" || state === "unknown" ? (report?.wall ?? null) : (sinceOf(state, this.model.events) ?? this.outage.trouble?.since);
  }

  /** From the socket itself, which says so at once; HTTP may be stuck. Not below the 2 s of the history: a tick may be late. */
  #learnInterval() {
    this.contact.interval = Math.max(this.model.interval ?? 0, this.history.interval);
  }

  #takeSnapshot(answer, asked) {
    this.model.snapshot(answer);
    this.contact.gotNumbers();
    if (answer.reasons) this.contact.reportFromHttp(...this.model.health, asked); // without them /health says more
    this.changed(true);
  }

  /** Something is to be drawn, in the next frame; `news` if it is numbers. */
  changed(news = false) {
    this.look.want();
    if (news) this.news.want();
    this.frames.ask();
  }

  /** The charts first: a canvas would have the page's styles computed once more, after other parts. */
  *#drawLook() {
    this.timeline.events = this.model.events;
    yield* this.charts.draw(this.theme);
    yield* this.own.draw(this.theme);
    this.drawTimebar();
    yield* this.routes.follow();
    if (this.isPaused) this.panels.fill(this.model);
  }

  *#drawNews() {
    for (const view of this.views) {
      yield* view(this.model) ?? [];
      yield;
    }
  }

  #connected(state) {
    this.contact.connected(state);
    if (state !== "open") return;
    // what was missed meanwhile; the first time it is being fetched already
    if (this.wasOpen) {
      this.load.history();
      this.load.pins();
      this.snapshot.ask(true);
    }
    this.wasOpen = true;
  }

  /** With another token than before. */
  #connectAnew() {
    this.load.history();
    this.snapshot.ask(true);
    this.socket.open();
  }

  #controls() {
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
    this.frames.finish(); // nothing stands half drawn
    this.isPaused = !this.isPaused;
    mark($("pause"), "aria-pressed", this.isPaused);
    say($("pause").querySelector(".word"), this.isPaused ? "Resume" : "Pause");
    this.timeline.pause(this.isPaused);
  }
}

export const page = new Page();
page.start();
