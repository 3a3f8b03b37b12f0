/** The strip that says what runs: model and its held-out figures, uptime, store, who explains. */

import { byId, element, fillSlots, showTrouble, slot } from "/ui/dom.js";
import { count, duration, fullTime, roundPercent } from "/ui/format.js";
import { getJson } from "/ui/http.js";
import { circuitInWords, countsInWords, troubleInWords } from "./explanation_words.js";

const REFRESH_MS = 60_000;

const facts = byId("server-facts");

/** Show what the server says of itself when it is asked; a failure shows in the connection, or is over in a minute. */
export function loadFacts() {
  getJson("/api/status").then(({ started_at: startedAt, uptime_seconds: seconds, store }) => {
    if (!store) return; // signed out: then it tells only whether the server is ready, and is asked again after a sign-in
    fillSlots(facts, { uptime: duration(seconds), store: store.backend, "store-note": store.ok ? "writable" : store.reason });
    slot(facts, "uptime").title = `Since ${fullTime(startedAt)}`;
  }, () => {});
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
  const isRecalibrated = recalibrated !== null;
  const site = isRecalibrated ? `, recalibrated on ${count(recalibrated)} of another site` : "";
  fillSlots(facts, {
    model: version,
    "model-note": `Trained on ${count(diseaseFree)} disease-free patients${site}`,
    auroc: measured(auroc, (share) => share.toFixed(3)),
    "auroc-note": `held out, ${count(patients)} patients${isRecalibrated ? ", before recalibration" : ""}`,
    medium: `${measured(medium.sensitivity, roundPercent)} sensitivity`,
    "medium-note": `${measured(medium.false_alarm_rate, roundPercent)} false alarms`,
    high: `${measured(high.sensitivity, roundPercent)} sensitivity`,
    "high-note": `${measured(high.false_alarm_rate, roundPercent)} false alarms`,
  });
  slot(facts, "model-note").title = `In use since ${fullTime(since)}`;
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
  const notes = circuit ? [circuitInWords(circuit), countsInWords(status)] : [reason];
  if (failure && circuit?.state === "closed") notes.push(`Last failure: ${failure}`);
  fillSlots(facts, {
    explainer: source === "llm" ? `AI-written · ${model}` : "Computed text",
    "explainer-notes": notes.map((text) => element("span", { className: "strip-note" }, text)),
  });
  const trouble = circuit && troubleInWords(circuit);
  showTrouble(byId("explanations-banner"), trouble ? [trouble] : []);
}
