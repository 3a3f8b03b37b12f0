import assert from "node:assert/strict";
import { test } from "node:test";
import "./page_addresses.mjs";

const { filterInAddress, filterOfAddress, matches, newsInWords, pageAddress, RecentPredictions } = await import("../../../server/static/recent_predictions.js");

const TEXT = { text: "computed", source: "template", model: null, reason: null };
const LLM = { text: "written", source: "llm", model: "m", reason: null };
const item = (sequence, explanation = TEXT) => ({ sequence, explanation, prediction: { prediction_id: `p${sequence}`, awaits_explanation: true, explanation: TEXT } });
const sequences = (recent) => recent.list().map(({ sequence }) => sequence);

test("whatever order they come in, each prediction is listed once and the newest first", () => {
  const recent = new RecentPredictions([], 10);
  [3, 1, 2, 3].forEach((sequence) => recent.add(item(sequence)));
  assert.deepEqual(sequences(recent), [3, 2, 1]);
});

test("beyond the limit the oldest goes, not the one that came first", () => {
  const recent = new RecentPredictions([], 2);
  [5, 3, 4].forEach((sequence) => recent.add(item(sequence)));
  assert.deepEqual(sequences(recent), [5, 4]);
  assert.ok(recent.hasDropped);
  assert.equal(recent.oldestSequence, 4);
});

test("what is extended holds more, and tells from where older ones are to be asked for", () => {
  const recent = new RecentPredictions([], 2);
  assert.equal(recent.oldestSequence, null);
  [5, 4].forEach((sequence) => recent.add(item(sequence)));
  assert.ok(!recent.hasDropped);
  recent.limit = 4;
  [3, 2].forEach((sequence) => recent.add(item(sequence)));
  assert.deepEqual(sequences(recent), [5, 4, 3, 2]);
  assert.equal(recent.oldestSequence, 2);
});

test("entries of the log bring predictions, their explanations and their end", () => {
  const recent = new RecentPredictions([item(1)]);
  recent.apply({ kind: "prediction_made", sequence: 2, prediction_id: "p2", prediction: item(2).prediction, explanation: null });
  recent.apply({ kind: "explanation_finished", sequence: 3, prediction_id: "p2", prediction: null, explanation: LLM });
  recent.apply({ kind: "prediction_erased", sequence: 4, prediction_id: "p1", prediction: null, explanation: null });
  recent.apply({ kind: "request_refused", sequence: 5, prediction_id: null, prediction: null, explanation: null });
  assert.deepEqual(recent.list().map(({ sequence, explanation }) => [sequence, explanation]), [[2, LLM]]);
});

test("what was corrected stays listed, and is neither counted nor news", () => {
  const recent = new RecentPredictions([1, 2].map((sequence) => ({ ...item(sequence), prediction: { ...item(sequence).prediction, client_id: "Client-1", request_id: `r${sequence}`, risk_level: "High" } })));
  recent.apply({ kind: "prediction_superseded", sequence: 3, prediction_id: "p1", prediction: null, explanation: null, superseded_by: "r2" });
  recent.apply({ kind: "explanation_finished", sequence: 4, prediction_id: "p1", prediction: null, explanation: LLM, superseded_by: null });
  const { superseded_by: by, explanation } = recent.get("p1");
  assert.deepEqual([by, explanation], ["r2", LLM]);
  assert.deepEqual(recent.counted().map(({ prediction_id: id }) => id), ["p2"]);
  assert.equal(recent.ofRequest("Client-1", by).prediction.prediction_id, "p2");
  assert.equal(newsInWords(recent), "2 new, 1 High");
});

test("what the log said is not undone by a page that was read before, nor by an entry that is read again", () => {
  const recent = new RecentPredictions([item(1)]);
  recent.apply({ kind: "explanation_finished", sequence: 3, prediction_id: "p1", prediction: null, explanation: LLM });
  recent.add(item(1));
  recent.apply({ kind: "prediction_made", sequence: 1, prediction_id: "p1", prediction: item(1).prediction, explanation: null });
  assert.equal(recent.get("p1").explanation, LLM);
});

test("an explanation of a prediction that is not held changes nothing, nor does an entry of an erased one", () => {
  const recent = new RecentPredictions();
  recent.apply({ kind: "explanation_finished", sequence: 3, prediction_id: "p9", prediction: null, explanation: LLM });
  recent.apply({ kind: "prediction_made", sequence: 1, prediction_id: "p8", prediction: null, explanation: null });
  assert.equal(recent.size, 0);
});

test("neighbors follow the list and end with it", () => {
  const recent = new RecentPredictions();
  [1, 2, 3].forEach((sequence) => recent.add(item(sequence)));
  assert.equal(recent.neighbor("p2", -1).sequence, 3);
  assert.equal(recent.neighbor("p2", 1).sequence, 1);
  assert.equal(recent.neighbor("p3", -1), null);
  assert.equal(recent.neighbor("p1", 1), null);
  assert.equal(recent.neighbor("unknown", 1), null);
});

test("a filter lets through what it names and everything where it is empty", () => {
  const prediction = { client_id: "Client-1", risk_level: "High" };
  assert.ok(matches({ client: "", level: "" }, prediction));
  assert.ok(matches({ client: "Client-1", level: "High" }, prediction));
  assert.ok(!matches({ client: "Client-2", level: "" }, prediction));
  assert.ok(!matches({ client: "", level: "Low" }, prediction));
});

test("the address of a page names only what is asked", () => {
  assert.equal(pageAddress({}), "/api/predictions?limit=60");
  assert.equal(pageAddress({ client: "Client-1", level: "High" }, 9), "/api/predictions?limit=60&client=Client-1&level=High&before=9");
});

test("a filter comes back from the page's address, and nothing else in the address counts", () => {
  for (const filter of [{ client: "", level: "" }, { client: "Client 1&level=Low", level: "High" }, { client: "", level: "Low" }, { client: "", level: "Indeterminate" }]) {
    assert.deepEqual(filterOfAddress(filterInAddress(filter)), filter);
  }
  assert.equal(filterInAddress({ client: "", level: "" }), "");
  assert.deepEqual(filterOfAddress("?level=high&search=Smith"), { client: "", level: "" });
});

test("what waits is counted, with how many are High, and a plus where more came than are kept", () => {
  const news = new RecentPredictions([], 2);
  const made = (sequence, level) => ({ sequence, prediction: { prediction_id: `p${sequence}`, risk_level: level } });
  news.add(made(1, "Low"));
  assert.equal(newsInWords(news), "1 new");
  news.add(made(2, "High"));
  assert.equal(newsInWords(news), "2 new, 1 High");
  news.add(made(3, "High"));
  assert.equal(newsInWords(news), "2+ new, 2+ High");
});
