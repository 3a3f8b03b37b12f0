/** The marks of a time axis, on round times of the reader's clock; no document needed. */

import { clockTime, dayOf, shortTime } from "/ui/format.js";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((size) => size * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((size) => size * MINUTE),
  ...[1, 2, 3, 6, 12].map((size) => size * HOUR),
  ...[1, 2, 7, 14, 30, 90, 365].map((size) => size * DAY),
];

const offsetAt = (time) => new Date(time).getTimezoneOffset() * MINUTE;

/** Return the marks between two times, both in ms since 1970, as {value, label}: at most `most`, but for decades. */
export function timeMarks(from, to, most) {
  const step = STEPS.find((size) => (to - from) / size < most) ?? STEPS.at(-1);
  const marks = [];
  for (let local = Math.ceil((from - offsetAt(from)) / step) * step; local + offsetAt(local) <= to; local += step) {
    marks.push(local + offsetAt(local)); // each with its own offset: clocks may have been changed in between
  }
  return marks.map((value, index) => ({ value, label: label(value, step, index ? marks[index - 1] : null) }));
}

/** Name the time, and under it the day where that is not the one before and not today. */
function label(value, step, before, today = dayOf(Date.now())) {
  const day = dayOf(value);
  if (step >= DAY) return day;
  const time = step < MINUTE ? shortTime(value, new Date(value)) : clockTime(value);
  return day === (before === null ? today : dayOf(before)) ? time : [time, day];
}
