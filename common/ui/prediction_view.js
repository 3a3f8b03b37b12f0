/** `<prediction-view>`: one prediction in full, on both pages, to be printed and to be copied. */

import { chartText } from "./chart_text.js";
import { showContributions } from "./contribution_chart.js";
import { announce, copyOf, fill, icon, slot, timeElement } from "./dom.js";
import { decimal, milliseconds, signed } from "./format.js";
import { paperOf, printInstead, signedInName, staleNote } from "./paper.js";
import { byWhom, fact, recordFacts, showResult } from "./result_parts.js";
import { authorOf, endOfWaiting, isAwaited } from "./wording.js";

const CORRECTED = "Corrected by another entry.";
const COPIED = "Copied. Paste it into the patient’s chart.";
const BLOCKED = "The browser does not let this page copy. The text is selected: copy it with Ctrl+C or ⌘C.";

class PredictionView extends HTMLElement {
  #prediction = null;
  #fields = null;
  #isStale = false;
  #isAwaited = false;

  connectedCallback() {
    addEventListener("beforeprint", () => {
      if (!this.#prediction || !this.checkVisibility()) return;
      printInstead(this.#isStale ? staleNote() : paperOf(this.#prediction, this.#fields, this.#corrected));
    });
  }

  get predictionId() {
    return this.#prediction?.prediction_id ?? null;
  }

  show(prediction, explanation, fields) {
    this.#prediction = prediction;
    this.#fields = fields;
    const content = copyOf("prediction-template");
    showResult(content, prediction, fields);
    showContributions(content, prediction.contributions, fields);
    slot(content, "record").append(...recordFacts(prediction, fields));
    slot(content, "technical").append(...technicalFacts(prediction, fields));
    fill(content, "sum", sumInWords(prediction));
    const card = `/model/${encodeURIComponent(prediction.model_version)}`;
    slot(content, "model-card").href = slot(content, "card-at-high").href = card;
    slot(content, "card-at-high").hash = "at-high";
    slot(content, "print").addEventListener("click", () => print());
    slot(content, "copy").addEventListener("click", () => this.#copy());
    this.replaceChildren(content);
    this.#showExplanation(explanation);
    this.isStale = this.#isStale;
  }

  /** Say whether the form beside it has other values: a stale result cannot be printed or copied. */
  set isStale(isStale) {
    this.#isStale = isStale;
    for (const name of ["print", "copy"]) {
      const button = slot(this, name);
      if (button) button.disabled = isStale;
    }
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
    fill(this, "text", computed.text);
    showAuthor(this, "author", computed);
    slot(this, "written").hidden = !isWritten;
    fill(this, "written-text", isWritten ? explanation.text : null);
    showAuthor(this, "written-author", explanation);
    fill(this, "reason", explanation.reason);
    slot(this, "awaited").hidden = !this.#isAwaited;
  }

  /** What paper and chart have to say of a result that the page around it marks as corrected. */
  get #corrected() {
    return this.closest("[data-superseded]") ? CORRECTED : null;
  }

  async #copy() {
    const text = chartText(this.#prediction, this.#fields, signedInName(), this.#corrected);
    const [place, status] = [slot(this, "chart-text"), slot(this, "copied")];
    // Browsers let pages copy over https and on this machine alone.
    const isCopied = (await navigator.clipboard?.writeText(text).then(() => true, () => false)) ?? false;
    status.textContent = isCopied ? COPIED : BLOCKED;
    place.value = text;
    place.hidden = isCopied;
    if (!isCopied) place.select();
  }
}

function showAuthor(view, name, explanation) {
  const author = authorOf(explanation);
  slot(view, name).replaceChildren(icon(author.icon), author.text);
}

function sumInWords({ base_value: base, contributions, raw_score: raw }) {
  if (contributions.length === 0) return "";
  const sum = contributions.reduce((total, item) => total + item.contribution, 0);
  return (
    `Each contribution is measured from the average of the disease-free patients, not from the typical value. ` +
    `In log2 score units: base value ${decimal(base)} and the sum of the contributions ${decimal(sum)} ` +
    `give log2 of the raw score ${decimal(raw, 3)}.`
  );
}

function technicalFacts(prediction, fields) {
  const timings = Object.entries(prediction.timings_ms);
  const sizes = prediction.contributions.map(({ field, contribution }) => `${fields.get(field)?.label ?? field} ${signed(contribution)}`);
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
