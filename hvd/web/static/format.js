/** The rules of showing, in one place: numbers, times and names as people read them. Pure. */

// A column has one unit; of times it is ms, from 1,000 ms on s. Big numbers are short, and the exact one is a hover or a
// panel away. What isn't known, and what there was no traffic for, is "–", never 0.

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

const COMPACT = 1e5; // from here on a number is shown in thousands, millions …
const LETTERS = ["", "k", "M", "G", "T", "P"];

/** Three digits and a letter: `123 k`, `1.23 M`, `8.41 T`. */
function compact(value) {
  let power = Math.max(0, Math.floor(Math.log10(Math.abs(value)) / 3));
  if (Math.abs(value) / 1000 ** power >= 999.5) power += 1; // it would be rounded to 1000
  if (power >= LETTERS.length) return value.toExponential(2);
  return `${(value / 1000 ** power).toPrecision(3)} ${LETTERS[power]}`;
}

/** `1,250`, `123 k`, `8.41 T`. What was cut off is in `exact`, for the title. */
export const count = of((value) => (Math.abs(value) < COMPACT - 0.5 ? whole(value) : compact(value)));

/** All digits that there are: for titles, and for the panel of a thing. */
export const exact = of((value) => grouped(String(Math.abs(value) >= 1e9 ? Math.round(value) : Math.round(value * 1e6) / 1e6)));

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

/** Its two largest units; milliseconds below a second, days alone from 1,000 on. */
export const shortDuration = of((seconds) => {
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 1000 * 86400 ? duration(seconds + 0.0005, 2) : `${count(Math.floor(seconds / 86400))} d`;
});

/** Bytes in the largest unit of 1024 that keeps a digit before the point: `50 MB`, `1.5 GB`. */
export const size = of((bytes) => {
  const units = ["B", "KB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  for (; Math.abs(bytes) >= 1023.95 && unit < units.length - 1; unit += 1) bytes /= 1024;
  return `${tenths(bytes).replace(/\.0$/, "")} ${units[unit]}`;
});

/** All of the bytes: for titles. */
export const exactSize = (bytes) => `${exact(bytes)} bytes`;

/** Three digits of a number; all of those before the point. */
function threeDigits(value) {
  const amount = Math.abs(value);
  if (amount >= 99.95) return whole(value);
  return value.toFixed(amount >= 9.995 ? 1 : 2);
}

/** A time in ms, and from 1,000 ms on in s: `0.35 ms`, `45.2 ms`, `999 ms`, `1.00 s`. A column of times has one unit so. */
export const milliseconds = of((ms) => {
  if (ms === 0) return "0 ms";
  const amount = Math.abs(ms);
  if (amount >= 999.5) return `${amount >= COMPACT * 1000 ? compact(ms / 1000) : threeDigits(ms / 1000)} s`;
  return amount < 0.005 ? "<0.01 ms" : `${threeDigits(ms)} ms`;
});

/** What a form makes, without zeros behind the point: for ticks, `20 ms` instead of `20.0 ms`. */
export const withoutZeros = (form) => (value) => form(value).replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "");

/** A value in percent: `0 %`, `0.04 %`, `12.5 %`. A few among many are never shown as none, nor nearly all as all. */
export const percent = of((value) => {
  if (value === 0 || value === 100) return `${value} %`;
  if (value > 0 && value < 0.095) return value < 0.005 ? "<0.01 %" : `${value.toFixed(2)} %`;
  return value > 99.95 && value < 100 ? "99.9 %" : `${tenths(value)} %`;
});

/** A share of one, in percent. */
export const share = of((value) => percent(value * 100));

/** So many a second: a decimal where it tells something. */
export const rate = of((value) => {
  if (value === 0) return "0";
  if (value > 0 && value < 0.095) return value < 0.005 ? "<0.01" : value.toFixed(2);
  return Math.abs(value) < 999.95 ? tenths(value) : count(value);
});

/** Any number, to three digits: `0.00123`, `45.6`, `12,345`, `1.23 M` */
export const figure = of((value) => {
  const amount = Math.abs(value);
  if (amount >= 999.5) return count(value);
  return amount && amount < 1e-6 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
});

/** A time in s, below a second in ms: `1.48 s`, `45.2 ms` */
export const seconds = of((value) => milliseconds(value * 1000));

/** Errors with their share of all: `5 (0.4 %)` */
export const errors = (failed, all) =>
  isKnown(failed) && isKnown(all) ? `${count(failed)} (${share(all ? failed / all : 0)})` : count(failed);

/** Bounds of latencies: `0.25 ms`, `2.5 ms`, `10 s` */
export const bound = of((ms) => (ms < 1000 ? `${ms} ms` : `${ms / 1000} s`));

const wall = (parts) => {
  const format = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", ...parts });
  return of((seconds) => format.format(seconds * 1000));
};

/** A Unix time in s, as the clock on the wall shows it: `14:03:22` */
export const clock = wall({ second: "2-digit" });

/** The same to the minute. */
export const hour = wall({});

/** Unix time in s of what the daemon sends as RFC 3339. */
export const instant = (text) => Date.parse(text) / 1000;

const TAIL = 18; // characters of a name that stay at its end

/**
 * A name in two: its beginning gives way where there is little room, its end stays. The end begins with a part of the
 * name: `/api/v1/customers` + `/orders/{id}`.
 * @param {string} name @returns {[string, string]} the second is empty for a short one, which is cut nowhere
 */
export function halves(name) {
  const letters = [...name]; // a character may be two of JavaScript's
  if (letters.length <= TAIL + 6) return [name, ""];
  const tail = letters.slice(-TAIL).join("");
  const part = tail.slice(0, -3).search(/[/.:?&\s]/);
  const end = part < 0 ? letters.slice(-12).join("") : tail.slice(part);
  return [name.slice(0, -end.length), end];
}

const ODD = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const escape = (odd) => (odd === "\n" ? odd : `\\u{${odd.codePointAt(0).toString(16)}}`);

/** Text from elsewhere: what can't be seen, and turns the direction of what follows, say, is an escape. */
export const plain = (text) => String(text).replace(ODD, escape);
