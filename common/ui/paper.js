/** One result on one page of paper: this patient alone, whatever else is on the screen. */

import { showContributions } from "./contribution_chart.js";
import { byId, copyOf, element, fillSlots } from "./dom.js";
import { datedTime } from "./format.js";
import { byWhom, fact, recordFacts, showResult } from "./result_parts.js";
import { referenceOf } from "./wording.js";

const STALE = "Nothing was printed because the form no longer matches this result. Analyze or clear the form, then print again.";

/** The name of the person whose page this is. */
export const signedInName = () => byId("person")?.textContent ?? null;

/** Print this in place of the page that is about to be printed. */
export function printInstead(paper) {
  const { title } = document;
  document.title = `Heart anomaly result ${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}`; // what a PDF is called
  document.body.append(paper);
  addEventListener("afterprint", () => {
    paper.remove();
    document.title = title;
  }, { once: true });
}

/** What is printed of a result while the form beside it has other values. */
export const staleNote = () => element("p", { className: "paper" }, STALE);

/** Return a result as a page of its own; `corrected` is a sentence about that, if it was. */
export function paperOf(prediction, corrected) {
  const paper = copyOf("paper-template");
  showResult(paper, prediction);
  const top = prediction.contributions.filter(({ field }) => prediction.top_factors.includes(field));
  showContributions(paper, top);
  fillSlots(paper, {
    reference: referenceOf(prediction),
    corrected,
    record: recordFacts(prediction),
    made: [
      ...fact("Entered", datedTime(prediction.entered_at), byWhom(prediction.entered_by), ` at ${prediction.client_id}`),
      ...fact("Answered", datedTime(prediction.made_at)),
      ...fact("Printed", datedTime(new Date()), byWhom(signedInName())),
      ...fact("Model version", prediction.model_version),
    ],
  });
  return paper;
}
