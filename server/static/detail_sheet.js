/** The sheet with one prediction in full; Esc closes it and the focus returns to its row. */

import { announce, button, byId, timeElement } from "/ui/dom.js";

export class DetailSheet {
  #fields;
  #dialog = byId("detail");
  #view = byId("detail-view");
  #neighbour;
  #correction;

  /** `neighbour(id, step)` returns the item before or after in the list, or null; `correction(client, request)` the item of a request. */
  constructor(fields, { neighbour, correction, onClose }) {
    this.#fields = fields;
    this.#correction = correction;
    this.#neighbour = neighbour;
    byId("detail-close").addEventListener("click", () => this.#dialog.close());
    byId("detail-newer").addEventListener("click", () => this.#step(-1));
    byId("detail-older").addEventListener("click", () => this.#step(1));
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    this.#dialog.addEventListener("close", () => onClose(this.#view.predictionId));
  }

  open({ prediction, explanation, superseded_by: by }) {
    byId("detail-heading").textContent = prediction.patient_reference ?? "Patient without reference";
    byId("detail-origin").replaceChildren(`${prediction.client_id} · `, timeElement(prediction.made_at));
    this.#view.show(prediction, explanation, this.#fields);
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

  #showCorrected(clientId, requestId) {
    const item = requestId && this.#correction(clientId, requestId);
    const at = item?.prediction.made_at;
    const open = button("Open the correction", () => {
      const now = this.#correction(clientId, requestId); // it may have been erased meanwhile
      if (now) this.open(now);
      else this.#showCorrected(clientId, requestId);
    });
    const note = byId("detail-corrected");
    note.hidden = !requestId;
    note.replaceChildren(...(item ? ["Corrected at ", timeElement(at), ". Not counted. ", open] : ["Corrected by another entry. Not counted."]));
    this.#dialog.toggleAttribute("data-superseded", Boolean(requestId));
  }

  /** The page was loaded again: nobody knows what became of a prediction that is not among the newest. */
  keepOnly(items) {
    const id = this.#view.predictionId;
    const item = items.find(({ prediction }) => prediction.prediction_id === id);
    if (item) this.#showCorrected(item.prediction.client_id, item.superseded_by);
    else if (id) this.#empty("The predictions were loaded again.");
  }

  #empty(why) {
    if (this.#dialog.open) announce(why);
    this.#dialog.close();
    this.#view.clear();
    byId("detail-heading").replaceChildren();
    byId("detail-origin").replaceChildren();
    byId("detail-corrected").replaceChildren();
  }

  /** Say which neighbours there are now; news may have brought a newer one. */
  refresh() {
    const id = this.#view.predictionId;
    byId("detail-newer").disabled = !this.#neighbour(id, -1);
    byId("detail-older").disabled = !this.#neighbour(id, 1);
  }

  #step(step) {
    const item = this.#neighbour(this.#view.predictionId, step);
    if (item) this.open(item);
  }
}
