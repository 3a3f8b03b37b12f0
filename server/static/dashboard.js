/** The operators' page: loads what it shows, follows the change log from there, and hands the news to its panels. */

import "/ui/prediction_view.js";
import { byId, element, levelBadge, showState, timeElement } from "/ui/dom.js";
import { readFields } from "/ui/fields.js";
import { Follower } from "/ui/follow.js";
import { count, roundPercent } from "/ui/format.js";
import { getJson } from "/ui/http.js";
import { paced } from "/ui/pace.js";
import { socketTo } from "/ui/socket.js";
import { showDistribution, TrendChart } from "./charts.js";
import { showClients, showClientTotals } from "./client_list.js";
import { DetailSheet } from "./detail_sheet.js";
import { DriftPanel } from "./drift_panel.js";
import { PredictionPanel } from "./prediction_panel.js";
import { LEVELS, NO_LEVEL, pageAddress, RecentPredictions } from "./recent_predictions.js";
import { loadFacts, showFacts } from "./server_facts.js";
import { showServers } from "./server_list.js";

const DRAW_MS = 500;
const TITLE = document.title;

const fields = readFields();
const trend = new TrendChart();
const drift = new DriftPanel();
const panel = new PredictionPanel(fields, { onOpen: (item) => sheet.open(item), onDraw: () => sheet.refresh() });
const sheet = new DetailSheet(fields, {
  neighbour: (id, step) => panel.neighbour(id, step),
  correction: (client, request) => panel.ofRequest(client, request) ?? recent.ofRequest(client, request),
  onClose: (id) => panel.focusRow(id),
});

let recent = new RecentPredictions();
let totals = null;
let asOf = null;
let highSeen = null; // of all High predictions, those there were when somebody last had this page before them
const drawTrendSoon = paced(() => trend.show(recent.counted()), DRAW_MS);
const drawTotalsSoon = paced(drawTotals, DRAW_MS);

const follower = new Follower(socketTo("/operators"), { load, apply, stateIs });
follower.start();
byId("main").focus({ preventScroll: true });
addEventListener("signedin", () => follower.start());

/** Load the newest predictions; the answer names the place in the log that they and the totals belong to. */
async function load() {
  const page = await getJson(pageAddress({}));
  recent = new RecentPredictions(page.predictions);
  sheet.keepOnly(page.predictions);
  panel.start(page);
  showTotals(page.totals);
  drawTrendSoon();
  drift.load();
  return page;
}

function apply({ entries, totals: counted, status }) {
  asOf = new Date().toISOString();
  entries.forEach((entry) => recent.apply(entry));
  panel.take(entries);
  sheet.take(entries);
  if (counted) showTotals(counted);
  if (status) {
    showFacts(status);
    showClients(status.clients);
    showServers(status);
  }
  if (!entries.some(({ prediction, kind, superseded_by: by }) => prediction || by || kind === "prediction_erased")) return;
  drawTrendSoon();
  drift.refreshSoon();
}

function stateIs(state, sentence) {
  if (state === "up") loadFacts();
  const words = {
    up: { tone: "good", label: "Live" },
    lost: { tone: "bad", label: "Connection lost", sentence },
    failed: { tone: "bad", label: "No data", sentence: `${sentence} Retrying automatically.` },
  }[state];
  const age = asOf ? [" The figures shown are those of ", timeElement(asOf), "."] : [];
  showState(byId("live-state"), byId("live-banner"), words, ...age);
}

function showTotals(counted) {
  totals = counted;
  showTitle();
  drawTotalsSoon();
}

/** Count in the title the High predictions that came while the page was not in use; a hidden page draws nothing else. */
function showTitle() {
  if (!totals) return;
  const high = totals.by_level.High ?? 0;
  if (document.hasFocus() && !document.hidden) highSeen = high;
  highSeen = Math.min(highSeen ?? high, high); // fewer after an erasure or a correction
  document.title = high > highSeen ? `(${count(high - highSeen)} High) ${TITLE}` : TITLE;
}

for (const sign of ["focus", "blur", "afterprint"]) addEventListener(sign, showTitle);
document.addEventListener("visibilitychange", showTitle);

function drawTotals() {
  showClientTotals(totals.by_client);
  showDistribution(totals.by_level);
  byId("total-predictions").textContent = count(totals.predictions);
  byId("total-noun").textContent = totals.predictions === 1 ? "prediction" : "predictions";
  byId("total-levels").replaceChildren(...LEVELS.map(levelTotal), ...(totals.by_level[NO_LEVEL] ? [levelTotal(NO_LEVEL)] : []));
}

function levelTotal(level) {
  const { predictions, by_level: byLevel } = totals;
  const number = byLevel[level] ?? 0;
  const ofAll = level === NO_LEVEL ? 0 : predictions - (byLevel[NO_LEVEL] ?? 0);
  return element(
    "li",
    {},
    levelBadge(level),
    element("strong", { className: "number", textContent: count(number) }),
    element("span", { className: "soft small number", textContent: ofAll ? roundPercent(number / ofAll) : "" }),
  );
}
