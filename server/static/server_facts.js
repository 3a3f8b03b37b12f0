/** The strip that says what runs: model and its held-out figures, uptime, store, who explains. */

import { byId, element, fill, showTrouble, slot } from "/ui/dom.js";
import { count, duration, fullTime, roundPercent } from "/ui/format.js";
import { getJson, RequestError } from "/ui/http.js";
import { circuitInWords, countsInWords, troubleInWords } from "./explanation_words.js";

const REFRESH_MS = 60_000;

const facts = byId("server-facts");

/** Show what the server says of itself when it is asked. */
export async function loadFacts() {
  try {
    const { started_at: startedAt, uptime_seconds: seconds, store } = await getJson("/api/status");
    fill(facts, "uptime", duration(seconds)).title = `Since ${fullTime(startedAt)}`;
    fill(facts, "store", store.backend);
    fill(facts, "store-note", store.ok ? "writable" : store.reason);
  } catch (failure) {
    if (!(failure instanceof RequestError)) throw failure; // which shows in the connection, or is over in a minute
  }
}

/** Show what the server tells while it changes. */
export function showFacts({ model, explanations }) {
  showModel(model);
  showExplanations(explanations);
  facts.setAttribute("aria-busy", "false");
}

setInterval(loadFacts, REFRESH_MS);

function showModel({ version, since, metrics, refused, explains }) {
  const { recalibrated_on: recalibrated, auroc, patients, disease_free: diseaseFree, medium_or_higher: medium, high } = metrics;
  fill(facts, "model", version);
  const site = recalibrated === null ? "" : `, recalibrated on ${count(recalibrated)} of another site`;
  fill(facts, "model-note", `Trained on ${count(diseaseFree)} disease-free patients${site}`).title = `In use since ${fullTime(since)}`;
  fill(facts, "auroc", measured(auroc, (share) => share.toFixed(3)));
  fill(facts, "auroc-note", `held out, ${count(patients)} patients${recalibrated === null ? "" : ", before recalibration"}`);
  for (const [name, { sensitivity, false_alarm_rate: falseAlarms }] of [["medium", medium], ["high", high]]) {
    fill(facts, name, `${measured(sensitivity, roundPercent)} sensitivity`);
    fill(facts, `${name}-note`, `${measured(falseAlarms, roundPercent)} false alarms`);
  }
  const trouble = [];
  if (refused) trouble.push(`The files in the model's folder were refused, and version ${version} goes on scoring: ${refused}`);
  if (!explains) trouble.push("Explanation unavailable: the contributions cannot be trusted, so none are shown. Scores and levels are not affected; the server's log says more.");
  showTrouble(byId("model-banner"), trouble);
}

/** Return a figure as text; a model may have been made without one. */
const measured = (figure, asText) => (figure === null ? "unknown" : asText(figure));

/** Say who writes explanations and how that goes, and in a banner where somebody has to do something. */
function showExplanations(status) {
  const { source, model, circuit, last_failure: failure, reason } = status;
  fill(facts, "explainer", source === "llm" ? `AI-written · ${model}` : "Computed text");
  const notes = circuit ? [circuitInWords(circuit), countsInWords(status)] : [reason];
  if (failure && circuit?.state === "closed") notes.push(`Last failure: ${failure}`);
  slot(facts, "explainer-notes").replaceChildren(...notes.map((text) => element("span", { className: "strip-note", textContent: text })));
  const trouble = circuit && troubleInWords(circuit);
  showTrouble(byId("explanations-banner"), trouble ? [trouble] : []);
}
