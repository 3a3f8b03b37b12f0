/** What is typed into the form, kept by the client app until it is submitted, and never by the browser. */

import { byId } from "/ui/dom.js";
import { getJson, send } from "/ui/http.js";

const ADDRESS = "/api/draft";
const PAUSE_MS = 400;
const RETRY_MS = 3_000;
const TIMEOUT_MS = 5_000;

export class Draft {
  #form;
  #person = byId("sign-in-again").dataset.account;
  #timer = null;
  #isDirty = false;
  #submitted = "";
  #last = Promise.resolve();
  #otherTabs = new BroadcastChannel(`draft of ${this.#person}`);

  /** A person has one draft: `replaced(isReplaced)` tells whether another tab's entry has taken the place of what is typed here. */
  constructor(form, replaced) {
    this.#form = form;
    this.#otherTabs.addEventListener("message", ({ data }) => {
      if (form.isEmpty()) return;
      if (data === "DELETE") this.changed();
      replaced(data !== "DELETE");
    });
    addEventListener("pagehide", () => {
      if (this.#isDirty) this.#send("PUT", this.#form.snapshot()).catch(() => {});
    });
  }

  /** Return the snapshot of the form on an earlier page; null if none is kept. */
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
    this.#submitted = JSON.stringify(this.#form.snapshot().controls);
    await this.#last;
  }

  /** Hear that the app has what was submitted, and erased its draft; a correction that was canceled meanwhile was submitted as well. */
  submitted() {
    if (this.#submitted !== JSON.stringify(this.#form.snapshot().controls)) this.changed();
    else this.erase(); // here too: a save that failed, or was sent meanwhile, may have come after it
  }

  erase() {
    clearTimeout(this.#timer);
    this.#isDirty = false;
    this.#queue("DELETE");
  }

  #save() {
    if (this.#form.isEmpty()) return this.erase();
    this.#isDirty = false;
    this.#queue("PUT", this.#form.snapshot());
  }

  /** One after the other: nothing that was saved before must arrive after what erases it. */
  #queue(method, snapshot) {
    this.#last = this.#last.then(() => this.#send(method, snapshot)).then(() => this.#otherTabs.postMessage(method)).catch(({ status }) => {
      if (!status || status >= 500) this.changed(RETRY_MS);
    });
  }

  /** What is sent goes on when the page is left. */
  #send(method, snapshot) {
    const options = () => ({ keepalive: true, signal: AbortSignal.timeout(TIMEOUT_MS) });
    return send(method, ADDRESS, { person: this.#person, ...snapshot }, options);
  }
}
