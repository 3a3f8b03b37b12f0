/** How live the dashboard is, from what its socket and its requests say; no document needed. */

export class FeedState {
  #connected = false;
  #failed = false;
  #show;

  /** `show(state, sentence)` gets "up", "lost" or "failed"; only the last has a sentence. */
  constructor(show) {
    this.#show = show;
  }

  socketIs(state) {
    this.#connected = state === "up";
    this.#failed = false;
    this.#show(state);
  }

  requestFailed(sentence) {
    this.#failed = true;
    this.#show("failed", sentence);
  }

  /** All that was asked for is there: an earlier failure is over. */
  requestsSucceeded() {
    if (!this.#failed) return;
    this.#failed = false;
    this.#show(this.#connected ? "up" : "lost");
  }
}
