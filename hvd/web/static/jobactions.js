/** What can be done with a job: cancel it, do it once more. One place for the list and the panel, which show the same. */

import { make } from "./dom.js";
import { isOpen } from "./joblist.js";
import { cancelWords } from "./jobwords.js";

export class JobActions {
  /** @param {import("./token.js").Token} token by which it is done @param {() => void} changed */
  constructor(token, changed) {
    this.token = token;
    this.changed = changed;
    this.forbidden = null; // the token for which the daemon has said no
    this.cancelled = new Set(); // ids of jobs that the user cancelled, and that have not ended yet
    this.retries = []; // jobs that the user made so
  }

  /** Whether the daemon is known to say no. */
  get isForbidden() {
    return this.forbidden === this.token.text;
  }

  /** Forget those that have ended. @param {any[]} jobs */
  settle(jobs) {
    for (const job of jobs) if (!isOpen(job)) this.cancelled.delete(job.id);
  }

  /** Ask whether it is meant, and cancel it -> what came of it, in words; empty where it wasn't meant. */
  async cancel(job) {
    const [question, meaning] = cancelWords(job);
    if (!(await confirm(question, meaning, "Cancel the job", "Keep it"))) return "";
    this.cancelled.add(job.id);
    this.changed();
    const { refusal } = await this.token.send("POST", `jobs/${encodeURIComponent(job.id)}/cancel`);
    if (refusal) this.cancelled.delete(job.id);
    this.changed();
    return refusal ? this.#why(`${job.name} was not cancelled`, refusal) : `${job.name} is told to end.`;
  }

  /** Do it once more -> the new job; or why not, in words. */
  async retry(job) {
    const headers = { "Idempotency-Key": key() };
    const { answer, refusal } = await this.token.send("POST", `jobs/${encodeURIComponent(job.id)}/retry`, headers);
    if (answer) this.retries.push(answer);
    this.changed();
    return refusal ? { why: this.#why(`${job.name} was not retried`, refusal) } : { job: answer };
  }

  #why(what, { status, why }) {
    if (status !== 403) return `${what}: ${why}`;
    this.forbidden = this.token.text;
    return `Jobs can't be changed from here: ${why}`;
  }
}

/** So that one click makes one job, whatever happens on the way. crypto.randomUUID is for https alone. */
const key = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Ask in a window over the page -> whether the answer was yes; Esc is no. */
function confirm(question, meaning, yes, no) {
  const dialog = make(
    "dialog",
    { class: "confirm", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text" },
    make("h2", { id: "confirm-title", text: question }),
    make("p", { id: "confirm-text", text: meaning }),
    make("div", { class: "buttons" }, button(no, "no", { autofocus: true }), button(yes, "yes", { class: "danger" })),
  );
  function button(text, answer, more) {
    const element = make("button", { type: "button", text, ...more });
    element.addEventListener("click", () => dialog.close(answer));
    return element;
  }
  document.body.append(dialog);
  dialog.addEventListener("keydown", (event) => event.stopPropagation()); // Esc is for it alone
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
