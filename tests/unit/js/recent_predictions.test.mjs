import assert from "node:assert/strict";
import { test } from "node:test";
import "./page_addresses.mjs";

const { matches, pageAddress, RecentPredictions } = await import("../../../server/static/recent_predictions.js");

const TEXT = { text: "computed", source: "template", model: null, reason: null };
const LLM = { text: "written", source: "llm", model: "m", reason: null };
const item = (sequence, explanation = TEXT) => ({ sequence, explanation, prediction: { prediction_id: `p${sequence}`, awaits_explanation: true } });
const sequences = (recent) => recent.list().map(({ sequence }) => sequence);

test("whatever order they come in, each prediction is listed once and the newest first", () => {
  const recent = new RecentPredictions(10);
  [3, 1, 2, 3].forEach((sequence) => recent.add(item(sequence)));
  assert.deepEqual(sequences(recent), [3, 2, 1]);
});

test("beyond the limit the oldest goes, not the one that came first", () => {
  const recent = new RecentPredictions(2);
  [5, 3, 4].forEach((sequence) => recent.add(item(sequence)));
  assert.deepEqual(sequences(recent), [5, 4]);
  assert.ok(recent.hasDropped);
  assert.equal(recent.oldestSequence, 4);
});

test("what is extended holds more, and tells from where older ones are to be asked for", () => {
  const recent = new RecentPredictions(2);
  assert.equal(recent.oldestSequence, null);
  [5, 4].forEach((sequence) => recent.add(item(sequence)));
  assert.ok(!recent.hasDropped);
  recent.extendTo(4);
  [3, 2].forEach((sequence) => recent.add(item(sequence)));
  assert.deepEqual(sequences(recent), [5, 4, 3, 2]);
  assert.equal(recent.oldestSequence, 2);
});

test("a finished explanation is not undone by an older copy of the prediction", () => {
  const recent = new RecentPredictions(5);
  recent.add(item(1));
  recent.explain("p1", LLM);
  recent.add(item(1));
  assert.equal(recent.list()[0].explanation.source, "llm");
});

test("an explanation of a prediction that is not held changes nothing", () => {
  assert.equal(new RecentPredictions(5).explain("p9", LLM), null);
});

test("neighbours follow the list and end with it", () => {
  const recent = new RecentPredictions(5);
  [1, 2, 3].forEach((sequence) => recent.add(item(sequence)));
  assert.equal(recent.neighbour("p2", -1).sequence, 3);
  assert.equal(recent.neighbour("p2", 1).sequence, 1);
  assert.equal(recent.neighbour("p3", -1), null);
  assert.equal(recent.neighbour("p1", 1), null);
  assert.equal(recent.neighbour("unknown", 1), null);
});

test("a filter lets through what it names and everything where it is empty", () => {
  const prediction = { client_id: "Client-1", risk_level: "High" };
  assert.ok(matches({ client: "", level: "" }, prediction));
  assert.ok(matches({ client: "Client-1", level: "High" }, prediction));
  assert.ok(!matches({ client: "Client-2", level: "" }, prediction));
  assert.ok(!matches({ client: "", level: "Low" }, prediction));
});

test("the address of a page names only what is asked", () => {
  assert.equal(pageAddress({}, 60), "/api/predictions?limit=60");
  assert.equal(pageAddress({ client: "Client-1", level: "High" }, 5, 9), "/api/predictions?limit=5&client=Client-1&level=High&before=9");
});

test("an erased prediction is gone, and a page that still held it does not bring it back", () => {
  const recent = new RecentPredictions(5);
  [1, 2].forEach((sequence) => recent.add(item(sequence)));
  recent.forget("p1");
  recent.add(item(1));
  assert.deepEqual(sequences(recent), [2]);
  assert.equal(recent.explain("p1", LLM), null);
});
