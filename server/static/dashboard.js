/** The operators' page: puts the change feed and the panels together. */

import "/ui/prediction_view.js";
import { byId, element, levelBadge } from "/ui/dom.js";
import { readFields } from "/ui/fields.js";
import { count, roundPercent } from "/ui/format.js";
import { getJson } from "/ui/http.js";
import { ChangeFeed } from "./change_feed.js";
import { DistributionChart, TrendChart } from "./charts.js";
import { ClientList } from "./client_list.js";
import { DetailSheet } from "./detail_sheet.js";
import { DriftPanel } from "./drift_panel.js";
import { LiveState } from "./live_state.js";
import { paced } from "./pace.js";
import { PredictionPanel } from "./prediction_panel.js";
import { pageAddress, RecentPredictions } from "./recent_predictions.js";
import { ServerFacts } from "./server_facts.js";

const TREND_LENGTH = 60;
const DRAW_MS = 500;

const fields = readFields();
const facts = new ServerFacts();
const clients = new ClientList();
const distribution = new DistributionChart();
const trend = new TrendChart();
const live = new LiveState();
const drift = new DriftPanel();
const panel = new PredictionPanel(fields, { onOpen: (item) => sheet.open(item), onDraw: () => sheet.refresh() });
const sheet = new DetailSheet(fields, {
  neighbour: (id, step) => panel.neighbour(id, step),
  onClose: (id) => panel.focusRow(id),
});

let recentOfAll = new RecentPredictions(TREND_LENGTH);
let totals = null;
const drawTrendSoon = paced(() => trend.show(recentOfAll.list().map(({ prediction }) => prediction)), DRAW_MS);
const drawTotalsSoon = paced(drawTotals, DRAW_MS);

new ChangeFeed({
  onState: (state, sentence) => live.show(state, sentence),
  onStatus: showStatus,
  onEntries: takeEntries,
  onTotals: takeTotals,
  onClient: (status) => clients.showOne(status),
  onExplanations: (status) => facts.showExplanations(status),
});

/** Show what the server says of itself; at the first time, and when its record is another one, load the lists too. */
async function showStatus(status, isFirst) {
  facts.show(status);
  clients.showAll(status.clients);
  takeTotals(status.totals);
  if (!isFirst) return;
  const { predictions } = await getJson(pageAddress({}, TREND_LENGTH));
  recentOfAll = new RecentPredictions(TREND_LENGTH);
  predictions.forEach((item) => recentOfAll.add(item));
  drawTrendSoon();
  await Promise.all([panel.load(), drift.load()]);
}

function takeEntries(entries) {
  const made = entries.filter(({ prediction }) => prediction).map(({ sequence, prediction }) => ({ sequence, prediction, explanation: prediction.explanation }));
  panel.add(made);
  made.forEach((item) => recentOfAll.add(item));
  if (made.length) {
    drawTrendSoon();
    drift.refreshSoon();
  }
  const erased = entries.filter(({ kind }) => kind === "prediction_erased").map(({ prediction_id: id }) => id);
  if (erased.length) forget(erased);
  for (const { prediction_id, explanation } of entries.filter((entry) => entry.explanation)) {
    panel.explain(prediction_id, explanation);
    sheet.finishExplanation({ prediction_id, explanation });
  }
}

/** Drop what was erased from the record, wherever it is shown. */
function forget(ids) {
  panel.forget(ids);
  sheet.forget(ids);
  ids.forEach((id) => recentOfAll.forget(id));
  drawTrendSoon();
  drift.refreshSoon();
}

function takeTotals(news) {
  totals = news;
  drawTotalsSoon();
}

function drawTotals() {
  clients.showTotals(totals);
  distribution.show(totals.by_level);
  byId("total-predictions").textContent = count(totals.predictions);
  byId("total-noun").textContent = totals.predictions === 1 ? "prediction" : "predictions";
  byId("total-levels").replaceChildren(...["High", "Medium", "Low"].map(levelTotal));
}

function levelTotal(level) {
  const { predictions, by_level: byLevel } = totals;
  const number = byLevel[level] ?? 0;
  return element(
    "li",
    {},
    levelBadge(level),
    element("strong", { className: "number", textContent: count(number) }),
    element("span", { className: "soft small number", textContent: predictions ? roundPercent(number / predictions) : "" }),
  );
}

addEventListener("schemechange", () => {
  distribution.draw();
  trend.draw();
});
