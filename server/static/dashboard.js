/** The operators' page: loads what it shows, follows the change log from there, and hands the news to its panels. */

import "/ui/prediction_view.js";
import { byId, fillSlots, showState, timeElement } from "/ui/dom.js";
import { Follower } from "/ui/follow.js";
import { count, roundPercent } from "/ui/format.js";
import { getJson } from "/ui/http.js";
import { paced } from "/ui/pace.js";
import { socketTo } from "/ui/socket.js";
import { showApps, showClientTotals } from "./app_lists.js";
import { showDistribution, showTrend } from "./charts.js";
import { DetailSheet } from "./detail_sheet.js";
import { loadDrift, loadDriftSoon } from "./drift_panel.js";
import { PredictionPanel } from "./prediction_panel.js";
import { NO_LEVEL, pageAddress, RecentPredictions } from "./recent_predictions.js";
import { loadFacts, showFacts } from "./server_facts.js";

const DRAW_MS = 500;
const TITLE = document.title;
const STATES = {
  up: { tone: "good", label: "Live" },
  lost: { tone: "bad", label: "Connection lost" },
  failed: { tone: "bad", label: "No data" },
};

const panel = new PredictionPanel({ onOpen: (item) => sheet.open(item), onDraw: () => sheet.refresh() });
const sheet = new DetailSheet({
  neighbor: (id, step) => panel.all.neighbor(id, step),
  correction: (client, request) => panel.all.ofRequest(client, request) ?? recent.ofRequest(client, request),
  onClose: (id) => panel.focusRow(id),
});

let recent = new RecentPredictions();
let totals = null;
let asOf = null;
let highSeen = null; // of all High predictions, those there were when somebody last had this page before them
const drawTrendSoon = paced(() => showTrend(recent.counted()), DRAW_MS);
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
  loadDrift();
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
    showApps(status);
  }
  if (!entries.some(({ prediction, kind, superseded_by: by }) => prediction || by || kind === "prediction_erased")) return;
  drawTrendSoon();
  loadDriftSoon();
}

function stateIs(state, sentence) {
  if (state === "up") loadFacts();
  const age = asOf ? [" The figures shown are those of ", timeElement(asOf), "."] : [];
  showState(byId("live-state"), byId("live-banner"), { ...STATES[state], sentence }, ...age);
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
  const withLevel = totals.predictions - (totals.by_level[NO_LEVEL] ?? 0);
  for (const item of byId("total-levels").children) {
    const hasLevel = item.dataset.level !== NO_LEVEL;
    const number = totals.by_level[item.dataset.level] ?? 0;
    fillSlots(item, { number: count(number), share: hasLevel && withLevel ? roundPercent(number / withLevel) : null });
    item.hidden = !hasLevel && !number;
  }
}
