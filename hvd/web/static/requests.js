/** Requests in progress, from one message to the next: which is which, how old it is by now, and where its thread stands. Pure. */

const SAME = 1; // s: what began within so long of another, in one process and with one path, may be the same request

/**
 * A request, and the name that it keeps while it is in progress.
 * @typedef {{method: string, path: string, age_seconds: number, pid: number, id: number, began: number,
 *   stack: Frame[], stack_age_seconds: number | null}} Followed
 * @typedef {{file: string, line: number, function: string}} Frame
 */

let last = 0;

/**
 * Requests as a message has them -> the same, each with the `id` that it had before, or with a new one.
 * @param {Followed[]} known @param {object[]} requests @param {number} now in s
 * @returns {Followed[]}
 */
export function follow(known, requests, now) {
  const left = new Set(known);
  return requests.map((request) => {
    const began = now - request.age_seconds;
    const isSame = (other) =>
      other.pid === request.pid && other.path === request.path && other.method === request.method && Math.abs(other.began - began) < SAME;
    const before = [...left].find(isSame);
    left.delete(before);
    return { ...request, stack: request.stack ?? [], id: before?.id ?? (last += 1), began };
  });
}

/** s since it began. */
export const ageOf = ({ began }, now) => now - began;

const FOREIGN = /\/(?:site|dist)-packages\/|\/lib\/python\d|^<|^\/proc\//;

/** The innermost frame in the app's own code; the innermost one where all is of packages. @param {Frame[]} stack */
export const placeOf = (stack) => stack.find(({ file }) => !FOREIGN.test(file)) ?? stack[0] ?? null;

/** A frame as people name it: `shop/views.py:12 in checkout`, or with the whole path. @param {Frame} frame */
export const frameText = ({ file, line, function: name }, whole = false) =>
  `${whole ? file : file.split("/").slice(-2).join("/")}:${line} in ${name}`;
