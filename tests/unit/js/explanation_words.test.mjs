import assert from "node:assert/strict";
import { test } from "node:test";
import "./page_addresses.mjs";

const { circuitInWords, countsInWords, troubleInWords } = await import("../../../server/static/explanation_words.js");

const NOON = new Date(2026, 10, 23, 12, 0, 0).toISOString();
const REASON = "the key was refused; check LLM_API_KEY in .env";
const TIME = new Date(NOON).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });

test("an endpoint that works is no trouble", () => {
  const circuit = { state: "closed", until: null, reason: null };
  assert.equal(troubleInWords(circuit), null);
  assert.match(circuitInWords(circuit), /^Circuit closed/);
});

test("a pause is named with the time, the reason and what to do", () => {
  const circuit = { state: "open", until: NOON, reason: REASON };
  assert.equal(circuitInWords(circuit), `Circuit open until ${TIME}: not asked`);
  assert.ok(troubleInWords(circuit).startsWith(`AI explanations are paused until ${TIME}: ${REASON}.`));
});

test("an endpoint that is tried again still says why it was paused", () => {
  const circuit = { state: "half_open", until: null, reason: REASON };
  assert.match(circuitInWords(circuit), /^Circuit half-open/);
  assert.ok(troubleInWords(circuit).endsWith(`They were paused: ${REASON}.`));
});

test("what became of the explanations is counted, and what is on its way only if something is", () => {
  assert.equal(countsInWords({ finished: { by_source: {} }, under_way: 0, waiting: 0 }), "0 AI-written · 0 kept as computed");
  const busy = { finished: { by_source: { llm: 1234, template: 5 } }, under_way: 4, waiting: 17 };
  assert.equal(countsInWords(busy), "1,234 AI-written · 5 kept as computed · 4 being written · 17 waiting");
});
