/** A WebSocket that comes back by itself: 250 ms after a loss at first, twice as long each time, up to 5 s. */

const FIRST = 250; // ms
const MOST = 5000; // ms

export class Socket {
  /**
   * @param {string | URL} url
   * @param {{message: (message: any) => void, state: (state: "connecting" | "open" | "waiting", ms?: number) => void}} listener
   * @param {() => string[]} [protocols] what to offer as subprotocols, asked at each attempt
   * @param {{WebSocket: typeof WebSocket, Math: {random: () => number}, setTimeout: any, clearTimeout: any}} [world]
   */
  constructor(url, listener, protocols = () => [], world = globalThis) {
    this.url = url;
    this.protocols = protocols;
    this.listener = listener;
    this.world = world;
    this.failures = 0;
    this.timer = null;
    this.socket = null;
  }

  open() {
    this.#drop();
    this.listener.state("connecting");
    const socket = new this.world.WebSocket(this.url, this.protocols());
    this.socket = socket;
    socket.onopen = () => this.listener.state("open");
    socket.onmessage = (event) => {
      this.failures = 0; // a message, not a handshake: a server may accept and close at once
      this.listener.message(JSON.parse(event.data));
    };
    socket.onclose = () => this.#wait();
  }

  /** Give a connection up that says nothing, and try anew. */
  restart() {
    this.#drop();
    this.#wait();
  }

  /** Try now, if it waits: the network is back, or somebody looks. */
  hurry() {
    if (this.timer !== null) this.open();
  }

  close() {
    this.#drop();
  }

  #wait() {
    const longest = Math.min(MOST, FIRST * 2 ** Math.min(this.failures, 16));
    this.failures += 1;
    // jitter, or all the pages that a restart cut off would come back in the same moment
    const ms = longest * (0.5 + 0.5 * this.world.Math.random());
    this.socket = null;
    this.timer = this.world.setTimeout(() => this.open(), ms);
    this.listener.state("waiting", ms);
  }

  #drop() {
    if (this.timer !== null) this.world.clearTimeout(this.timer);
    this.timer = null;
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
  }
}
