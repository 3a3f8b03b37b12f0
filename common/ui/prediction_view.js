/** `<prediction-view>`: one prediction in full, on both pages, to be printed and to be copied. */

import { chartText } from "./chart_text.js";
import { showContributions } from "./contribution_chart.js";
import { announce, copyOf, fillSlots, icon, slot, timeElement } from "./dom.js";
import { FIELDS } from "./fields.js";
import { decimal, milliseconds, signed } from "./format.js";
import { paperOf, printInstead, signedInName, staleNote } from "./paper.js";
import { byWhom, fact, recordFacts, showResult } from "./result_parts.js";
import { authorOf, endOfWaiting, isAwaited, labelOf } from "./wording.js";

const CORRECTED = "Corrected by another entry.";
const COPIED = "Copied. Paste it into the patient’s chart.";
const BLOCKED = "The browser does not let this page copy. The text is selected: copy it with Ctrl+C or ⌘C.";

class PredictionView extends HTMLElement {
  #prediction = null;
  #isStale = false;
  #isAwaited = false;

  connectedCallback() {
    addEventListener("beforeprint", () => {
      if (!this.#prediction || !this.checkVisibility()) return;
      printInstead(this.#isStale ? staleNote() : paperOf(this.#prediction, this.#corrected));
    });
  }

  get predictionId() {
    return this.#prediction?.prediction_id ?? null;
  }

  show(prediction, explanation) {
    this.#prediction = prediction;
    const content = copyOf("prediction-template");
    showResult(content, prediction);
    showContributions(content, prediction.contributions);
    fillSlots(content, {
      record: recordFacts(prediction),
      technical: technicalFacts(prediction),
      sum: sumInWords(prediction),
    });
    const card = `/model/${encodeURIComponent(prediction.model_version)}`;
    slot(content, "model-card").href = card;
    slot(content, "card-at-high").href = `${card}#at-high`;
    slot(content, "print").addEventListener("click", () => print());
    slot(content, "copy").addEventListener("click", () => this.#copy());
    this.replaceChildren(content);
    this.#showExplanation(explanation);
    this.isStale = this.#isStale;
  }

  /** Say whether the form beside it has other values: a stale result cannot be printed or copied. */
  set isStale(isStale) {
    this.#isStale = isStale;
    for (const button of this.querySelectorAll('[data-slot="print"], [data-slot="copy"]')) button.disabled = isStale;
  }

  /** Hold and show nothing any more. */
  clear() {
    this.#prediction = null;
    this.replaceChildren();
  }

  /** Take the finished explanation of any prediction. */
  explain(predictionId, explanation) {
    if (predictionId !== this.predictionId || !this.#isAwaited || isAwaited(this.#prediction, explanation)) return;
    this.#showExplanation(explanation);
    announce(endOfWaiting(explanation));
  }

  /** Show the computed explanation and the AI-written one, or that one is being written. */
  #showExplanation(explanation) {
    const { explanation: computed } = this.#prediction;
    const isWritten = explanation.source === "llm";
    this.#isAwaited = isAwaited(this.#prediction, explanation);
    fillSlots(this, {
      text: computed.text,
      author: author(computed),
      "written-text": isWritten ? explanation.text : null,
      "written-author": author(explanation),
      reason: explanation.reason,
    });
    slot(this, "written").hidden = !isWritten;
    slot(this, "awaited").hidden = !this.#isAwaited;
  }

  /** What paper and chart have to say of a result that the page around it marks as corrected. */
  get #corrected() {
    return this.closest("[data-superseded]") ? CORRECTED : null;
  }

  async #copy() {
    const text = chartText(this.#prediction, FIELDS, signedInName(), this.#corrected);
    const [place, status] = [slot(this, "chart-text"), slot(this, "copied")];
    // Browsers let pages copy over https and on this machine alone.
    const isCopied = (await navigator.clipboard?.writeText(text).then(() => true, () => false)) ?? false;
    status.textContent = isCopied ? COPIED : BLOCKED;
    place.value = text;
    place.hidden = isCopied;
    if (!isCopied) place.select();
  }
}

const author = (explanation) => {
  const { icon: sign, text } = authorOf(explanation);
  return [icon(sign), text];
};

function sumInWords({ base_value: base, contributions, raw_score: raw }) {
  if (contributions.length === 0) return "";
  const sum = contributions.reduce((total, item) => total + item.contribution, 0);
  return (
    `Each contribution is measured from the average of the disease-free patients, not from the typical value. ` +
    `In log2 score units: base value ${decimal(base)} and the sum of the contributions ${decimal(sum)} ` +
    `give log2 of the raw score ${decimal(raw, 3)}.`
  );
}

function technicalFacts(prediction) {
  const timings = Object.entries(prediction.timings_ms);
  const sizes = prediction.contributions.map(({ field, contribution }) => `${labelOf(field, FIELDS)} ${signed(contribution)}`);
  return [
    ...fact("Entered", timeElement(prediction.entered_at), byWhom(prediction.entered_by)),
    ...fact("Answered", timeElement(prediction.made_at)),
    ...fact("Model version", prediction.model_version),
    ...fact("Anomaly score", decimal(prediction.anomaly_score, 4)),
    ...fact("Raw score", `${decimal(prediction.raw_score, 4)} (isolation forest)`),
    ...(sizes.length ? fact("Contributions", sizes.join(" · ")) : []),
    ...fact("Client app", prediction.client_id),
    ...fact("Time spent", timings.map(([stage, spent]) => `${stage} ${milliseconds(spent)}`).join(" · ")),
    ...fact("Prediction id", prediction.prediction_id),
  ];
}

customElements.define("prediction-view", PredictionView);
