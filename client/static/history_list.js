/** The list of this client app's requests; one button each, kept in place so that focus survives news. */

import { arrange, byId, copyOf, element, icon, levelBadge, slot, timeElement } from "/ui/dom.js";
import { scoreInList } from "/ui/wording.js";

const STATES = {
  queued: { icon: "queued", word: "Queued" },
  withdrawing: { icon: "queued", word: "Being withdrawn" },
  refused: { icon: "refused", word: "Refused" },
};

export class HistoryList {
  #items = new Map(); // request_id -> {item, entry}
  #onOpen;

  constructor({ onOpen }) {
    this.#onOpen = onOpen;
  }

  /** Show the entries, newest first, and mark the open one. */
  show(entries, openId) {
    this.#items = new Map(entries.map((entry) => [entry.request_id, this.#item(entry, entry.request_id === openId)]));
    arrange(byId("history-list"), [...this.#items.values()].map(({ item }) => item));
  }

  #item(entry, isOpen) {
    const known = this.#items.get(entry.request_id) ?? this.#make(entry.request_id);
    if (known.entry !== entry) fillItem(known.item, entry);
    const button = known.item.firstElementChild;
    if (isOpen) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    return { item: known.item, entry };
  }

  #make(id) {
    const item = copyOf("history-item-template");
    item.firstElementChild.addEventListener("click", () => this.#onOpen(id));
    return { item, entry: null };
  }
}

function fillItem(item, entry) {
  const name = slot(item, "name");
  name.textContent = entry.patient_reference ?? "No reference";
  name.title = entry.patient_reference ?? "";
  name.classList.toggle("soft", !entry.patient_reference);
  item.classList.toggle("is-superseded", Boolean(entry.superseded_by));
  slot(item, "level").replaceChildren(badge(entry));
  slot(item, "time").replaceChildren(timeElement(entry.entered_at), entry.superseded_by ? " · corrected" : "");
  slot(item, "score").textContent = entry.prediction ? scoreInList(entry.prediction) : "";
}

function badge(entry) {
  if (entry.prediction) return levelBadge(entry.prediction.risk_level);
  const { icon: shape, word } = STATES[entry.state];
  return element("span", { className: "level" }, icon(shape), word);
}
