/** The history panel: one button for each request of this client app, newest first, which opens it. */

import { button, byId, copyOf, element, fill, fillSlots, icon, KeyedList, levelBadge, slot, timeElement } from "/ui/dom.js";
import { getJson } from "/ui/http.js";
import { paced } from "/ui/pace.js";
import { scoreInList } from "/ui/wording.js";
import { HistoryStore } from "./history_store.js";
import { STATES } from "./result_panel.js";

const PAGE = 30;
const ERASED = "This patient was erased from the record.";
const RELOADED = "The history was loaded again. If this patient is still there, open it from the history.";

export class HistoryPanel {
  #store = new HistoryStore();
  #list;
  #openId = null;
  #isAsking = false;
  #page;
  #drawSoon = paced(() => this.#draw());

  /** Of the page, `onOpen(entry)` shows what was opened, and `onChange(entry)` and `onForget(why)` tell what became of the request that is open. */
  constructor(page) {
    this.#page = page;
    const make = ({ request_id: id }) => {
      const item = copyOf("history-item-template");
      item.firstElementChild.addEventListener("click", () => this.open(id));
      return item;
    };
    this.#list = new KeyedList(byId("history-list"), { keyOf: ({ request_id: id }) => id, make, update: showEntry });
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
    fill(byId("history-note"), again ? [`${sentence} `, button("Try again", again)] : sentence);
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
    await getJson(`/api/history?limit=${PAGE}&before=${before}`).then(
      (page) => {
        if (before === this.#store.before) this.#store.addPage(page); // otherwise the list was loaded again meanwhile
        this.note("");
      },
      ({ message }) => this.note(message, () => this.#loadOlder()),
    ).finally(() => (this.#isAsking = false));
    this.#draw();
    byId("history-list").children[focusIndex]?.firstElementChild.focus();
  }

  #draw() {
    const entries = this.#store.list();
    this.#list.show(entries);
    byId("history-list").querySelector("[aria-current]")?.removeAttribute("aria-current");
    this.#list.get(this.#openId)?.firstElementChild.setAttribute("aria-current", "true");
    byId("history-more").hidden = !this.#store.before;
    if (this.#store.before === undefined || byId("history-note").querySelector("button")) return; // not loaded, or it says why
    this.note(entries.length ? "" : "Nothing here yet. Every patient you analyze is kept here, also when the app restarts.");
  }
}

function showEntry(item, entry) {
  const { patient_reference: reference, prediction, superseded_by: by } = entry;
  fillSlots(item, {
    name: reference ?? "No reference",
    level: badge(entry),
    time: [timeElement(entry.entered_at), by ? " · corrected" : ""],
    score: prediction ? scoreInList(prediction) : null,
  });
  slot(item, "name").title = reference ?? "";
  slot(item, "name").classList.toggle("soft", !reference);
  item.classList.toggle("is-superseded", Boolean(by));
}

function badge({ state, prediction }) {
  if (prediction) return levelBadge(prediction.risk_level);
  return element("span", { className: "level" }, icon(STATES[state].sign), STATES[state].word);
}
