/** The question that is asked when the same patient seems to be entered twice; Esc leads back to the form. */

import { ask, byId, timeElement } from "/ui/dom.js";

/** Ask about an earlier entry; resolves to "open", "correct" or "analyze", or to "" if none of that was chosen. */
export function askAboutDuplicate(earlier, sent) {
  byId("duplicate-what").replaceChildren(whatIsThere(earlier, sent), " ", timeElement(earlier.entered_at), ".");
  return ask(byId("duplicate"));
}

/** Tell whether values as the form has them are those of an entry. */
export const isSame = (values, entry) =>
  values.patient_reference === entry.patient_reference && Object.entries(entry.record).every(([name, value]) => values.record[name] === value);

function whatIsThere(earlier, sent) {
  if (sent.corrects && sent.corrects === earlier.corrects) return "This entry was already corrected at";
  const name = earlier.patient_reference ? `“${earlier.patient_reference}”` : "a patient without reference";
  const isOther = earlier.patient_reference === sent.patient_reference && !isSame(sent, earlier);
  return isOther ? `${name} was entered with other values at` : `The same values were entered for ${name} at`;
}
