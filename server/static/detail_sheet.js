/** The sheet with one prediction in full; Esc closes it and the focus returns to its row. */

import { announce, button, byId, fill, timeElement } from "/ui/dom.js";
import { referenceOf } from "/ui/wording.js";

export class DetailSheet {
  #page;
  #dialog = byId("detail");
  #view = byId("detail-view");

  /**
   * Of the page, `neighbor(id, step)` returns the item before or after in the list, or null, and `correction(client, request)`
   * the item of a request; `onClose(id)` follows when the sheet is closed.
   */
  constructor(page) {
    this.#page = page;
    byId("detail-newer").addEventListener("click", () => this.#step(-1));
    byId("detail-older").addEventListener("click", () => this.#step(1));
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    this.#dialog.addEventListener("close", () => page.onClose(this.#view.predictionId));
  }

  open({ prediction, explanation, superseded_by: by }) {
    fill(byId("detail-heading"), referenceOf(prediction));
    fill(byId("detail-origin"), `${prediction.client_id} · `, timeElement(prediction.made_at));
    this.#view.show(prediction, explanation);
    this.#showCorrected(prediction.client_id, by);
    this.refresh();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#dialog.querySelector(".sheet-body").scrollTop = 0;
    byId("detail-heading").focus();
  }

  /** Take entries of the change log. */
  take(entries) {
    for (const { kind, prediction_id: id, client_id: client, explanation, superseded_by: by } of entries) {
      if (kind === "prediction_erased" && id === this.#view.predictionId) this.#empty("This prediction was erased from the record.");
      else if (by && id === this.#view.predictionId) this.#showCorrected(client, by);
      else if (explanation && this.#dialog.open) this.#view.explain(id, explanation);
    }
  }

  /** The page was loaded again: nobody knows what became of a prediction that is not among the newest. */
  keepOnly(items) {
    const id = this.#view.predictionId;
    const item = items.find(({ prediction }) => prediction.prediction_id === id);
    if (item) this.#showCorrected(item.prediction.client_id, item.superseded_by);
    else if (id) this.#empty("The predictions were loaded again.");
  }

  /** Say which neighbors there are now; news may have brought a newer one. */
  refresh() {
    byId("detail-newer").disabled = !this.#neighbor(-1);
    byId("detail-older").disabled = !this.#neighbor(1);
  }

  #step(step) {
    const item = this.#neighbor(step);
    if (item) this.open(item);
  }

  #neighbor(step) {
    return this.#page.neighbor(this.#view.predictionId, step);
  }

  #showCorrected(clientId, requestId) {
    const find = () => this.#page.correction(clientId, requestId);
    const open = button("Open the correction", () => {
      const item = find(); // it may have been erased meanwhile
      if (item) this.open(item);
      else this.#showCorrected(clientId, requestId);
    });
    const item = requestId && find();
    const note = item ? ["Corrected at ", timeElement(item.prediction.made_at), ". Not counted. ", open] : "Corrected by another entry. Not counted.";
    fill(byId("detail-corrected"), requestId ? note : []);
    this.#dialog.toggleAttribute("data-superseded", Boolean(requestId));
  }

  #empty(why) {
    if (this.#dialog.open) announce(why);
    this.#dialog.close();
    this.#view.clear();
    for (const place of ["detail-heading", "detail-origin", "detail-corrected"]) byId(place).replaceChildren();
  }
}
