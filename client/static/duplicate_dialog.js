/** The question that is asked when the same patient seems to be entered twice; Esc leads back to the form. */

import { byId, timeElement } from "/ui/dom.js";

export class DuplicateDialog {
  #dialog = byId("duplicate");
  #answers = {};

  /** `onCancel()` follows when none of the answers was chosen. */
  constructor({ onCancel }) {
    this.#dialog.addEventListener("close", () => (this.#answers[this.#dialog.returnValue] ?? onCancel)());
  }

  /** Ask about an earlier entry; `answers` are what follows: `open`, `correct` or `analyze`. */
  ask(earlier, sent, answers) {
    this.#answers = answers;
    this.#dialog.returnValue = "";
    const { entered_at: at } = earlier;
    byId("duplicate-what").replaceChildren(whatIsThere(earlier, sent), " ", timeElement(at), ".");
    this.#dialog.showModal();
  }
}

/** Tell whether values as the form has them are those of an entry. */
export const isSame = (values, entry) =>
  values.patient_reference === entry.patient_reference && Object.entries(entry.record).every(([name, value]) => values.record[name] === value);

function whatIsThere(earlier, sent) {
  if (sent.corrects && sent.corrects === earlier.corrects) return "This entry was already corrected at";
  const name = earlier.patient_reference ? `“${earlier.patient_reference}”` : "a patient without reference";
  const hasSameName = earlier.patient_reference === sent.patient_reference;
  if (!hasSameName) return `The same values were entered for ${name} at`;
  return isSame(sent, earlier) ? `The same values were entered for ${name} at` : `${name} was entered with other values at`;
}
