import assert from "node:assert/strict";
import { test } from "node:test";
import { HistoryStore } from "../../../client/static/history_store.js";

const entry = (id, state = "answered") => ({ request_id: id, state });
const page = (after, ids, before = null) => ({ after, entries: ids.map((id) => entry(id, `at ${after}`)), next_before: before });
const change = (sequence, id, state) => ({ sequence, request_id: id, entry: state ? entry(id, state) : null });
const listed = (store) => store.list().map(({ request_id: id, state }) => `${id} ${state}`);

/** A store that was loaded with the newest page. */
function started(...pages) {
  const store = new HistoryStore();
  const [newest, ...older] = pages;
  store.start(newest);
  older.forEach((each) => store.addPage(each));
  return store;
}

test("requests are listed once and by their ids, newest first, in whatever order they come", () => {
  const store = started(page(5, ["r2"]));
  [change(6, "r1", "queued"), change(7, "r3", "queued"), change(8, "r1", "answered")].forEach((each) => store.take(each));
  assert.deepEqual(listed(store), ["r3 queued", "r2 at 5", "r1 answered"]);
});

test("a page that was read before the log's news does not take them back, and later news replaces it", () => {
  const store = started(page(5, ["r1", "r2"], "r1"));
  store.take(change(8, "r0", "answered"));
  store.addPage(page(7, ["r0"]));
  assert.equal(store.get("r0").state, "answered");
  store.take(change(9, "r1", "refused"));
  assert.equal(store.get("r1").state, "refused");
});

test("an erased request is gone, and a page that still held it does not bring it back", () => {
  const store = started(page(5, ["r2"], "r2"));
  store.take(change(8, "r1"));
  store.addPage(page(7, ["r1"]));
  assert.deepEqual(listed(store), ["r2 at 5"]);
  assert.equal(store.get("r1"), null);
});

test("news of a request whose page is not loaded is listed when it is, so that no gap shows", () => {
  const store = started(page(5, ["r9", "r8"], "r8"));
  store.take(change(6, "r2", "answered"));
  assert.deepEqual(listed(store), ["r9 at 5", "r8 at 5"]);
  store.addPage(page(5, ["r7", "r2"]));
  assert.deepEqual(listed(store).at(-1), "r2 answered");
});

test("an acknowledged entry stands until the log says more, and never replaces what it said", () => {
  const store = started(page(5, []));
  assert.equal(store.acknowledge(entry("r1", "queued")).state, "queued");
  store.take(change(7, "r1", "answered"));
  assert.equal(store.acknowledge(entry("r1", "queued")).state, "answered");
  store.take(change(8, "r1"));
  assert.equal(store.acknowledge(entry("r1", "queued")), null);
});

test("before the first page, only what was acknowledged is listed, and where older ones begin is not known", () => {
  const store = new HistoryStore();
  store.acknowledge(entry("r1", "queued"));
  assert.deepEqual(listed(store), ["r1 queued"]);
  assert.equal(store.before, undefined);
});

test("starting over drops what the page does not hold, but not what was acknowledged after it was read", () => {
  const store = started(page(5, ["r1", "r2"]));
  store.acknowledge(entry("r4", "queued"));
  store.start(page(2, ["r3"]));
  assert.deepEqual(listed(store), ["r4 queued", "r3 at 2"]);
});
