import assert from "node:assert/strict";
import { test } from "node:test";
import "./page_addresses.mjs";

const { HistoryStore } = await import("../../../client/static/history_store.js");

const TEXT = { text: "computed", source: "template", model: null, reason: null };
const LLM = { text: "written", source: "llm", model: "m", reason: null };
const queued = (number) => ({ request_id: `r${number}`, outbox_number: number, state: "queued", prediction: null, explanation: null });
const answered = (number, explanation = TEXT) => ({
  ...queued(number),
  state: "answered",
  prediction: { prediction_id: `p${number}`, awaits_explanation: true, explanation: TEXT },
  explanation,
});
const ids = (store) => store.list().map(({ request_id: id }) => id);

test("a request is listed once, newest first", () => {
  const store = new HistoryStore();
  [queued(1), queued(3), queued(2), answered(1)].forEach((entry) => store.take(entry));
  assert.deepEqual(ids(store), ["r3", "r2", "r1"]);
});

test("late news does not take an answer back", () => {
  const store = new HistoryStore();
  store.take(answered(1));
  assert.equal(store.take(queued(1)).state, "answered");
});

test("late news does not take a finished explanation back", () => {
  const store = new HistoryStore();
  store.take(answered(1, LLM));
  assert.equal(store.take(answered(1)).explanation.source, "llm");
});

test("a fallback with its reason counts as finished", () => {
  const store = new HistoryStore();
  store.take(answered(1));
  store.explain({ prediction_id: "p1", explanation: { ...TEXT, reason: "No answer in time." } });
  assert.equal(store.take(answered(1)).explanation.reason, "No answer in time.");
});

test("an answer replaces a refusal, also while its explanation is awaited; a late refusal does not take it back", () => {
  const store = new HistoryStore();
  const refused = { ...queued(1), state: "refused" };
  store.take(refused);
  assert.equal(store.take(answered(1)).state, "answered");
  assert.equal(store.take(refused).state, "answered");
});

test("an explanation of another page's prediction is nothing here", () => {
  assert.equal(new HistoryStore().explain({ prediction_id: "p9", explanation: LLM }), null);
});

test("a newest page that meets what is known keeps the older entries", () => {
  const store = new HistoryStore();
  [1, 2, 3].forEach((number) => store.take(answered(number)));
  assert.equal(store.takeNewest([answered(4), answered(3)], true, store.ids()), false);
  assert.deepEqual(ids(store), ["r4", "r3", "r2", "r1"]);
});

test("a newest page that does not meet what is known leaves no gap: older entries are asked for again", () => {
  const store = new HistoryStore();
  [1, 2].forEach((number) => store.take(answered(number)));
  assert.equal(store.takeNewest([answered(9), answered(8)], true, store.ids()), true);
  assert.deepEqual(ids(store), ["r9", "r8"]);
});

test("a request that was just queued stays when the newest page does not hold it yet", () => {
  const store = new HistoryStore();
  store.take(queued(10));
  store.takeNewest([answered(9), answered(8)], true, store.ids());
  assert.deepEqual(ids(store), ["r10", "r9", "r8"]);
});

test("an erased request is gone, and a page that still held it does not bring it back", () => {
  const store = new HistoryStore();
  [1, 2].forEach((number) => store.take(answered(number)));
  const erased = answered(1).request_id;
  store.forget(erased);
  assert.equal(store.take(answered(1)), null);
  assert.equal(store.get(erased), null);
  assert.equal(store.list().length, 1);
});

test("after erasures that were missed only what the newest page holds is kept", () => {
  const store = new HistoryStore();
  [1, 2, 3].forEach((number) => store.take(answered(number)));
  const gone = store.keepOnly([answered(3)], store.ids());
  assert.deepEqual(gone, [answered(1).request_id, answered(2).request_id]);
  assert.deepEqual(store.list().map(({ outbox_number: number }) => number), [3]);
});
