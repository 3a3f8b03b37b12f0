/** The history as the page knows it: of each request the latest state that the app told; no document needed. */

const ACKNOWLEDGED = 0; // older than anything the log says

export class HistoryStore {
  #known = new Map(); // request_id -> {entry, at}: the entry as it was at a place of the log, null when it was erased
  #before;

  /** Where the next page begins: older requests are not listed until their page is loaded; null if all are, undefined before the first. */
  get before() {
    return this.#before;
  }

  /** Start over with the newest page. What was acknowledged stays: the page may have been read before it was saved. */
  start(page) {
    for (const [id, { at }] of this.#known) if (at > ACKNOWLEDGED) this.#known.delete(id);
    this.addPage(page);
  }

  addPage({ entries, after, next_before: before }) {
    this.#before = before;
    entries.forEach((entry) => this.take({ request_id: entry.request_id, entry, sequence: after }));
  }

  /** Take a request as it was at a place of the log, unless a later state of it is known. */
  take({ request_id: id, entry, sequence }) {
    if ((this.#known.get(id)?.at ?? 0) > sequence) return;
    this.#known.set(id, { entry, at: sequence });
  }

  /** Take an entry as it was acknowledged; return the one that counts now, null if it was erased meanwhile. */
  acknowledge(entry) {
    this.take({ request_id: entry.request_id, entry, sequence: ACKNOWLEDGED });
    return this.get(entry.request_id);
  }

  get(requestId) {
    return this.#known.get(requestId)?.entry ?? null;
  }

  /** Return the entries down to the oldest page that is loaded, newest first: ids ascend with time. */
  list() {
    const entries = [...this.#known.values()].map(({ entry }) => entry);
    const listed = entries.filter((entry) => entry && (!this.#before || entry.request_id >= this.#before));
    return listed.sort((one, other) => (one.request_id < other.request_id ? 1 : -1));
  }
}
