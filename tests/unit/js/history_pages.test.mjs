import assert from "node:assert/strict";
import { test } from "node:test";
import "./page_addresses.mjs";

const { HistoryPages } = await import("../../../client/static/history_pages.js");
const { HistoryStore } = await import("../../../client/static/history_store.js");

const TEXT = { text: "computed", source: "template", model: null, reason: null };
const queued = (number) => ({ request_id: `r${number}`, outbox_number: number, state: "queued", prediction: null, explanation: null });
const answered = (number) => ({
  ...queued(number),
  state: "answered",
  prediction: { prediction_id: `p${number}`, awaits_explanation: false, explanation: TEXT },
  explanation: TEXT,
});
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** A page of the history over an app that holds entries, by number; the list of what was asked is kept. */
class Clinic {
  held = new Map();
  erasures = 0;
  asked = [];
  failure = null;
  before = () => {};
  store = new HistoryStore();
  shown = new Map();
  gone = [];
  pages = new HistoryPages(this.store, {
    ask: (address) => this.answer(new URL(address, "http://clinic")),
    onTaken: (entry) => this.shown.set(entry.outbox_number, entry.state),
    onGone: (id) => this.gone.push(id),
  });

  keep(...entries) {
    entries.forEach((entry) => this.held.set(entry.outbox_number, entry));
  }

  live(entry) {
    this.keep(entry);
    this.store.take(entry);
  }

  async answer({ searchParams: query }) {
    this.asked.push(query.get("before"));
    const limit = Number(query.get("limit"));
    const before = Number(query.get("before") ?? Infinity);
    const below = [...this.held.values()].filter(({ outbox_number: number }) => number < before);
    const entries = below.sort((one, other) => other.outbox_number - one.outbox_number).slice(0, limit);
    this.before();
    if (this.failure) throw this.failure;
    return { entries, next_before: entries.length >= limit ? entries.at(-1).outbox_number : null, erasures: this.erasures };
  }

  get listed() {
    return this.store.list().map(({ outbox_number: number }) => number);
  }
}

/** A clinic whose page is connected and has loaded all its entries, page by page. */
async function opened(...entries) {
  const clinic = new Clinic();
  clinic.keep(...entries);
  clinic.pages.connectionIs("up");
  await clinic.pages.loadNewest();
  while (clinic.pages.hasOlder) await clinic.pages.loadOlder();
  clinic.asked = [];
  return clinic;
}

async function reconnect(clinic) {
  clinic.pages.connectionIs("up");
  await clinic.pages.loadNewest();
}

test("entries that were answered while the page was away are not left as queued, however old", async () => {
  const clinic = await opened(...numbers(1, 50).map(answered), ...numbers(51, 100).map(queued));
  clinic.pages.connectionIs("lost");
  clinic.keep(...numbers(51, 100).map(answered));
  await reconnect(clinic);
  assert.ok(clinic.store.list().every(({ state }) => state === "answered"));
  assert.equal(clinic.shown.get(51), "answered");
  assert.deepEqual(clinic.asked, [null, "71"], "no more pages than hold what was queued");
});

test("with nothing open only the newest page is asked for, and the older ones stay", async () => {
  const clinic = await opened(...numbers(1, 100).map(answered));
  clinic.pages.connectionIs("lost");
  await reconnect(clinic);
  assert.deepEqual(clinic.asked, [null]);
  assert.equal(clinic.listed.length, 100);
  assert.ok(!clinic.pages.hasOlder);
});

test("what stays queued is asked for once in each reconnect", async () => {
  const clinic = await opened(queued(1), ...numbers(2, 40).map(answered));
  clinic.pages.connectionIs("lost");
  await reconnect(clinic);
  assert.deepEqual(clinic.asked, [null, "11"]);
});

for (const [when, arrive] of [
  ["before the page knows that it is connected", (clinic) => clinic.live(answered(101))],
  ["while the newest page is asked for", (clinic) => (clinic.before = () => clinic.store.take(answered(101)))],
]) {
  test(`no gap is left by news that comes ${when}`, async () => {
    const clinic = await opened(...numbers(1, 10).map(answered));
    clinic.pages.connectionIs("lost");
    clinic.keep(...numbers(11, 101).map(answered));
    arrive(clinic);
    await reconnect(clinic);
    clinic.before = () => {};
    while (clinic.pages.hasOlder) await clinic.pages.loadOlder();
    assert.deepEqual(clinic.listed, numbers(1, 101).reverse());
  });
}

test("no gap is left when a load fails, news comes and the connection is lost again", async () => {
  const clinic = await opened(...numbers(1, 10).map(answered));
  clinic.pages.connectionIs("lost");
  clinic.keep(...numbers(11, 100).map(answered));
  clinic.failure = new Error("no answer");
  await assert.rejects(reconnect(clinic));
  clinic.live(answered(101));
  clinic.pages.connectionIs("lost");
  clinic.failure = null;
  await reconnect(clinic);
  while (clinic.pages.hasOlder) await clinic.pages.loadOlder();
  assert.deepEqual(clinic.listed, numbers(1, 101).reverse());
});

test("an older page that comes after the list was cut leaves no gap", async () => {
  const clinic = new Clinic();
  clinic.keep(...numbers(1, 60).map(answered));
  clinic.pages.connectionIs("up");
  await clinic.pages.loadNewest();
  clinic.pages.connectionIs("lost");
  const older = clinic.pages.loadOlder();
  clinic.keep(...numbers(61, 160).map(answered));
  await Promise.all([reconnect(clinic), older]);
  while (clinic.pages.hasOlder) await clinic.pages.loadOlder();
  assert.deepEqual(clinic.listed, numbers(1, 160).reverse());
});

test("after erasures that were missed what came in since the reconnect stays", async () => {
  const clinic = await opened(answered(1), answered(2));
  clinic.pages.connectionIs("lost");
  clinic.held.delete(1);
  clinic.erasures = 1;
  clinic.before = () => clinic.store.take(answered(3));
  await reconnect(clinic);
  assert.deepEqual(clinic.listed, [3, 2]);
  assert.deepEqual(clinic.gone, ["r1"]);
});
