/** The history panel: loads pages, takes news, and opens a request on demand. */

import { byId, element } from "/ui/dom.js";
import { getJson, RequestError, toSignIn } from "/ui/http.js";
import { HistoryList } from "./history_list.js";
import { HistoryStore } from "./history_store.js";

const PAGE = 30;
const MISSED = "Patients were erased while this page was away. If this one is still there, open it from the history.";

export class HistoryPanel {
  #store = new HistoryStore();
  #list;
  #before = null;
  #loaded = false;
  #openId = null;
  #erasures = null;
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
    byId("history-more").addEventListener("click", () => this.#loadOlder());
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

  /** Load the newest page, first or after a lost connection. */
  async reload() {
    const load = async () => {
      const { entries, next_before: older, erasures } = await getJson(`/api/history?limit=${PAGE}`);
      const missed = this.#erasures !== null && erasures !== this.#erasures;
      this.#erasures = erasures;
      if (missed) this.#store.keepOnly(entries).forEach((id) => this.#onForget(id, MISSED));
      const dropped = this.#store.takeNewest(entries, older !== null) || missed;
      if (!this.#loaded || dropped) this.#before = older;
      this.#loaded = true;
      entries.map(({ request_id: id }) => this.#store.get(id)).filter(Boolean).forEach((entry) => this.#onChange(entry));
    };
    await this.#guarded(load, () => this.reload());
  }

  async #loadOlder() {
    const focusIndex = byId("history-list").children.length;
    const load = async () => {
      const { entries, next_before: older } = await getJson(`/api/history?limit=${PAGE}&before=${this.#before}`);
      entries.forEach((entry) => this.#store.take(entry));
      this.#before = older;
    };
    await this.#guarded(load, () => this.#loadOlder());
    this.#draw();
    byId("history-list").children[focusIndex]?.firstElementChild.focus();
  }

  /** Run a loader; if it fails say so, and offer to try the same `again`. */
  async #guarded(load, again) {
    try {
      await load();
      this.#note("");
    } catch (failure) {
      if (!(failure instanceof RequestError)) throw failure;
      if (failure.status === 401) return toSignIn();
      this.#note(failure.message, again);
    }
    this.#drawSoon();
  }

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
    byId("history-more").hidden = this.#before === null;
    if (this.#loaded && !entries.length) this.#note("Nothing here yet. Every patient you analyze is kept here, also when the app restarts.");
    else if (entries.length && this.#loaded && !byId("history-note").querySelector("button")) this.#note("");
  }
}
