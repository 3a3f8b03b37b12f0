import assert from "node:assert/strict";
import { test } from "node:test";
import "./page_addresses.mjs";

const { waitingInWords } = await import("../../../server/static/client_words.js");

const NOON = new Date(2026, 10, 23, 12, 0, 0).getTime();
const told = (secondsAgo, rest = {}) => ({ connected: true, waiting: 17, waiting_at: new Date(NOON - 1000 * secondsAgo).toISOString(), ...rest });
const clock = (secondsAgo) => new Date(NOON - 1000 * secondsAgo).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });

test("a number that was just confirmed stands alone", () => {
  assert.equal(waitingInWords(told(20), NOON), "17 waiting");
});

test("a number that nobody confirms is shown with its time, be the client app connected or not", () => {
  assert.equal(waitingInWords(told(420), NOON), `17 waiting at ${clock(420)}`);
  assert.equal(waitingInWords(told(1, { connected: false, waiting: 0 }), NOON), `0 waiting at ${clock(1)}`);
});

test("a client app that never told a number has none", () => {
  assert.equal(waitingInWords({ connected: true, waiting: null, waiting_at: null }, NOON), null);
});
