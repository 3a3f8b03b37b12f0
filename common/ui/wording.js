/** Sentences and words that both pages use for the same facts. */

import { count, percent, plural, score, signed, threshold } from "./format.js";

export const NOT_MEASURED = "not measured";

/** Say what a score means, no probability: who it is compared with depends on what was not measured. */
export function meaningOf({ anomaly_score: anomalyScore, imputed }) {
  const alike = imputed.length === 0 ? "" : " with the same fields not measured";
  return `More unusual than ${percent(anomalyScore)} of disease-free patients${alike}.`;
}

export function scaleInWords(anomalyScore, thresholds, level) {
  return (
    `Anomaly score ${score(anomalyScore)} on a scale from 0 to 1: ${level}. ` +
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

/** Say which way a contribution moved the score. */
export function effectOf(contribution) {
  const size = signed(contribution);
  if (Number(size) === 0) return { direction: "none", word: "no effect", size };
  return contribution > 0
    ? { direction: "raises", word: "raises", size }
    : { direction: "lowers", word: "lowers", size };
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
  const words = {
    up: { tone: "good", label: waiting ? `Connected · ${count(waiting)} waiting` : "Connected to the server", sentence: null },
    connecting: { tone: "wait", label: "Connecting to the server", sentence: `Connecting to the server.${queue}` },
    down: {
      tone: "bad",
      label: waiting ? `Server away · ${count(waiting)} waiting` : "Server away",
      sentence: `The server cannot be reached. You can keep working: new patients are queued and sent when it is back.${queue}`,
    },
    refused: { tone: "bad", label: "Refused by the server", sentence: `${reason ?? "The server refused this client app."}${queue}` },
  };
  return words[state];
}
