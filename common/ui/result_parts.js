/** What a result says on the screen and on paper: verdict, score, what to bear in mind, and facts. */

import "./contribution_chart.js";
import "./score_scale.js";
import { element, fill, icon, slot } from "./dom.js";
import { enteredInWords, hasLevel, intervalOf, levelInWords, meaningOf, missingInWords, notEnoughInWords, predictiveInWords, verdictOf } from "./wording.js";

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
  slot(content, "scale").show(prediction);
  fill(content, "interval", intervalOf(prediction));
  slot(content, "interval-part").hidden = !prediction.score_interval;
  fill(content, "predictive", predictiveInWords(prediction));
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
