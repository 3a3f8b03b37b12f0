/** The two drawings of the dashboard, in the colors of the page and the shapes of the levels; every figure also stands as text. */

import { byId, element, icon, levelBadge, timeElement } from "/ui/dom.js";
import { count, plural, shortTime, threshold } from "/ui/format.js";
import { hasLevel, scoreInList, verdictOf } from "/ui/wording.js";
import { LEVELS, numberOfHigh } from "./recent_predictions.js";
import { timeMarks } from "./time_axis.js";

const MARK_WIDTH = 80;
const LEAST_SPAN_MS = 10_000;
const GAP = 0.6; // between the parts of the ring, in percent
const LEAST_SIGN = 0.06; // a smaller part has no room for its sign

const place = (made, values) => {
  for (const [name, value] of Object.entries(values)) made.style.setProperty(`--${name}`, value);
  return made;
};

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
    place(part, { from, share, length: share === 1 ? 100 : Math.max(share * 100 - GAP, GAP) });
    part.toggleAttribute("hidden", share === 0);
    part.toggleAttribute("data-small", share < LEAST_SIGN);
    from += share;
  });
}

/** Scores over time with both thresholds, as a drawing or a table; patients are strangers, so no line joins them. */
export class TrendChart {
  #predictions = [];

  constructor() {
    byId("trend-switch").addEventListener("click", () => this.#switch());
  }

  /** `predictions` come newest first. */
  show(predictions) {
    this.#predictions = predictions.filter(hasLevel);
    const [latest] = this.#predictions;
    const isAll = predictions.length === this.#predictions.length;
    const many = `last ${isAll ? plural(predictions.length, "prediction") : `${count(this.#predictions.length)} with a level`}`;
    const said = latest ? `${numberOfHigh(predictions)} are High. The latest is ${scoreInList(latest)}, ${verdictOf(latest)}.` : "No predictions yet.";
    byId("trend-chart").setAttribute("aria-label", `Anomaly scores over time, ${many}. ${said}`);
    byId("trend-note").textContent = latest ? `${many}, all clients` : "no predictions yet";
    this.#draw();
  }

  #switch() {
    const toTable = !byId("trend-drawing").hidden;
    byId("trend-drawing").hidden = toTable;
    byId("trend-table").hidden = !toTable;
    byId("trend-switch").textContent = toTable ? "Show chart" : "Show table";
    this.#draw();
  }

  #draw() {
    if (byId("trend-drawing").hidden) {
      if (!byId("trend-table").matches(":hover, :focus")) byId("trend-rows").replaceChildren(...this.#predictions.map(tableRow)); // nobody reads it
      return;
    }
    const times = this.#predictions.map(({ made_at: at }) => Date.parse(at));
    const latest = times.length ? Math.max(...times) : Date.now();
    const first = Math.min(...times, latest - LEAST_SPAN_MS);
    const at = (time) => (time - first) / (latest - first);
    const most = Math.max(2, Math.floor(byId("trend-chart").clientWidth / MARK_WIDTH));
    const marks = timeMarks(first, latest, most).map(({ value, label }) => place(element("span", { textContent: [label].flat().join("\n") }), { x: at(value) }));
    const points = this.#predictions.map((prediction, index) => point(prediction, at(times[index])));
    byId("trend-points").replaceChildren(...points);
    byId("trend-marks").replaceChildren(...marks);
    byId("trend-thresholds").replaceChildren(...(this.#predictions.length ? ["High", "Medium"] : []).map((level) => thresholdLine(level, this.#predictions[0])));
  }
}

function point(prediction, x) {
  const { client_id: client, risk_level: level, made_at: at, anomaly_score: y } = prediction;
  const made = element("span", { title: `${shortTime(at)}\n${client} · ${level} · ${scoreInList(prediction)}` }, icon(level.toLowerCase()));
  made.dataset.level = level;
  return place(made, { x, y });
}

function thresholdLine(level, { thresholds }) {
  const at = thresholds[level.toLowerCase()];
  const made = element("span", {}, element("span", { textContent: `${level} ${threshold(at)}` }));
  made.dataset.level = level;
  return place(made, { y: at });
}

function tableRow(prediction) {
  const { made_at: at, client_id: client, risk_level: level } = prediction;
  return element(
    "tr",
    {},
    element("td", {}, timeElement(at)),
    element("td", { textContent: client }),
    element("td", {}, levelBadge(level)),
    element("td", { className: "is-number", textContent: scoreInList(prediction) }),
  );
}
