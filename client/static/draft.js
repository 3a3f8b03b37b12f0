/** What is typed into the form, kept by the client app until it is submitted, and never by the browser. */

import { byId } from "/ui/dom.js";
import { getJson, send } from "/ui/http.js";

const ADDRESS = "/api/draft";
const PAUSE_MS = 400;
const RETRY_MS = 3_000;
const TIMEOUT_MS = 5_000;

export class Draft {
  #form;
  #corrects;
  #person = byId("sign-in-again").dataset.account;
  #timer = null;
  #isDirty = false;
  #submitted = "";
  #last = Promise.resolve();

  /** `corrects()` returns the entry that the form corrects, or null. */
  constructor(form, { corrects }) {
    this.#form = form;
    this.#corrects = corrects;
    addEventListener("pagehide", () => {
      if (this.#isDirty) this.#send("PUT", this.#content()).catch(() => {});
    });
  }

  /** Return what was typed on an earlier page, and which entry it corrects; null if nothing is kept. */
  async kept() {
    const { draft } = await getJson(ADDRESS);
    return draft?.person === this.#person ? draft : null;
  }

  /** Hear that the form has changed. Shortly before the session ends nothing is put off: it would be refused then. */
  changed(pause = byId("session-banner").hidden ? PAUSE_MS : 0) {
    this.#isDirty = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#save(), pause);
  }

  /** Resolves when the form may be submitted: what is under way now must not arrive after that. */
  async settled() {
    clearTimeout(this.#timer);
    this.#submitted = JSON.stringify(this.#form.snapshot());
    await this.#last;
  }

  /** Hear that the app has what was submitted, and erased its draft. */
  submitted() {
    if (this.#submitted !== JSON.stringify(this.#form.snapshot())) this.changed();
    else this.erase(); // here too: a save that failed, or was sent meanwhile, may have come after it
  }

  erase() {
    clearTimeout(this.#timer);
    this.#isDirty = false;
    this.#queue("DELETE", { person: this.#person });
  }

  #content() {
    const { request_id, entered_at } = this.#corrects() ?? {};
    return { person: this.#person, corrects: request_id ? { request_id, entered_at } : null, controls: this.#form.snapshot() };
  }

  #save() {
    if (this.#form.isEmpty()) return this.erase();
    this.#isDirty = false;
    this.#queue("PUT", this.#content());
  }

  /** One after the other: nothing that was saved before must arrive after what erases it. */
  #queue(method, values) {
    this.#last = this.#last.then(() => this.#send(method, values)).catch(({ status }) => {
      if (!status || status >= 500) this.changed(RETRY_MS);
    });
  }

  /** What is sent goes on when the page is left. */
  #send(method, values) {
    return send(method, ADDRESS, values, () => ({ keepalive: true, signal: AbortSignal.timeout(TIMEOUT_MS) }));
  }
}
