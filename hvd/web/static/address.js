/** What of the page is in its address: `#from=1764230400&to=1764230700&route=/pay`. A copied address shows the same again. */

const READABLE = /%(?:2F|3A|2C|40)/gi; // these mean nothing in a fragment, and addresses are read by people: / : , @

/** @param {string} fragment with or without its # @returns {Map<string, string>} in order */
export function parse(fragment) {
  const values = new Map();
  for (const part of fragment.replace(/^#/, "").split("&")) {
    const [key, ...rest] = part.split("=");
    if (key) values.set(decoded(key), decoded(rest.join("=")));
  }
  return values;
}

/** @param {Map<string, string>} values @returns {string} without # */
export const write = (values) => [...values].map(([key, value]) => `${encoded(key)}=${encoded(value)}`).join("&");

const encoded = (text) => encodeURIComponent(text).replace(READABLE, decodeURIComponent);

/** A link that was cut, or typed by hand, is taken as it is. */
function decoded(text) {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}

/** The page's address: read it, change it, follow the browser's back and forward. */
export class Address {
  /** @param {{location: Location, history: History, addEventListener: typeof addEventListener}} [world] */
  constructor(world = globalThis) {
    this.world = world;
    this.values = parse(world.location.hash);
    this.listeners = [];
    for (const event of ["popstate", "hashchange"]) world.addEventListener(event, () => this.#take(parse(world.location.hash)));
  }

  /** @returns {string | null} */
  get(key) {
    return this.values.get(key) ?? null;
  }

  /** @returns {number | null} null where there is none, or something else */
  number(key) {
    const text = this.get(key);
    const value = text ? Number(text) : NaN;
    return Number.isFinite(value) ? value : null;
  }

  /** Call it after each change, whoever made it, with the keys that have changed. @param {(keys: Set<string>) => void} changed */
  follow(changed) {
    this.listeners.push(changed);
  }

  /**
   * Change these keys; null takes one away, and all others stay.
   * @param {Record<string, string | number | null>} changes
   * @param {{isStep?: boolean}} [how] `isStep`: the browser's back undoes it; not for what moves all the while
   */
  set(changes, { isStep = true } = {}) {
    const values = new Map(this.values);
    for (const [key, value] of Object.entries(changes)) {
      if (value === null || value === undefined) values.delete(key);
      else values.set(key, String(value));
    }
    const fragment = write(values);
    if (fragment === write(this.values)) return;
    const { history, location } = this.world;
    // an empty fragment, and not no fragment, would leave a # behind
    const url = `${location.pathname}${location.search}${fragment && `#${fragment}`}`;
    if (isStep) history.pushState(null, "", url);
    else history.replaceState(null, "", url);
    this.#take(values);
  }

  #take(values) {
    const keys = new Set([...values.keys(), ...this.values.keys()]);
    for (const key of keys) if (values.get(key) === this.values.get(key)) keys.delete(key);
    this.values = values;
    if (keys.size) for (const listener of this.listeners) listener(keys);
  }
}
