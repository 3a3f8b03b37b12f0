/** The history of this client app as the page knows it: each request once, whatever order news comes in. */

import { isAwaited } from "/ui/wording.js";

const SETTLED = 3;

/** How far a request has come; news never takes an entry back. A refused one may be answered later. */
function progress({ state, prediction, explanation }) {
  if (state !== "answered") return state === "refused" ? 1 : 0;
  return isAwaited(prediction, explanation ?? prediction.explanation) ? 2 : SETTLED;
}

export class HistoryStore {
  #entries = new Map();
  #erased = new Set();

  /** Take an entry unless a later state of it is known or it was erased; return the entry that counts now, or null. */
  take(entry) {
    if (this.#erased.has(entry.request_id)) return null;
    const known = this.#entries.get(entry.request_id);
    if (known && progress(known) > progress(entry)) return known;
    this.#entries.set(entry.request_id, entry);
    return entry;
  }

  /**
   * Take the newest page after a reconnect; return whether older entries had to be dropped.
   *
   * If nothing on the page is among the ids `held` when the connection was lost and older pages exist, what lies
   * between is missing here: then only this page and what is newer stay, and the rest is loaded again on demand.
   */
  takeNewest(page, hasOlder, held) {
    const meets = page.some((entry) => held.has(entry.request_id));
    const drops = hasOlder && held.size > 0 && !meets;
    if (drops) {
      const oldest = Math.min(...page.map((entry) => entry.outbox_number));
      for (const [id, entry] of this.#entries) if (entry.outbox_number < oldest) this.#entries.delete(id);
    }
    page.forEach((entry) => this.take(entry));
    return drops;
  }

  /** Put a finished explanation to the request whose prediction it explains; return that entry or null. */
  explain({ prediction_id: id, explanation }) {
    const entry = this.list().find(({ prediction }) => prediction?.prediction_id === id);
    return entry ? this.take({ ...entry, explanation }) : null;
  }

  /** Drop a request that was erased, and take it no more: a page that was asked for before may still hold it. */
  forget(requestId) {
    this.#erased.add(requestId);
    this.#entries.delete(requestId);
  }

  /** Of the ids `held` drop all not on a page: some were erased, and nobody here knows which. Return what is gone. */
  keepOnly(page, held) {
    const kept = new Set(page.map(({ request_id: id }) => id));
    const gone = [...held].filter((id) => this.#entries.has(id) && !kept.has(id));
    gone.forEach((id) => this.#entries.delete(id));
    return gone;
  }

  /** Tell whether an entry among the ids `held` has a number below this one and may have come further. */
  isOpenBelow(number, held) {
    return [...held].map((id) => this.#entries.get(id)).some((entry) => entry && entry.outbox_number < number && progress(entry) < SETTLED);
  }

  /** Return the ids of all entries. */
  ids() {
    return new Set(this.#entries.keys());
  }

  get(requestId) {
    return this.#entries.get(requestId) ?? null;
  }

  /** Return all entries, newest first. */
  list() {
    return [...this.#entries.values()].sort((one, other) => other.outbox_number - one.outbox_number);
  }
}
