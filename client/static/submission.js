/** Sending one patient to the client app: once per patient, and again with the same id until it is acknowledged. */

import uuidv7 from "/vendor/uuid/dist/v7.js";

const ACK_TIMEOUT_MS = 8_000;
const REPEAT_GUARD_MS = 1_000;
const RESEND_MS = 1_000;

export class Submitter {
  #socket;
  #pending = null;
  #last = { text: "", at: -Infinity };
  #page;

  /**
   * Of the page, `sending(isSending)` follows whether something waits for its acknowledgment, `delayed(sentence)` gets
   * why it takes long, and `saved(entry)`, `duplicate(entry, values)` or `refused(error)` what the app said in the end.
   */
  constructor(socket, page) {
    this.#socket = socket;
    this.#page = page;
    socket.on("connect", () => this.#send());
  }

  get isPending() {
    return this.#pending !== null;
  }

  /** Submit a patient; a second click on the same patient while or right after sending changes nothing. */
  submit(values) {
    const text = JSON.stringify(values);
    const isRepeat = text === this.#last.text && performance.now() - this.#last.at < REPEAT_GUARD_MS;
    if (this.#pending || isRepeat) return this.#page.sending(this.isPending);
    this.#last = { text, at: performance.now() };
    this.#pending = { ...values, request_id: uuidv7() };
    this.#page.sending(true);
    this.#send();
  }

  #send() {
    const sent = this.#pending;
    if (!sent || !this.#socket.connected) return;
    this.#socket.timeout(ACK_TIMEOUT_MS).emit("submit", sent, (unanswered, receipt) => {
      if (this.#pending !== sent) return;
      if (unanswered || !receipt?.status) this.#sendAgain("The clinic’s app has not confirmed this patient yet.");
      else if (receipt.error?.code === "not_signed_in") this.#page.delayed("Sign in again to send this patient."); // on the next connection
      else if (receipt.error?.retryable) this.#sendAgain(receipt.error.message);
      else this.#settle(receipt, sent);
    });
  }

  #sendAgain(why) {
    this.#page.delayed(`${why} Retrying automatically.`);
    setTimeout(() => this.#send(), RESEND_MS);
  }

  #settle({ status, entry, error }, sent) {
    this.#pending = null;
    this.#page.sending(false);
    if (status === "saved") return this.#page.saved(entry);
    this.#last.at = -Infinity; // nothing was saved: the same may be submitted at once
    if (status === "duplicate") this.#page.duplicate(entry, sent);
    else this.#page.refused(error);
  }
}

/** Ask the app to withdraw a request; return why it could not be asked or did not want to, null if it took it. */
export function withdraw(socket, requestId) {
  const answer = socket.timeout(ACK_TIMEOUT_MS).emitWithAck("withdraw", { request_id: requestId });
  return answer.then(({ error }) => error?.message ?? null, () => "The clinic’s app has not confirmed this. Try again.");
}
