/** Where the ticks of an axis are. Pure. */

const MINUTE = 60;
const TIMES = [1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, 60 * MINUTE];

/**
 * A scale from 0 that holds `most`, in at most `steps` steps of 1, 2, 2.5 or 5 times a power of `base`.
 * @returns {{top: number, step: number}}
 */
export function linear(most, steps = 4, base = 10) {
  const least = Math.max(most, 1e-9) / steps;
  let unit = 1;
  while (unit * base <= least) unit *= base;
  while (unit > least) unit /= base;
  const factors = base === 10 ? [1, 2, 2.5, 5, 10] : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
  const step = unit * factors.find((factor) => unit * factor >= least * (1 - 1e-9));
  return { top: step * Math.max(1, Math.ceil(most / step - 1e-9)), step };
}

/**
 * A logarithmic scale of whole powers of ten that holds `least` to `most`; two of them at least.
 * @returns {{bottom: number, top: number}}
 */
export function decades(least, most) {
  const bottom = Math.floor(Math.log10(least) + 1e-9);
  return { bottom: 10 ** bottom, top: 10 ** Math.max(bottom + 2, Math.ceil(Math.log10(most) - 1e-9)) };
}

/** Unix times between `from` and `to` for marks of which `most` have room: whole minutes, say. */
export function times(from, to, most) {
  const wanted = (to - from) / Math.max(1, most);
  const step = TIMES.find((seconds) => seconds >= wanted) ?? Math.ceil(wanted / 3600) * 3600;
  const marks = [];
  // of local time, so that marks of an hour are hours where half-hour zones are, too
  const shift = new Date(from * 1000).getTimezoneOffset() * 60;
  for (let time = Math.ceil((from - shift) / step) * step + shift; time <= to; time += step) marks.push(time);
  return { marks, step };
}

/** Move labels that want to be at `wanted` (ascending) apart, by `apart` at least, between `low` and `high`. */
export function spread(wanted, apart, low, high) {
  const places = [];
  wanted.forEach((place, i) => places.push(Math.max(place, i ? places[i - 1] + apart : low)));
  for (let i = places.length - 1, most = high; i >= 0; i -= 1, most -= apart) {
    if (places[i] > most) places[i] = most;
    else break;
  }
  return places;
}
