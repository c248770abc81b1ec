/** Times as people read them: on the clock of this browser, with its zone, and how long ago. Pure. */

import { UNKNOWN, clock, isKnown } from "./format.js";

const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const dated = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const NEAR = 180 * 86400; // s within which a day needs no year
const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** The zone at that Unix time, in s: `UTC`, `UTC+1`, `UTC-3:30` */
export function zone(time) {
  const minutes = -new Date(time * 1000).getTimezoneOffset();
  if (!minutes) return "UTC";
  const size = Math.abs(minutes);
  const rest = size % 60 ? `:${String(size % 60).padStart(2, "0")}` : "";
  return `UTC${minutes < 0 ? "-" : "+"}${Math.floor(size / 60)}${rest}`;
}

/** `14:03:05 UTC+1`, with the day where it isn't the day of `now`: `27 Nov, 14:03:05 UTC+1`; with the year where that is far from `now` */
export function moment(time, now = Date.now() / 1000) {
  if (!isKnown(time)) return UNKNOWN;
  const { format } = Math.abs(now - time) < NEAR ? date : dated;
  const day = format(time * 1000);
  return `${day === format(now * 1000) ? "" : `${day}, `}${clock(time)} ${zone(time)}`;
}

/** `3 min ago`, in its largest unit; `now` below a second, and for what is said to come from the future. */
export function ago(time, now = Date.now() / 1000) {
  if (!isKnown(time)) return UNKNOWN;
  const unit = UNITS.find(([, length]) => now - time >= length);
  return unit ? `${Math.floor((now - time) / unit[1])} ${unit[0]} ago` : "now";
}

/** `14:03:05 UTC+1 · 3 min ago` */
export const when = (time, now = Date.now() / 1000) => `${moment(time, now)} · ${ago(time, now)}`;

/** Two ends: `14:03:05 to 14:05:00 UTC+1` */
export function between(from, to, now = Date.now() / 1000) {
  const [start, end] = [moment(from, now), moment(to, now)];
  return zone(from) === zone(to) ? `${start.slice(0, -zone(from).length - 1)} to ${end}` : `${start} to ${end}`;
}
