/** Numbers and times as people read them; no document needed. */

const NARROW_SPACE = "\u202f";
const MINUS = "\u2212";

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const STEPS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
];

export const count = (number) => WHOLE.format(number);

/** Return the whole steps in a value: cut, not rounded, and exact where `value * steps` is not, as 0.57 * 1000 is. */
function wholeSteps(value, steps) {
  const nearest = Math.round(value * steps);
  return nearest / steps > value ? nearest - 1 : nearest;
}

/** Cut to two places, or to as many as a threshold has, so that a score below a threshold never reads as one on it. */
export function score(value, thresholds) {
  const places = Math.max(2, ...Object.values(thresholds).map((at) => threshold(at).length - 2));
  return (wholeSteps(value, 10 ** places) / 10 ** places).toFixed(places);
}

export const threshold = (value) => String(Number(value.toFixed(3))).padEnd(4, "0");

/** Return a share as patients of 100, cut like a score; never none and never all. The server's text says the same. */
export function ofHundred(share) {
  const whole = wholeSteps(share, 100);
  if (whole < 1) return "fewer than 1 of 100";
  return whole < 99 ? `${whole} of 100` : "at least 99 of 100";
}

/** Return a measured share as a rounded number of 100 patients; never none and never all. */
export function perHundred(share) {
  if (share < 0.01) return "fewer than 1";
  return share > 0.99 ? "more than 99" : String(Math.round(share * 100));
}

export const roundPercent = (share) => `${Math.round(share * 100)}${NARROW_SPACE}%`;

export function signed(value) {
  const size = Math.abs(value).toFixed(2);
  if (Number(size) === 0) return size;
  return `${value > 0 ? "+" : MINUS}${size}`;
}

export const decimal = (value, places = 2) => value.toFixed(places).replace("-", MINUS);

export const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : count(value)} ms`;

export const sentenceCase = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// Made once: to make one takes a hundred times as long as to use it.
const TIME = { hour: "2-digit", minute: "2-digit" };
const OF_TODAY = new Intl.DateTimeFormat(undefined, { ...TIME, second: "2-digit" });
const OF_THIS_YEAR = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", ...TIME });
const OF_ANY_YEAR = new Intl.DateTimeFormat(undefined, { year: "numeric", day: "numeric", month: "short", ...TIME });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const DAY_AND_YEAR = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat(undefined, TIME);
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

/** Return the time of day, with the date before it when it is not today's. */
export function shortTime(iso, now = new Date()) {
  const time = new Date(iso);
  if (time.toDateString() === now.toDateString()) return OF_TODAY.format(time);
  return (time.getFullYear() === now.getFullYear() ? OF_THIS_YEAR : OF_ANY_YEAR).format(time);
}

/** Return hour and minute, for the axis of a drawing. */
export const clockTime = (iso) => CLOCK.format(new Date(iso));

/** Return the day, with the year when it is not this one. */
export function dayOf(iso) {
  const time = new Date(iso);
  return (time.getFullYear() === new Date().getFullYear() ? DAY : DAY_AND_YEAR).format(time);
}

/** Return day and time with the year, for paper. */
export const datedTime = (iso) => OF_ANY_YEAR.format(new Date(iso));

export const fullTime = (iso) => FULL.format(new Date(iso));

/** Return how long ago something was, to the minute. */
export function ago(iso, now = Date.now()) {
  const past = Math.max(0, now - new Date(iso).getTime());
  const step = STEPS.find(([, size]) => past >= size);
  return step ? RELATIVE.format(-Math.floor(past / step[1]), step[0]) : "just now";
}

export function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
