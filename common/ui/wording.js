/** Sentences and words that both pages use for the same facts. */

import { count, ofHundred, perHundred, plural, score, sentenceCase, signed, threshold } from "./format.js";

export const NOT_MEASURED = "not measured";

const ASCENDING = ["Low", "Medium", "High"];

export const referenceOf = ({ patient_reference: reference }) => reference ?? "Patient without reference";

/** Name a field; one that there was when a result was made may be gone. */
export const labelOf = (name, fields) => fields.get(name)?.label ?? name;

export const labelsOf = (names, fields) => names.map((name) => labelOf(name, fields)).join(", ");

/** List fields with their values in a record, as they were entered; one that is gone by its name alone. */
export function valuesOf(names, { record, entered }, fields) {
  const said = names.map((name) => {
    const field = fields.get(name);
    return field ? `${field.label} (${enteredInWords(field, record[name], entered)})` : name;
  });
  return said.join(", ");
}

/** Tell whether a prediction has a level that counts; `Indeterminate` is none. */
export const hasLevel = ({ risk_level: level }) => ASCENDING.includes(level);

export const levelInWords = (level) => (ASCENDING.includes(level) ? level : "Not enough measured");

/** Name the levels next to its own that a score's interval reaches, as in "close to Medium"; null where there is none. */
export function closeTo(prediction) {
  const { risk_level: level, score_interval: interval, thresholds } = prediction;
  if (!interval || !hasLevel(prediction)) return null;
  const [first, last] = [interval.low, interval.high].map((value) => Number(value >= thresholds.medium) + Number(value >= thresholds.high));
  const own = ASCENDING.indexOf(level);
  const others = ASCENDING.filter((_, at) => first <= at && at <= last && Math.abs(at - own) === 1);
  return others.length ? `close to ${others.join(" and ")}` : null;
}

/** Say the level as a sentence's beginning: "Low risk level, close to Medium". */
export function verdictOf(prediction) {
  const level = levelInWords(prediction.risk_level);
  return hasLevel(prediction) ? [`${level} risk level`, closeTo(prediction)].filter(Boolean).join(", ") : level;
}

/** Say what a score means, no chance of disease: who it is compared with depends on what was not measured. */
export function meaningOf(prediction) {
  if (!hasLevel(prediction)) return "What was measured does not tell patients with coronary disease from patients without it, so there is no risk level.";
  const alike = prediction.imputed.length ? " with the same tests not measured" : "";
  return sentenceCase(`${ofHundred(prediction.anomaly_score)} patients without coronary disease${alike} look less unusual. This is not the chance of disease.`);
}

/** Say what it would take for a level, and which value is extreme even so; both are null where there is nothing to say. */
export function notEnoughInWords(prediction, fields) {
  if (!prediction.not_enough) return { needed: null, extreme: null };
  const { needed, extreme } = prediction.not_enough;
  const which = extreme.length > 1 ? "Any one of these values" : "This value";
  return {
    needed: needed.length ? `Any one of these would be enough: ${labelsOf(needed, fields)}.` : "More than one additional test is needed.",
    extreme: extreme.length ? `${valuesOf(extreme, prediction, fields)}. ${which} alone would make the level High.` : null,
  };
}

/** Return both ends of the interval of a prediction's score, or null. */
export function intervalOf({ score_interval: interval, thresholds }, joint = " to ") {
  return interval ? `${score(interval.low, thresholds)}${joint}${score(interval.high, thresholds)}` : null;
}

/** Return a score with its interval as it stands in a list; a dash where there is no level. */
export function scoreInList(prediction) {
  if (!hasLevel(prediction)) return "–";
  const interval = intervalOf(prediction, "–");
  return `${score(prediction.anomaly_score, prediction.thresholds)}${interval ? ` (${interval})` : ""}`;
}

/** Write a label as it stands within a sentence; an abbreviation keeps its capitals. */
const inSentence = (label) => label.replace(/^[A-Z](?=[a-z])/, (first) => first.toLowerCase());

/** Say where the tests that were not measured could lead, or null. */
export function missingInWords({ missing_tests: missing, imputed, thresholds }, fields) {
  if (!missing) return null;
  const { lowest, highest } = missing;
  const [from, to] = [lowest, highest].map(({ anomaly_score: value }) => score(value, thresholds));
  const results = imputed.length > 1 ? "results" : "result";
  const range = lowest.risk_level === highest.risk_level
    ? `Whatever the ${results}, the level stays ${lowest.risk_level} (score ${from} to ${to}).`
    : `${imputed.length > 1 ? "Results" : "A result"} could bring the score from ${from} (${lowest.risk_level}) to ${to} (${highest.risk_level}).`;
  const most = imputed.length > 1 ? ` Measuring ${inSentence(labelOf(missing.most_informative, fields))} would narrow the range most.` : "";
  return `${range}${most}${missing.is_sampled ? " So much is missing that only a sample of the possible results was tried." : ""}`;
}

/** Say how many of the patients at High have disease, of a prediction at High; null where it is not known. */
export function predictiveInWords({ risk_level: level, predictive_value: at }) {
  if (level !== "High" || !at) return null;
  return `Of 100 patients marked High, ${rangeInWords(at)}, where ${perHundred(at.prevalence)} of 100 have it, as in the training file.`;
}

/** Say how many of 100 patients have disease: a share (0 to 1) with its 95 % interval. */
export const rangeInWords = ({ value, low, high }) => `${perHundred(value)} have coronary disease (95 % interval ${perHundred(low)} to ${perHundred(high)})`;

export function scaleInWords(prediction) {
  const { anomaly_score: value, thresholds } = prediction;
  const interval = intervalOf(prediction);
  return (
    `Anomaly score ${score(value, thresholds)}${interval ? `, 95 % interval ${interval},` : ""} on a scale from 0 to 1: ${verdictOf(prediction)}. ` +
    `Medium starts at ${threshold(thresholds.medium)}, High at ${threshold(thresholds.high)}.`
  );
}

/** Return a field's value as a clinician would write it: decoded, with its unit. */
export function inWords(field, value) {
  if (value === null || value === undefined) return NOT_MEASURED;
  const code = field.codes.find((choice) => choice.code === value);
  if (code) return code.word;
  return `${Number(value.toFixed(2))} ${field.unit}`.trim();
}

/** Return a field's value as it was entered: of a quantity in another unit, with what it was scored as; `entered` is by field name. */
export function enteredInWords(field, value, entered) {
  const quantity = entered?.[field.name];
  return quantity ? `${quantity.value} ${quantity.unit} (${inWords(field, value)})` : inWords(field, value);
}

/** Say which way a contribution moved the score. */
export function effectOf(contribution) {
  if (Number(signed(contribution)) === 0) return { direction: "none", word: "no effect" };
  return contribution > 0 ? { direction: "raises", word: "raises" } : { direction: "lowers", word: "lowers" };
}

/** Tell whether a language model is still writing: asked, and neither its text nor a reason is there. */
export function isAwaited(prediction, explanation) {
  return prediction.awaits_explanation && explanation.source === "template" && !explanation.reason;
}

/** Say how the waiting for a language model ended. */
export const endOfWaiting = ({ source }) => (source === "llm" ? "The AI-written explanation is ready." : "The explanation stays as it was.");

export function authorOf(explanation) {
  if (explanation.source === "llm") return { icon: "spark", text: `AI-written${explanation.model ? ` · ${explanation.model}` : ""}` };
  return { icon: "text", text: "Written from the computed facts" };
}

/** Say how a client app's link to the server is, for its own page. */
export function linkInWords({ state, reason, waiting }) {
  const queue = waiting ? ` ${plural(waiting, "patient")} ${waiting === 1 ? "waits" : "wait"} to be sent.` : "";
  return {
    up: { tone: "good", label: waiting ? `Connected · ${count(waiting)} waiting` : "Connected to the server", sentence: null },
    connecting: { tone: "wait", label: "Connecting to the server", sentence: `Connecting to the server.${queue}` },
    down: {
      tone: "bad",
      label: waiting ? `Server away · ${count(waiting)} waiting` : "Server away",
      sentence: `The server cannot be reached. You can keep working: new patients are queued and sent when it is back.${queue}`,
    },
    refused: { tone: "bad", label: "Refused by the server", sentence: `${reason ?? "The server refused this client app."}${queue}` },
  }[state];
}
