/** Numbers as people read them, and as `hvd status` writes them. Pure. */

/** Stands for a number that isn't known. */
export const UNKNOWN = "–";

/** @param {unknown} value @returns {value is number} */
export const isKnown = (value) => typeof value === "number" && Number.isFinite(value);

/** Commas between thousands. By hand: Intl takes ten times as long, and a frame shows hundreds of numbers. */
function grouped(text) {
  const point = text.indexOf(".");
  let at = (point < 0 ? text.length : point) - 3;
  for (; at > (text[0] === "-" ? 1 : 0); at -= 3) text = `${text.slice(0, at)},${text.slice(at)}`;
  return text;
}

const whole = (value) => grouped(value.toFixed(0));
const tenths = (value) => grouped(value.toFixed(1));

/**
 * A form that shows what isn't known as such.
 * @param {(value: number) => string} form @returns {(value: unknown) => string}
 */
const of = (form) => (value) => (isKnown(value) ? form(value) : UNKNOWN);

/** `1,250` */
export const count = of(whole);

/** All digits that there are: for titles. */
export const exact = of((value) => grouped(String(Math.round(value * 1e6) / 1e6)));

/** `1d 2h 3m 4s`, from the largest unit that isn't zero; `parts` of them at most. */
export function duration(seconds, parts = 4) {
  if (!isKnown(seconds)) return UNKNOWN;
  let left = Math.max(0, Math.floor(seconds));
  const texts = [];
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]]) {
    const amount = Math.floor(left / length);
    left -= amount * length;
    if (amount || texts.length || unit === "s") texts.push(`${amount}${unit}`);
  }
  return texts.slice(0, parts).join(" ");
}

/** Its two largest units; milliseconds below a second. */
export const shortDuration = of((seconds) => (seconds < 1 ? `${Math.round(seconds * 1000)}ms` : duration(seconds, 2)));

/** Bytes in the largest unit of 1024 that keeps a digit before the point: `50 MB`, `1.5 GB`. */
export const size = of((bytes) => {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit += 1) bytes /= 1024;
  return `${tenths(bytes).replace(/\.0$/, "")} ${units[unit]}`;
});

/** All of the bytes: for titles. */
export const exactSize = (bytes) => `${exact(bytes)} bytes`;

/** A time in ms: `45.2ms`, three decimals below 1, seconds from ten on. */
export const milliseconds = of((ms) => {
  if (ms >= 10000) return `${tenths(ms / 1000)}s`;
  return ms >= 1 ? `${tenths(ms)}ms` : `${ms.toFixed(3)}ms`;
});

/** What a form makes, without zeros behind the point: for ticks, `20ms` instead of `20.0ms`. */
export const withoutZeros = (form) => (value) => form(value).replace(/\.0+(?=\D|$)/, "");

/** A value in percent: `0.4%` */
export const percent = of((value) => `${tenths(value)}%`);

/** A share of one, in percent. */
export const share = of((value) => percent(value * 100));

/** So many a second: a decimal where it tells something. */
export const rate = of((value) => (value >= 1000 ? whole(value) : tenths(value)));

/** Any number, to three digits: `0.00123`, `45.6`, `12,345`, `1.23M` */
export const figure = of((value) => {
  const size = Math.abs(value);
  if (size >= 1e15) return value.toExponential(2);
  const [unit, letter] = [[1e12, "T"], [1e9, "G"], [1e6, "M"]].find(([least]) => size >= least) ?? [1, ""];
  if (!letter && size >= 1000) return whole(value);
  return `${size && size < 1e-6 ? value.toExponential(1) : Number((value / unit).toPrecision(3))}${letter}`;
});

/** A time in s, below a second in ms: `1.48s`, `45.2ms` */
export const seconds = of((value) => (Math.abs(value) >= 1 ? `${figure(value)}s` : milliseconds(value * 1000)));

/** Errors with their share of all: `5 (0.4%)` */
export const errors = (failed, all) =>
  isKnown(failed) && isKnown(all) ? `${count(failed)} (${share(all ? failed / all : 0)})` : count(failed);

/** Bounds of latencies: `2.5 ms`, `10 s` */
export const bound = of((ms) => (ms < 1 ? `${Math.round(ms * 1000)} µs` : ms < 1000 ? `${ms} ms` : `${ms / 1000} s`));

const wall = (parts) => {
  const format = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", ...parts });
  return of((seconds) => format.format(seconds * 1000));
};

/** A Unix time in s, as the clock on the wall shows it: `14:03:22` */
export const clock = wall({ second: "2-digit" });

/** The same to the minute. */
export const hour = wall({});

/** With the day: `25 Nov, 14:03` */
export const day = wall({ day: "numeric", month: "short" });

/** Unix time in s of what the daemon sends as RFC 3339. */
export const instant = (text) => Date.parse(text) / 1000;

const ODD = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const escape = (odd) => (odd === "\n" ? odd : `\\u{${odd.codePointAt(0).toString(16)}}`);

/** Text from elsewhere: what can't be seen, and turns the direction of what follows, say, is an escape. */
export const plain = (text) => String(text).replace(ODD, escape);
