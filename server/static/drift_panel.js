/** Whether the patients seen lately are like those the model was made with: for all client apps together and for each. */

import { announce, button, byId, copyOf, element, fill, icon, slot } from "/ui/dom.js";
import { count, decimal, fullTime, plural, roundPercent } from "/ui/format.js";
import { getJson, RequestError } from "/ui/http.js";

const REFRESH_MS = 60_000;
const REFRESH_AFTER_NEWS_MS = 5_000;
const MOST_SENTENCES = 3;
const ALL = "All clients";

const STATES = {
  stable: { tone: "good", icon: "good", word: "As in" },
  moderate: { tone: "wait", icon: "warning", word: "Moderate drift" },
  large: { tone: "bad", icon: "warning", word: "Large drift" },
  none: { tone: "none", icon: "queued", word: "Too few patients" },
  failed: { tone: "bad", icon: "bad", word: "No data" },
};
const ORDER = ["none", "stable", "moderate", "large"];

export class DriftPanel {
  #groups = new Map();
  #timer = null;
  #said = null;
  #hasDrift = false;

  constructor() {
    setInterval(() => this.load(), REFRESH_MS);
  }

  /** Load soon: what arrives in the meantime is in it too. */
  refreshSoon() {
    this.#timer ??= setTimeout(() => this.load(), REFRESH_AFTER_NEWS_MS);
  }

  async load() {
    clearTimeout(this.#timer);
    this.#timer = null;
    try {
      this.#show(await getJson("/api/drift"));
    } catch (failure) {
      this.#failed(failure);
    }
  }

  #show(report) {
    byId("drift-note").hidden = true;
    const worst = ORDER.findLast((state) => report.groups.some((group) => stateOf(group) === state));
    const isOfOne = report.groups.some((group) => group.client_id && isDrift(stateOf(group)));
    for (const group of report.groups) {
      const isTold = !group.client_id && isOfOne;
      this.#group(group.client_id ?? ALL).show(group, isTold ? 0 : MOST_SENTENCES, report.compared_with);
    }
    showState(worst, concerned(report.groups, worst), report.compared_with);
    byId("drift-scope").textContent = scope(report);
    this.#fold(isDrift(worst));
    byId("drift").setAttribute("aria-busy", "false");
    this.#announce();
  }

  #group(name) {
    if (!this.#groups.has(name)) {
      const group = new Group(name);
      this.#groups.set(name, group);
      byId("drift-groups").append(group.element);
    }
    return this.#groups.get(name);
  }

  /** While nothing differs, one line is left; when that changes it opens or closes, and otherwise as people want it. */
  #fold(hasDrift) {
    byId("drift-advice").hidden = byId("drift-banner").hidden = !hasDrift;
    byId("drift-banner").dataset.tone = byId("drift-state").dataset.tone;
    fill(byId("drift-banner"), "state", byId("drift-state").textContent);
    if (hasDrift !== this.#hasDrift) byId("drift-fold").open = hasDrift;
    this.#hasDrift = hasDrift;
  }

  /** Say the state to people who use a screen reader when it is another one than before. */
  #announce() {
    const says = byId("drift-state").textContent;
    if (this.#said !== null && this.#said !== says) announce(`Drift: ${says}.`);
    this.#said = says;
  }

  #failed(failure) {
    if (!(failure instanceof RequestError)) throw failure;
    const again = button("Try again", () => this.load(), "button button-small");
    const stale = this.#groups.size ? " What is shown is older." : "";
    if (!stale) showState("failed", []);
    byId("drift-note").hidden = false;
    byId("drift-note").replaceChildren(icon("warning"), element("p", { textContent: `${failure.message}${stale}` }), again);
    byId("drift").setAttribute("aria-busy", "false");
  }
}

/** One group's tile; it is kept when news come, and with it what is open and where the focus is. */
class Group {
  constructor(name) {
    this.element = copyOf("drift-group-template");
    fill(this.element, "name", name);
    fill(this.element, "figures-of", `of ${name}`);
  }

  /** Show the figures, and of the sentences so many without being opened. */
  show(group, sentencesShown, comparedWith) {
    const { tone, icon: shape } = STATES[stateOf(group)];
    this.element.dataset.tone = tone;
    slot(this.element, "shape").replaceChildren(icon(shape));
    fill(this.element, "summary", sentenceCase(group.summary));
    fill(this.element, "patients", group.status ? facts(group) : null);
    slot(this.element, "patients").title = group.since ? `The first of them at ${fullTime(group.since)}` : "";
    const sentences = group.findings.map(finding);
    slot(this.element, "findings").replaceChildren(...sentences.slice(0, sentencesShown));
    slot(this.element, "more-findings").replaceChildren(...sentences.slice(sentencesShown));
    slot(this.element, "details").hidden = !group.status;
    fill(this.element, "summary-of-details", whatIsInside(sentences.length - sentencesShown, sentencesShown));
    fill(this.element, "levels", group.levels);
    fill(this.element, "before", `in ${comparedWith}`);
    slot(this.element, "rows").replaceChildren(...group.fields.map(row));
  }
}

function finding({ status, sentence }) {
  const made = element("li", {}, element("span", { className: "visually-hidden", textContent: `${STATES[status].word}: ` }), sentence);
  made.dataset.tone = STATES[status].tone;
  return made;
}

function row({ label, missing, missing_in_reference: before, psi_disease_free: diseaseFree, psi_all_patients: all, status }) {
  const made = copyOf("drift-row-template");
  made.dataset.tone = STATES[status].tone;
  fill(made, "field", label);
  fill(made, "verdict", status === "stable" ? null : STATES[status].word.toLowerCase());
  fill(made, "missing", roundPercent(missing));
  fill(made, "missing-before", roundPercent(before));
  fill(made, "psi-disease-free", index(diseaseFree));
  fill(made, "psi-all", index(all));
  return made;
}

const stateOf = ({ status }) => status ?? "none";
const isDrift = (state) => state === "moderate" || state === "large";
const index = (psi) => (psi === null ? "–" : decimal(psi));
const facts = ({ patients, high }) => [plural(patients, "patient"), ...(high === null ? [] : [`${roundPercent(high)} High`])].join(" · ");
const sentenceCase = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function whatIsInside(sentences, sentencesShown) {
  if (sentences <= 0) return "All figures";
  return `${plural(sentences, sentencesShown ? "more sentence" : "sentence")} and all figures`;
}

/** Name those that drift most: the client apps, or all together where no single one does. */
function concerned(groups, worst) {
  if (!isDrift(worst)) return [];
  const names = groups.filter((group) => stateOf(group) === worst).map(({ client_id: id }) => id);
  return names.some(Boolean) ? names.filter(Boolean) : [ALL];
}

function showState(state, names, comparedWith) {
  const { tone, icon: shape, word } = STATES[state];
  const pill = byId("drift-state");
  pill.dataset.tone = tone;
  const says = state === "stable" ? `${word} ${comparedWith}` : word;
  const text = names.length ? `${names.join(", ")}: ${says.toLowerCase()}` : says;
  pill.replaceChildren(icon(shape), element("span", { textContent: text }));
}

function scope({ window_patients: patients, window_days: days, disease_free: diseaseFree, with_disease: withDisease, compared_with: data }) {
  const newest = `The newest ${count(patients)} patients of each client app, none older than ${plural(days, "day")}`;
  if (!withDisease) {
    return `${newest}, beside the ${count(diseaseFree)} disease-free patients in ${data}. Too few with disease are known to tell more of them from drift, so values and scores that point to disease are no drift.`;
  }
  return `${newest}, beside the ${count(diseaseFree)} disease-free patients and ${count(withDisease)} with disease in ${data}. More or fewer patients with disease are no drift.`;
}
