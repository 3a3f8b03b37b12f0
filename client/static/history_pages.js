/** The pages of the history: loaded so that no gap is left, and so that nothing shown stays behind; no document needed. */

const PAGE = 30;

export class HistoryPages {
  #store;
  #ask;
  #onTaken;
  #onGone;
  #connection = null;
  #heldAtLoss = null;
  #before = null;
  #isLoaded = false;
  #erasures = null;

  /** `ask(address)` resolves to the app's answer; `onTaken(entry)` gets what counts now, `onGone(id)` what was dropped. */
  constructor(store, { ask, onTaken, onGone }) {
    this.#store = store;
    this.#ask = ask;
    this.#onTaken = onTaken;
    this.#onGone = onGone;
  }

  get isLoaded() {
    return this.#isLoaded;
  }

  get hasOlder() {
    return this.#before !== null;
  }

  /** Follow the live connection: what comes over it after a loss says nothing of what was missed. */
  connectionIs(state) {
    if (state !== "up") this.#heldAtLoss ??= this.#store.ids();
    this.#connection = state === "up" ? Symbol("connection") : null;
  }

  /** Load the newest page, and as many older ones as hold something that was shown and may have come further. */
  async loadNewest() {
    const connection = this.#connection;
    const held = this.#heldAtLoss ?? new Set();
    const { entries, next_before: older, erasures } = await this.#page();
    const missed = this.#erasures !== null && erasures !== this.#erasures;
    this.#erasures = erasures;
    if (missed) this.#store.keepOnly(entries, held).forEach((id) => this.#onGone(id));
    const leavesGap = this.#store.takeNewest(entries, older !== null, held);
    if (!this.#isLoaded || leavesGap || missed) this.#before = older;
    this.#isLoaded = true;
    this.#tell(entries);
    await this.#settle(older, held);
    if (connection && connection === this.#connection) this.#heldAtLoss = null;
  }

  /** Load one more page at the end. */
  async loadOlder() {
    const before = this.#before;
    const { entries, next_before: older } = await this.#page(before);
    if (before !== this.#before) return; // the list ends elsewhere by now: this page would leave a gap
    this.#take(entries);
    this.#before = older;
  }

  async #settle(from, held) {
    let before = from;
    while (before !== null && this.#store.isOpenBelow(before, held)) {
      const { entries, next_before: older } = await this.#page(before);
      this.#take(entries);
      before = older;
    }
    if (before === null || before < this.#before) this.#before = before;
  }

  #page(before = null) {
    return this.#ask(`/api/history?limit=${PAGE}${before === null ? "" : `&before=${before}`}`);
  }

  #take(entries) {
    entries.forEach((entry) => this.#store.take(entry));
    this.#tell(entries);
  }

  #tell(entries) {
    entries.map(({ request_id: id }) => this.#store.get(id)).filter(Boolean).forEach((entry) => this.#onTaken(entry));
  }
}
