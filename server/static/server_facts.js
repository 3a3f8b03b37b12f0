/** The strip that says what runs: model and its held-out figures, uptime, store, who explains. */

import { byId, element, icon } from "/ui/dom.js";
import { count, duration, fullTime, roundPercent } from "/ui/format.js";
import { ExplanationFact } from "./explanation_fact.js";

const UPTIME_REFRESH_MS = 15_000;

export class ServerFacts {
  #uptime = { seconds: 0, readAt: 0 };
  #explanations = new ExplanationFact();

  constructor() {
    setInterval(() => this.#tick(), UPTIME_REFRESH_MS);
  }

  show({ model, uptime_seconds: seconds, started_at: startedAt, store, explanations }) {
    this.#uptime = { seconds, readAt: performance.now() };
    const facts = byId("server-facts");
    facts.replaceChildren(
      modelFact(model),
      fact("AUROC", measured(model.metrics.auroc, (auroc) => auroc.toFixed(3)), `held out, ${count(model.metrics.patients)} patients${model.metrics.recalibrated_on === null ? "" : ", before recalibration"}`),
      levelFact("Medium or higher", model.metrics.medium_or_higher),
      levelFact("High", model.metrics.high),
      uptimeFact(startedAt),
      fact("Store", store.backend, store.ok ? "writable" : store.reason),
      this.#explanations.element,
    );
    this.showExplanations(explanations);
    showTrouble(model);
    facts.setAttribute("aria-busy", "false");
    this.#tick();
  }

  showExplanations(status) {
    this.#explanations.show(status);
  }

  #tick() {
    const place = byId("uptime");
    const passed = (performance.now() - this.#uptime.readAt) / 1000;
    if (place) place.textContent = duration(this.#uptime.seconds + passed);
  }
}

function fact(term, value, note) {
  return element(
    "div",
    {},
    element("dt", { textContent: term }),
    element("dd", {}, element("strong", {}, value), note ? element("span", { className: "strip-note", textContent: note }) : null),
  );
}

function modelFact({ version, since, metrics }) {
  const card = element("a", { href: "/model", textContent: version, title: "Open the model card" });
  const recalibrated = metrics.recalibrated_on === null ? "" : `, recalibrated on ${count(metrics.recalibrated_on)} of another site`;
  const made = fact("Model", card, `Trained on ${count(metrics.disease_free)} disease-free patients${recalibrated}`);
  made.title = `In use since ${fullTime(since)}`;
  return made;
}

/** Say what is wrong with the model, if something is: the files in its folder are refused, or this one cannot explain. */
function showTrouble({ version, refused, explains }) {
  const banner = byId("model-banner");
  const sentences = [];
  if (refused) sentences.push(`The files in the model's folder were refused, and version ${version} goes on scoring: ${refused}`);
  if (!explains) sentences.push("Explanation unavailable: the contributions cannot be trusted, so none are shown. Scores and levels are not affected; the server's log says more.");
  banner.hidden = sentences.length === 0;
  banner.replaceChildren(...(banner.hidden ? [] : [icon("warning"), ...sentences.map((sentence) => element("p", { textContent: sentence }))]));
}

/** Return a figure as text; a model may have been made without one. */
const measured = (figure, asText) => (figure === null ? "unknown" : asText(figure));

function levelFact(term, { sensitivity, false_alarm_rate: falseAlarms }) {
  return fact(term, `${measured(sensitivity, roundPercent)} sensitivity`, `${measured(falseAlarms, roundPercent)} false alarms`);
}

function uptimeFact(startedAt) {
  const made = fact("Running for", element("span", { id: "uptime" }), null);
  made.title = `Since ${fullTime(startedAt)}`;
  return made;
}
