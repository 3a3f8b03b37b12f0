/** `<prediction-view>`: one prediction in full, on both pages. */

import "./clinical_explanation.js";
import "./contribution_chart.js";
import "./score_scale.js";
import { copyOf, element, fill, icon, slot, timeElement } from "./dom.js";
import { decimal, fullTime, milliseconds, shortTime } from "./format.js";
import { inWords, meaningOf } from "./wording.js";

class PredictionView extends HTMLElement {
  #prediction = null;

  get predictionId() {
    return this.#prediction?.prediction_id ?? null;
  }

  show(prediction, explanation, fields) {
    this.#prediction = prediction;
    const content = copyOf("prediction-template");
    showVerdict(content, prediction);
    slot(content, "scale").show(prediction);
    slot(content, "explanation").show(prediction, explanation);
    slot(content, "contributions").show(prediction.contributions, fields);
    fill(content, "sum", sumInWords(prediction));
    showCaveats(content, prediction, fields);
    slot(content, "record").append(...recordFacts(prediction.record, fields));
    slot(content, "technical").append(...technicalFacts(prediction));
    slot(content, "model-card").href = `/model/${encodeURIComponent(prediction.model_version)}`;
    this.replaceChildren(content);
  }

  /** Hold and show nothing any more. */
  clear() {
    this.#prediction = null;
    this.replaceChildren();
  }

  /** Take the finished explanation of any prediction. */
  explain(predictionId, explanation) {
    if (predictionId === this.predictionId) slot(this, "explanation").finish(explanation);
  }
}

function showVerdict(content, prediction) {
  const verdict = slot(content, "verdict");
  verdict.dataset.level = prediction.risk_level;
  slot(content, "shape").append(icon(prediction.risk_level.toLowerCase()));
  fill(content, "level", prediction.risk_level);
  fill(content, "meaning", meaningOf(prediction));
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

function showCaveats(content, { imputed, extrapolated, record }, fields) {
  const labels = imputed.map((name) => fields.get(name)?.label ?? name);
  const far = extrapolated.map((name) => `${fields.get(name)?.label ?? name} (${inWords(fields.get(name), record[name])})`);
  fill(content, "imputed", labels.join(", "));
  fill(content, "extrapolated", far.join(", "));
  slot(content, "imputed-part").hidden = labels.length === 0;
  slot(content, "extrapolated-part").hidden = far.length === 0;
  slot(content, "caveats").hidden = labels.length + far.length === 0;
}

function recordFacts(record, fields) {
  return [...fields.values()].flatMap((field) => fact(field.label, inWords(field, record[field.name])));
}

function technicalFacts(prediction) {
  const timings = Object.entries(prediction.timings_ms);
  return [
    ...fact("Entered", timeElement(prediction.entered_at, shortTime(prediction.entered_at), fullTime(prediction.entered_at))),
    ...fact("Answered", timeElement(prediction.made_at, shortTime(prediction.made_at), fullTime(prediction.made_at))),
    ...fact("Model version", prediction.model_version),
    ...fact("Raw score", `${decimal(prediction.raw_score, 4)} (isolation forest)`),
    ...fact("Client app", prediction.client_id),
    ...fact("Time spent", timings.map(([stage, spent]) => `${stage} ${milliseconds(spent)}`).join(" · ")),
    ...fact("Prediction id", prediction.prediction_id),
  ];
}

function fact(term, value) {
  return [element("dt", { textContent: term }), element("dd", {}, value)];
}

customElements.define("prediction-view", PredictionView);
