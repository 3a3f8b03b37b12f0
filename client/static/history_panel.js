/** The history panel: shows the pages that are loaded and their news, and opens a request on demand. */

import { button, byId } from "/ui/dom.js";
import { getJson, RequestError } from "/ui/http.js";
import { paced } from "/ui/pace.js";
import { HistoryList } from "./history_list.js";
import { HistoryStore } from "./history_store.js";

const PAGE = 30;
const ERASED = "This patient was erased from the record.";
const RELOADED = "The history was loaded again. If this patient is still there, open it from the history.";

export class HistoryPanel {
  #store = new HistoryStore();
  #list;
  #openId = null;
  #isLoaded = false;
  #isAsking = false;
  #page;
  #drawSoon = paced(() => this.#draw());

  /** Of the page, `onOpen(entry)` shows what was opened, and `onChange(entry)` and `onForget(why)` tell what became of the request that is open. */
  constructor(page) {
    this.#page = page;
    this.#list = new HistoryList({ onOpen: (id) => this.open(id) });
    byId("history-more").addEventListener("click", () => this.#loadOlder());
  }

  /** Return the entry of a request as far as it is known here, or null. */
  get(requestId) {
    return this.#store.get(requestId);
  }

  /** Open a request that is known here. */
  open(requestId) {
    const entry = this.#store.get(requestId);
    if (!entry) return this.note("That entry is no longer in the history.");
    this.#open(requestId);
    this.#page.onOpen(entry);
  }

  /** Load the newest page in place of all that is shown; return it, with its place in the log. */
  async load() {
    const page = await getJson(`/api/history?limit=${PAGE}`);
    this.#store.start(page);
    this.#isLoaded = true;
    this.note("");
    this.#tell(RELOADED);
    return page;
  }

  /** Take changes of the app's log. */
  take(changes) {
    changes.forEach((change) => this.#store.take(change));
    if (changes.some(({ request_id: id }) => id === this.#openId)) this.#tell(ERASED);
    if (changes.length) this.#drawSoon();
  }

  /** Take an acknowledged entry and mark it as open; return what is known of that request now. */
  acknowledge(acknowledged) {
    const entry = this.#store.acknowledge(acknowledged);
    if (entry) this.#open(entry.request_id);
    return entry;
  }

  /** Say something instead of what was said; after a failure with a button that tries `again`. */
  note(sentence, again = null) {
    const note = byId("history-note");
    note.replaceChildren(sentence);
    note.hidden = !sentence;
    if (again) note.append(" ", button("Try again", again));
  }

  #open(requestId) {
    this.#openId = requestId;
    this.#drawSoon();
  }

  #tell(whyGone) {
    const entry = this.#openId && this.#store.get(this.#openId);
    if (entry) this.#page.onChange(entry);
    else if (this.#openId) this.#page.onForget(whyGone);
    if (!entry) this.#openId = null;
    this.#drawSoon();
  }

  async #loadOlder() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const focusIndex = byId("history-list").children.length;
    const before = this.#store.before;
    try {
      const page = await getJson(`/api/history?limit=${PAGE}&before=${before}`);
      if (before === this.#store.before) this.#store.addPage(page); // otherwise the list was loaded again meanwhile
      this.note("");
    } catch (failure) {
      if (!(failure instanceof RequestError)) throw failure;
      this.note(failure.message, () => this.#loadOlder());
    } finally {
      this.#isAsking = false;
    }
    this.#draw();
    byId("history-list").children[focusIndex]?.firstElementChild.focus();
  }

  #draw() {
    const entries = this.#store.list();
    this.#list.show(entries, this.#openId);
    byId("history-more").hidden = this.#store.before === null;
    if (!this.#isLoaded || byId("history-note").querySelector("button")) return;
    this.note(entries.length ? "" : "Nothing here yet. Every patient you analyze is kept here, also when the app restarts.");
  }
}
