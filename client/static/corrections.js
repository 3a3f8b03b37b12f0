/** Correcting and withdrawing: which entry the form corrects, and what can be done with the entry that is shown. */

import { button, byId, element, timeElement } from "/ui/dom.js";

/** The entry that the form corrects, if it does, with the line above the form that says so. */
export class Correction {
  #entry = null;

  constructor({ onCancel }) {
    byId("correcting-cancel").addEventListener("click", () => {
      this.of(null);
      onCancel();
    });
  }

  get entry() {
    return this.#entry;
  }

  /** Correct an entry from now on, or none. */
  of(entry) {
    this.#entry = entry;
    byId("correcting").hidden = !entry;
    if (entry) byId("correcting-text").replaceChildren("Correcting the entry of ", timeElement(entry.entered_at), ".");
  }
}

/** The buttons beside a result, and the notes on what was corrected. */
export class EntryActions {
  #entry = null;
  #find;
  #onOpen;
  #told = "";

  /** `find(id)` returns an entry that is known to the page, or null. */
  constructor({ find, onOpen, onCorrect, onWithdraw }) {
    this.#find = find;
    this.#onOpen = onOpen;
    byId("correct").addEventListener("click", () => onCorrect(this.#entry));
    byId("withdraw").addEventListener("click", () => onWithdraw(this.#entry));
  }

  /** Offer what can be done with an entry, null if none is shown. */
  show(entry) {
    this.#entry = entry;
    const focused = document.activeElement;
    const { state, superseded_by: by, corrects } = entry ?? {};
    byId("correct").hidden = !["answered", "refused"].includes(state) || Boolean(by);
    byId("withdraw").hidden = state !== "queued";
    byId("result").toggleAttribute("data-superseded", Boolean(by));
    this.#tell(by, corrects);
    if (focused?.hidden) byId("result-heading").focus({ preventScroll: true });
  }

  #tell(by, corrects) {
    const told = [by, corrects].map((id) => `${id} ${Boolean(id && this.#find(id))}`).join();
    if (told === this.#told) return; // a button that has the focus stays
    this.#told = told;
    const place = byId("result-corrected");
    place.hidden = !by && !corrects;
    place.replaceChildren();
    if (by) place.append(this.#note(by, "Corrected at ", "Corrected by another entry."));
    if (corrects) place.append(this.#note(corrects, "Corrects the entry of ", "Corrects an earlier entry."));
  }

  #note(requestId, words, otherwise) {
    const other = this.#find(requestId);
    if (!other) return element("p", { textContent: otherwise });
    return element("p", {}, words, timeElement(other.entered_at), ". ", button("Open it", () => this.#onOpen(requestId)));
  }
}
