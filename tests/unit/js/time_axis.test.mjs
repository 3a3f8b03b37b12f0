import assert from "node:assert/strict";
import { test } from "node:test";
import "./page_addresses.mjs";

process.env.TZ = "Asia/Kolkata"; // five and a half hours ahead

const { timeMarks } = await import("../../../server/static/time_axis.js");

const SECOND = 1_000;
const HOUR = 3_600_000;
const NOON = Date.parse("2026-03-10T12:00:00+05:30");
const sizes = (marks) => new Set(marks.slice(1).map(({ value }, index) => value - marks[index].value));

test("marks stand on round times of the reader's clock, evenly, and no more than there is room for", () => {
  for (const span of [3 * SECOND, 90 * SECOND, HOUR, 5 * HOUR, 26 * HOUR, 200 * 24 * HOUR, 900 * 24 * HOUR]) {
    const marks = timeMarks(NOON - span, NOON, 5);
    assert.ok(marks.length >= 1 && marks.length <= 5, `${span}: ${marks.length}`);
    assert.ok(sizes(marks).size <= 1);
    assert.ok(marks.every(({ value }) => value >= NOON - span && value <= NOON));
  }
  const hours = timeMarks(NOON - 5 * HOUR, NOON, 5).map(({ value }) => new Date(value));
  assert.ok(hours.length > 1 && hours.every((time) => time.getMinutes() === 0 && time.getHours() % 2 === 0));
});

test("a day that is not today stands under its first mark", () => {
  const marks = timeMarks(NOON - 20 * HOUR, NOON, 5).map(({ label }) => label);
  const days = marks.filter(Array.isArray).map(([, day]) => day);
  assert.equal(days.length, 2);
  assert.match(days[0], /9/);
  assert.match(days[1], /10/);
  assert.ok(timeMarks(Date.now() - SECOND, Date.now(), 5).every(({ label }) => typeof label === "string"));
});

test("marks of days stand at midnight also where the clocks were changed in between", () => {
  process.env.TZ = "Europe/Berlin"; // summer time from 29 March 2026 on
  const marks = timeMarks(Date.parse("2026-03-27T12:00:00Z"), Date.parse("2026-03-31T12:00:00Z"), 5);
  assert.equal(marks.length, 4);
  assert.ok(marks.every(({ value }) => new Date(value).getHours() === 0));
});
