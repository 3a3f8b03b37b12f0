/** Whether the patients seen lately are like those the model was made with: for all client apps together and for each. */

import { announce, button, byId, copyOf, element, fillSlots, icon, KeyedList, showPill, slot, warn } from "/ui/dom.js";
import { count, decimal, fullTime, plural, roundPercent } from "/ui/format.js";
import { getJson } from "/ui/http.js";

const REFRESH_MS = 60_000;
const REFRESH_AFTER_NEWS_MS = 5_000;
const MOST_SENTENCES = 3;
const ALL = "All clients";

const STATES = {
  stable: { tone: "good", sign: "good", label: "As in" },
  moderate: { tone: "wait", sign: "warning", label: "Moderate drift" },
  large: { tone: "bad", sign: "warning", label: "Large drift" },
  none: { tone: "none", sign: "queued", label: "Too few patients" },
  failed: { tone: "bad", sign: "bad", label: "No data" },
};
const ORDER = ["none", "stable", "moderate", "large"];

const tiles = new KeyedList(byId("drift-groups"), { keyOf: ({ name }) => name, make: makeTile, update: showGroup });
let timer = null;
let said = null;
let hadDrift = false;

setInterval(loadDrift, REFRESH_MS);

/** Load soon: what arrives in the meantime is in it too. */
export const loadDriftSoon = () => (timer ??= setTimeout(loadDrift, REFRESH_AFTER_NEWS_MS));

export async function loadDrift() {
  clearTimeout(timer);
  timer = null;
  await getJson("/api/drift").then(show, failed);
  byId("drift").setAttribute("aria-busy", "false");
}

function show(report) {
  const { groups, compared_with: data } = report;
  byId("drift-note").hidden = true;
  const worst = ORDER.findLast((state) => groups.some((group) => stateOf(group) === state));
  const isOfOne = groups.some((group) => group.client_id && isDrift(stateOf(group)));
  tiles.show(groups.map((group) => {
    const name = group.client_id ?? ALL;
    return { ...group, name, data, sentences: isOfOne && name === ALL ? 0 : MOST_SENTENCES };
  }));
  byId("drift-scope").textContent = scope(report);
  showState(worst, stateInWords(worst, groups, data));
}

function showState(state, says) {
  const banner = byId("drift-banner");
  const hasDrift = isDrift(state);
  showPill(byId("drift-state"), { ...STATES[state], label: says });
  banner.dataset.tone = STATES[state].tone;
  slot(banner, "state").textContent = says;
  byId("drift-advice").hidden = banner.hidden = !hasDrift;
  // While nothing differs, one line is left; when that changes it opens or closes, and otherwise as people want it.
  if (hasDrift !== hadDrift) byId("drift-fold").open = hasDrift;
  hadDrift = hasDrift;
  if (said !== null && said !== says) announce(`Drift: ${says}.`);
  said = says;
}

function failed({ message }) {
  const hasFigures = said !== null;
  if (!hasFigures) showPill(byId("drift-state"), STATES.failed);
  const again = button("Try again", loadDrift, "button button-small");
  warn(byId("drift-note"), `${message}${hasFigures ? " What is shown is older." : ""}`, again);
}

/** Make a group's tile; it is kept when news come, and with it what is open and where the focus is. */
function makeTile({ name }) {
  const tile = copyOf("drift-group-template");
  fillSlots(tile, { name, "figures-of": `of ${name}` });
  return tile;
}

/** Show a group's figures, and of its `sentences` so many without being opened. */
function showGroup(tile, group) {
  const { tone, sign } = STATES[stateOf(group)];
  const findings = group.findings.map(finding);
  tile.dataset.tone = tone;
  fillSlots(tile, {
    shape: icon(sign),
    summary: group.summary,
    patients: group.status ? facts(group) : null,
    findings: findings.slice(0, group.sentences),
    "more-findings": findings.slice(group.sentences),
    "summary-of-details": whatIsInside(findings.length - group.sentences, group.sentences),
    levels: group.levels,
    before: `in ${group.data}`,
    rows: group.fields.map(row),
  });
  slot(tile, "patients").title = group.since ? `The first of them at ${fullTime(group.since)}` : "";
  slot(tile, "details").hidden = !group.status;
}

function finding({ status, sentence }) {
  const state = element("span", { className: "visually-hidden" }, `${STATES[status].label}: `);
  return element("li", { "data-tone": STATES[status].tone }, state, sentence);
}

function row({ label, missing, missing_in_reference: before, psi_disease_free: diseaseFree, psi_all_patients: all, status }) {
  const made = copyOf("drift-row-template");
  made.dataset.tone = STATES[status].tone;
  fillSlots(made, {
    field: label,
    verdict: status === "stable" ? null : STATES[status].label.toLowerCase(),
    missing: roundPercent(missing),
    "missing-before": roundPercent(before),
    "psi-disease-free": index(diseaseFree),
    "psi-all": index(all),
  });
  return made;
}

const stateOf = ({ status }) => status ?? "none";
const isDrift = (state) => state === "moderate" || state === "large";
const index = (psi) => (psi === null ? "–" : decimal(psi));
const facts = ({ patients, high }) => [plural(patients, "patient"), ...(high === null ? [] : [`${roundPercent(high)} High`])].join(" · ");

function whatIsInside(sentences, sentencesShown) {
  if (sentences <= 0) return "All figures";
  return `${plural(sentences, sentencesShown ? "more sentence" : "sentence")} and all figures`;
}

/** Say the worst state, and who drifts that much: the client apps, or all together where no single one does. */
function stateInWords(worst, groups, data) {
  const { label } = STATES[worst];
  if (!isDrift(worst)) return worst === "stable" ? `${label} ${data}` : label;
  const ids = groups.filter((group) => stateOf(group) === worst).flatMap(({ client_id: id }) => id ?? []);
  return `${ids.join(", ") || ALL}: ${label.toLowerCase()}`;
}

function scope({ window_patients: patients, window_days: days, disease_free: diseaseFree, with_disease: withDisease, compared_with: data }) {
  const newest = `The newest ${count(patients)} patients of each client app, none older than ${plural(days, "day")}`;
  const others = withDisease ? ` and ${count(withDisease)} with disease` : "";
  const noDrift = withDisease
    ? "More or fewer patients with disease are no drift."
    : "Too few with disease are known to tell more of them from drift, so values and scores that point to disease are no drift.";
  return `${newest}, beside the ${count(diseaseFree)} disease-free patients${others} in ${data}. ${noDrift}`;
}
