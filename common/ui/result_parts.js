/** What a result says on the screen and on paper: verdict, score, what to bear in mind, and facts. */

import { element, fill, icon, slot } from "./dom.js";
import { score, threshold } from "./format.js";
import { enteredInWords, hasLevel, intervalOf, levelInWords, meaningOf, missingInWords, notEnoughInWords, predictiveInWords, scaleInWords, verdictOf } from "./wording.js";

/** Fill the parts that a copy of the result's template and one of the paper's have in common. */
export function showResult(content, prediction, fields) {
  const level = levelInWords(prediction.risk_level);
  slot(content, "verdict").dataset.level = prediction.risk_level;
  slot(content, "shape").append(icon(prediction.risk_level.toLowerCase()));
  fill(content, "level", level);
  fill(content, "level-more", verdictOf(prediction).slice(level.length));
  fill(content, "meaning", meaningOf(prediction));
  showScore(content, prediction);
  showCaveats(content, prediction, fields);
}

function showScore(content, prediction) {
  for (const name of ["score", "moved"]) slot(content, name).hidden = !hasLevel(prediction);
  if (!hasLevel(prediction)) return;
  showScale(content, prediction);
  fill(content, "interval", intervalOf(prediction));
  slot(content, "interval-part").hidden = !prediction.score_interval;
  fill(content, "predictive", predictiveInWords(prediction));
}

/** Draw the score with its interval on the scale from 0 to 1 with both thresholds. */
function showScale(content, prediction) {
  const { anomaly_score: value, thresholds, risk_level: level, score_interval: interval } = prediction;
  const scale = slot(content, "scale");
  scale.dataset.level = level;
  scale.setAttribute("aria-label", scaleInWords(prediction));
  const places = { at: value, "medium-at": thresholds.medium, "high-at": thresholds.high, from: interval?.low ?? value, to: interval?.high ?? value };
  for (const [name, place] of Object.entries(places)) scale.style.setProperty(`--${name}`, place);
  fill(content, "scale-value", score(value, thresholds));
  if (!interval) slot(content, "scale-interval").remove();
  for (const place of content.querySelectorAll("[data-threshold]")) place.textContent = threshold(thresholds[place.dataset.threshold]);
}

function showCaveats(content, prediction, fields) {
  const { imputed, extrapolated, record, entered } = prediction;
  const labels = imputed.map((name) => fields.get(name)?.label ?? name);
  const far = extrapolated.map((name) => `${fields.get(name)?.label ?? name} (${enteredInWords(fields.get(name), record[name], entered)})`);
  const said = {
    ...notEnoughInWords(prediction, fields),
    imputed: labels.length ? `${labels.join(", ")}.` : null,
    missing: missingInWords(prediction, fields),
    extrapolated: far.length ? `${far.join(", ")}.` : null,
  };
  for (const [name, text] of Object.entries(said)) fill(content, name, text);
  for (const name of ["needed", "extreme", "imputed", "extrapolated"]) slot(content, `${name}-part`).hidden = !said[name];
  slot(content, "caveats").hidden = Object.values(said).every((text) => !text);
}

export function recordFacts({ record, entered }, fields) {
  return [...fields.values()].flatMap((field) => fact(field.label, enteredInWords(field, record[field.name], entered)));
}

export function fact(term, ...value) {
  return [element("dt", { textContent: term }), element("dd", {}, ...value)];
}

/** Return " by" and a name, or nothing where it is not known. */
export const byWhom = (name) => (name ? ` by ${name}` : "");
