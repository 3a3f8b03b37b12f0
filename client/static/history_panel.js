/** The history panel: loads pages, takes news, and opens a request on demand. */

import { byId, element } from "/ui/dom.js";
import { getJson, RequestError, toSignIn } from "/ui/http.js";
import { Persistent } from "/ui/persistent.js";
import { HistoryList } from "./history_list.js";
import { HistoryPages } from "./history_pages.js";
import { HistoryStore } from "./history_store.js";

const MISSED = "Patients were erased while this page was away. If this one is still there, open it from the history.";

export class HistoryPanel {
  #store = new HistoryStore();
  #pages;
  #newest;
  #list;
  #openId = null;
  #onChange;
  #onForget;
  #frame = null;

  constructor({ onOpen, onChange, onForget }) {
    this.#onChange = onChange;
    this.#onForget = onForget;
    this.#list = new HistoryList({
      onOpen: (id) => {
        this.mark(id);
        onOpen(this.#store.get(id));
      },
    });
    this.#pages = new HistoryPages(this.#store, { ask: getJson, onTaken: onChange, onGone: (id) => onForget(id, MISSED) });
    this.#newest = new Persistent(() => this.#pages.loadNewest(), {
      onDone: () => {
        this.#note("");
        this.#drawSoon();
      },
      onFailed: (sentence) => this.#note(`${sentence} It is tried again by itself.`, () => this.#newest.run()),
    });
    byId("history-more").addEventListener("click", () => this.#loadOlder());
  }

  /** Follow the live connection: with every one that is made, what was missed is loaded. */
  connectionIs(state) {
    this.#pages.connectionIs(state);
    if (state === "up") this.#newest.run();
  }

  /** Take one entry; return the one that counts now. */
  take(entry) {
    const current = this.#store.take(entry);
    if (current) this.#onChange(current);
    this.#drawSoon();
    return current;
  }

  /** Drop a request that was erased. */
  forget(requestId) {
    this.#store.forget(requestId);
    this.#onForget(requestId, "This patient was erased from the record.");
    this.#drawSoon();
  }

  explain(finished) {
    const entry = this.#store.explain(finished);
    if (entry) this.#onChange(entry);
  }

  /** Mark the request whose result is open. */
  mark(requestId) {
    this.#openId = requestId;
    this.#drawSoon();
  }

  async #loadOlder() {
    const focusIndex = byId("history-list").children.length;
    try {
      await this.#pages.loadOlder();
      if (!this.#newest.isWaiting) this.#note("");
    } catch (failure) {
      if (!(failure instanceof RequestError)) throw failure;
      if (failure.status === 401) return toSignIn();
      this.#note(failure.message, () => this.#loadOlder());
    }
    this.#draw();
    byId("history-list").children[focusIndex]?.firstElementChild.focus();
  }

  /** Say something instead of what was said; after a failure with a button that tries `again`. */
  #note(sentence, again = null) {
    const note = byId("history-note");
    note.replaceChildren(sentence);
    note.hidden = !sentence;
    if (!again) return;
    const button = element("button", { type: "button", className: "link-button", textContent: "Try again" });
    button.addEventListener("click", again);
    note.append(" ", button);
  }

  #drawSoon() {
    this.#frame ??= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = null;
    const entries = this.#store.list();
    this.#list.show(entries, this.#openId);
    byId("history-more").hidden = !this.#pages.hasOlder;
    if (!this.#pages.isLoaded || byId("history-note").querySelector("button")) return;
    this.#note(!entries.length ? "Nothing here yet. Every patient you analyze is kept here, also when the app restarts." : "");
  }
}
