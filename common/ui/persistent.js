/** Asking until there is an answer: one run at a time, one more if asked meanwhile, and again by itself after a failure. */

import { RequestError, toSignIn } from "./http.js";

const RETRY_MS = 3_000;

export class Persistent {
  #work;
  #onDone;
  #onFailed;
  #isRunning = false;
  #isAskedAgain = false;
  #retry = null;

  /** `onFailed(sentence)` says why a run failed that is tried again by itself. */
  constructor(work, { onDone, onFailed }) {
    this.#work = work;
    this.#onDone = onDone;
    this.#onFailed = onFailed;
  }

  /** Tell whether the last run failed and the next has not begun. */
  get isWaiting() {
    return this.#retry !== null;
  }

  async run() {
    if (this.#isRunning) {
      this.#isAskedAgain = true;
      return;
    }
    this.#begin();
    try {
      do {
        this.#isAskedAgain = false;
        await this.#work();
      } while (this.#isAskedAgain);
      this.#onDone();
    } catch (failure) {
      this.#failed(failure);
    } finally {
      this.#isRunning = false;
    }
  }

  #begin() {
    this.#isRunning = true;
    clearTimeout(this.#retry);
    this.#retry = null;
  }

  #failed(failure) {
    if (!(failure instanceof RequestError)) throw failure;
    if (failure.status === 401) return toSignIn();
    this.#retry = setTimeout(() => this.run(), RETRY_MS);
    this.#onFailed(failure.message);
  }
}
