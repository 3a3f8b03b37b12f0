/** Sending one patient to the client app: once per patient, and again with the same id until it is acknowledged. */

import uuidv7 from "/vendor/uuid/dist/v7.js";

const ACK_TIMEOUT_MS = 8_000;
const REPEAT_GUARD_MS = 1_000;
const RESEND_MS = 1_000;

export class Submitter {
  #socket;
  #pending = null;
  #last = { text: "", at: -Infinity };
  #onState;
  #onQueued;
  #onRefused;
  #onDelayed;

  /** `onState(sending)` follows whether something waits for its acknowledgement; `onDelayed` gets a sentence why. */
  constructor(socket, { onState, onDelayed, onQueued, onRefused }) {
    this.#socket = socket;
    this.#onState = onState;
    this.#onDelayed = onDelayed;
    this.#onQueued = onQueued;
    this.#onRefused = onRefused;
    socket.on("connect", () => this.#send());
  }

  get isPending() {
    return this.#pending !== null;
  }

  /** Submit a patient; a second click on the same patient while or right after sending changes nothing. */
  submit(values) {
    const text = JSON.stringify(values);
    const isRepeat = text === this.#last.text && performance.now() - this.#last.at < REPEAT_GUARD_MS;
    if (this.#pending || isRepeat) return;
    this.#last = { text, at: performance.now() };
    this.#pending = { request_id: uuidv7(), ...values };
    this.#onState(true);
    this.#send();
  }

  #send() {
    const sent = this.#pending;
    if (!sent || !this.#socket.connected) return;
    this.#socket.timeout(ACK_TIMEOUT_MS).emit("submit", sent, (unanswered, answer) => {
      if (this.#pending !== sent) return;
      if (unanswered) this.#sendAgain("The clinic’s app has not confirmed this patient yet.");
      else this.#settle(sent, answer);
    });
  }

  #sendAgain(why) {
    this.#onDelayed(`${why} It is sent again by itself.`);
    setTimeout(() => this.#send(), RESEND_MS);
  }

  #settle(sent, answer) {
    if (answer.status !== "queued" && answer.error.retryable) return this.#sendAgain(answer.error.message);
    this.#pending = null;
    this.#onState(false);
    if (answer.status === "queued") this.#onQueued(sent, answer.outbox_number);
    else this.#onRefused(answer.error);
  }
}
