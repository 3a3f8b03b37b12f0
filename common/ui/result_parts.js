/** What a result says on the screen and on paper: verdict, score, what to bear in mind, and facts. */

import { element, fill, fillSlots, icon, setVariables, slot } from "./dom.js";
import { FIELDS } from "./fields.js";
import { score, threshold } from "./format.js";
import {
  enteredInWords, hasLevel, intervalOf, labelsOf, levelInWords, meaningOf, missingInWords, notEnoughInWords, predictiveInWords,
  scaleInWords, valuesOf, verdictOf,
} from "./wording.js";

/** Fill the parts that a copy of the result's template and one of the paper's have in common. */
export function showResult(content, prediction) {
  const level = levelInWords(prediction.risk_level);
  slot(content, "verdict").dataset.level = prediction.risk_level;
  fillSlots(content, {
    shape: icon(prediction.risk_level.toLowerCase()),
    level,
    "level-more": verdictOf(prediction).slice(level.length),
    meaning: meaningOf(prediction),
    interval: intervalOf(prediction),
    predictive: predictiveInWords(prediction),
  });
  slot(content, "interval-part").hidden = !prediction.score_interval;
  for (const name of ["score", "moved"]) slot(content, name).hidden = !hasLevel(prediction);
  if (hasLevel(prediction)) showScale(content, prediction);
  showCaveats(content, prediction);
}

/** Draw the score with its interval on the scale from 0 to 1 with both thresholds. */
function showScale(content, prediction) {
  const { anomaly_score: value, thresholds, risk_level: level, score_interval: interval } = prediction;
  const scale = slot(content, "scale");
  scale.dataset.level = level;
  scale.setAttribute("aria-label", scaleInWords(prediction));
  setVariables(scale, { at: value, "medium-at": thresholds.medium, "high-at": thresholds.high, from: interval?.low ?? value, to: interval?.high ?? value });
  fill(slot(content, "scale-value"), score(value, thresholds));
  if (!interval) slot(content, "scale-interval").remove();
  for (const each of content.querySelectorAll("[data-threshold]")) each.textContent = threshold(thresholds[each.dataset.threshold]);
}

function showCaveats(content, prediction) {
  const { imputed, extrapolated } = prediction;
  const said = {
    ...notEnoughInWords(prediction, FIELDS),
    imputed: imputed.length ? `${labelsOf(imputed, FIELDS)}.` : null,
    missing: missingInWords(prediction, FIELDS),
    extrapolated: extrapolated.length ? `${valuesOf(extrapolated, prediction, FIELDS)}.` : null,
  };
  fillSlots(content, said);
  for (const name of ["needed", "extreme", "imputed", "extrapolated"]) slot(content, `${name}-part`).hidden = !said[name];
  slot(content, "caveats").hidden = Object.values(said).every((text) => !text);
}

export function recordFacts({ record, entered }) {
  return [...FIELDS.values()].flatMap((field) => fact(field.label, enteredInWords(field, record[field.name], entered)));
}

export const fact = (term, ...value) => [element("dt", {}, term), element("dd", {}, ...value)];

/** Return " by" and a name, or nothing where it is not known. */
export const byWhom = (name) => (name ? ` by ${name}` : "");
