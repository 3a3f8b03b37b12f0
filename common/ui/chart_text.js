/** A result as text for a patient's chart; no document needed. */

import { datedTime, score } from "./format.js";
import { enteredInWords, hasLevel, intervalOf, labelsOf, meaningOf, missingInWords, notEnoughInWords, predictiveInWords, referenceOf, verdictOf } from "./wording.js";

export const MAX_CHARACTERS = 900;
const MAX_FACTORS = 3;

/** Return the result as at most 900 characters: what always stands, and of the rest what there is room for; `corrected` as on paper. */
export function chartText(prediction, fields, name, corrected = null) {
  const { imputed, record, entered } = prediction;
  const listed = (names) => labelsOf(names, fields);
  const measured = [...fields.values()].filter(({ name: field }) => !imputed.includes(field));
  const values = measured.map((field) => `${field.label} ${enteredInWords(field, record[field.name], entered)}`);
  const extreme = prediction.not_enough?.extreme ?? [];
  const head = [
    corrected,
    `${referenceOf(prediction)}: ${verdictOf(prediction)}${scoreOf(prediction)}.`,
    hasLevel(prediction) ? meaningOf(prediction) : null,
  ];
  const tail = [
    `${values.join("; ")}.${imputed.length ? ` Not measured: ${listed(imputed)}.` : ""}`,
    `Entered ${datedTime(prediction.entered_at)}${prediction.entered_by ? ` by ${prediction.entered_by}` : ""}. Model ${prediction.model_version}.`,
    "Demonstration software, not for care of patients.",
  ];
  const further = [
    extreme.length ? `Extreme: ${listed(extreme)}.` : null,
    notEnoughInWords(prediction, fields).needed,
    prediction.extrapolated.length ? `Outside the model’s range: ${listed(prediction.extrapolated)}.` : null,
    ...(hasLevel(prediction) ? factorsOf(prediction, listed) : []),
    missingInWords(prediction, fields),
    predictiveInWords(prediction),
    `Copied ${datedTime(new Date())}${name ? ` by ${name}` : ""}.`,
  ];
  const join = (chosen) => [...head, ...chosen, ...tail].filter(Boolean).join("\n");
  return join(further.reduce((chosen, line) => (join([...chosen, line]).length <= MAX_CHARACTERS ? [...chosen, line] : chosen), []));
}

function scoreOf(prediction) {
  if (!hasLevel(prediction)) return "";
  const interval = intervalOf(prediction);
  return `, anomaly score ${score(prediction.anomaly_score, prediction.thresholds)}${interval ? ` (95 % interval ${interval})` : ""}`;
}

function factorsOf({ top_factors: names, contributions }, listed) {
  const raises = (name) => contributions.find(({ field }) => field === name)?.contribution > 0;
  const top = names.slice(0, MAX_FACTORS);
  const [up, down] = [top.filter(raises), top.filter((name) => !raises(name))];
  return [up.length ? `Raised most by: ${listed(up)}.` : null, down.length ? `Lowered most by: ${listed(down)}.` : null];
}
