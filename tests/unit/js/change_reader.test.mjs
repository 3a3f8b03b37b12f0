import assert from "node:assert/strict";
import { test } from "node:test";
import { ChangeReader } from "../../../server/static/change_reader.js";

const entries = (...sequences) => sequences.map((sequence) => ({ sequence }));
const message = (after, next_after, list) => ({ after, next_after, entries: list });

test("entries that join on are taken and move the cursor", () => {
  const reader = new ChangeReader(10);
  assert.deepEqual(reader.take(message(10, 12, entries(11, 12))), entries(11, 12));
  assert.equal(reader.cursor, 12);
});

test("a message from beyond the cursor is a gap and moves nothing", () => {
  const reader = new ChangeReader(10);
  assert.equal(reader.take(message(11, 12, entries(12))), null);
  assert.equal(reader.cursor, 10);
});

test("entries that are known are dropped, also when the message overlaps", () => {
  const reader = new ChangeReader(11);
  assert.deepEqual(reader.take(message(9, 13, entries(10, 11, 12, 13))), entries(12, 13));
  assert.deepEqual(reader.take(message(9, 11, entries(10, 11))), []);
  assert.equal(reader.cursor, 13);
});

test("after a gap the pages that were asked for and the held-up live message give every entry once", () => {
  const reader = new ChangeReader(1);
  const live = message(4, 5, entries(5));
  assert.equal(reader.take(live), null);
  const taken = [message(1, 3, entries(2, 3)), message(3, 5, entries(4, 5)), live].flatMap((page) => reader.take(page));
  assert.deepEqual(taken, entries(2, 3, 4, 5));
});

test("an empty answer that reaches further moves the cursor", () => {
  const reader = new ChangeReader(3);
  assert.deepEqual(reader.take(message(3, 7, [])), []);
  assert.equal(reader.cursor, 7);
});
