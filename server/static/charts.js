/** The two drawings of the dashboard, in the colors of the page and the shapes of the levels; every figure also stands as text. */

import { byId, element, icon, levelBadge, setVariables, timeElement } from "/ui/dom.js";
import { count, plural, shortTime, threshold } from "/ui/format.js";
import { hasLevel, scoreInList, verdictOf } from "/ui/wording.js";
import { LEVELS, numberOfHigh } from "./recent_predictions.js";
import { timeMarks } from "./time_axis.js";

const MARK_WIDTH = 80;
const LEAST_SPAN_MS = 10_000;
const GAP = 0.6; // between the parts of the ring, in percent
const LEAST_SIGN = 0.06; // a smaller part has no room for its sign

/** Draw the ring of the three levels, each with its sign. */
export function showDistribution(byLevel) {
  const counts = LEVELS.map((level) => byLevel[level] ?? 0);
  const all = counts.reduce((sum, number) => sum + number, 0) || 1;
  const ring = byId("distribution-chart");
  ring.setAttribute("aria-label", `Risk distribution: ${LEVELS.map((level, index) => `${level} ${counts[index]}`).join(", ")}.`);
  let from = 0;
  LEVELS.forEach((level, index) => {
    const part = ring.querySelector(`[data-level="${level}"]`);
    const share = counts[index] / all;
    setVariables(part, { from, share, length: share === 1 ? 100 : Math.max(share * 100 - GAP, GAP) });
    part.toggleAttribute("hidden", share === 0);
    part.toggleAttribute("data-small", share < LEAST_SIGN);
    from += share;
  });
}

let scored = []; // the predictions of the trend, newest first

/** Show scores over time with both thresholds, as a drawing or a table; patients are strangers, so no line joins them. */
export function showTrend(predictions) {
  scored = predictions.filter(hasLevel);
  const [latest] = scored;
  const isAll = predictions.length === scored.length;
  const many = `last ${isAll ? plural(predictions.length, "prediction") : `${count(scored.length)} with a level`}`;
  const said = latest ? `${numberOfHigh(predictions)} are High. The latest is ${scoreInList(latest)}, ${verdictOf(latest)}.` : "No predictions yet.";
  byId("trend-chart").setAttribute("aria-label", `Anomaly scores over time, ${many}. ${said}`);
  byId("trend-note").textContent = latest ? `${many}, all clients` : "no predictions yet";
  drawTrend();
}

byId("trend-switch").addEventListener("click", () => {
  const toTable = !byId("trend-drawing").hidden;
  byId("trend-drawing").hidden = toTable;
  byId("trend-table").hidden = !toTable;
  byId("trend-switch").textContent = toTable ? "Show chart" : "Show table";
  drawTrend();
});

function drawTrend() {
  if (byId("trend-drawing").hidden) {
    if (!byId("trend-table").matches(":hover, :focus")) byId("trend-rows").replaceChildren(...scored.map(tableRow)); // nobody reads it
    return;
  }
  const times = scored.map(({ made_at: at }) => Date.parse(at));
  const latest = times.length ? Math.max(...times) : Date.now();
  const first = Math.min(...times, latest - LEAST_SPAN_MS);
  const at = (time) => (time - first) / (latest - first);
  const most = Math.max(2, Math.floor(byId("trend-chart").clientWidth / MARK_WIDTH));
  byId("trend-marks").replaceChildren(...timeMarks(first, latest, most).map(({ value, label }) => mark(label, at(value))));
  byId("trend-points").replaceChildren(...scored.map((prediction, index) => point(prediction, at(times[index]))));
  const { high, medium } = scored[0]?.thresholds ?? {};
  byId("trend-thresholds").replaceChildren(...(high ? [thresholdLine("High", high), thresholdLine("Medium", medium)] : []));
}

const mark = (label, x) => setVariables(element("span", {}, [label].flat().join("\n")), { x });

function point(prediction, x) {
  const { client_id: client, risk_level: level, made_at: at, anomaly_score: y } = prediction;
  const title = `${shortTime(at)}\n${client} · ${level} · ${scoreInList(prediction)}`;
  return setVariables(element("span", { title, "data-level": level }, icon(level.toLowerCase())), { x, y });
}

function thresholdLine(level, y) {
  const name = element("span", {}, `${level} ${threshold(y)}`);
  return setVariables(element("span", { "data-level": level }, name), { y });
}

function tableRow(prediction) {
  const cells = [timeElement(prediction.made_at), prediction.client_id, levelBadge(prediction.risk_level)];
  const score = element("td", { className: "is-number" }, scoreInList(prediction));
  return element("tr", {}, ...cells.map((cell) => element("td", {}, cell)), score);
}
