/** The two drawings of the dashboard, in the colors of the page and the shapes of the levels; every figure also stands as text. */

import { byId, computedColor, element, levelBadge, timeElement } from "/ui/dom.js";
import { count, plural, shortTime, threshold } from "/ui/format.js";
import { hasLevel, scoreInList, verdictOf } from "/ui/wording.js";
import { LEVELS, numberOfHigh } from "./recent_predictions.js";
import { timeMarks } from "./time_axis.js";

const THRESHOLD_TEXT_WIDTH = 88;
const MARK_WIDTH = 80;
const LEAST_SPAN_MS = 10_000;
const RING_SIGN = 11;
const TREND_SIGN = 10;
const ICON_SIZE = 20;
const { Chart } = globalThis;

const levelColor = (level) => computedColor(`--${level.toLowerCase()}`);

// The shapes of the page's icons: in forced colors, and to people who do not tell red from green, color says nothing.
const shapes = new Map(LEVELS.map((level) => [level, new Path2D(document.querySelector(`#icon-${level.toLowerCase()} path`).getAttribute("d"))]));

function drawSign(context, level, { x, y }, size, color) {
  context.save();
  context.translate(x - size / 2, y - size / 2);
  context.scale(size / ICON_SIZE, size / ICON_SIZE);
  context.fillStyle = color;
  context.fill(shapes.get(level), "evenodd");
  context.restore();
}

/** Doughnut of the three levels. */
export class DistributionChart {
  #chart = null;
  #counts = [];

  show(byLevel) {
    this.#counts = LEVELS.map((level) => byLevel[level] ?? 0);
    const said = LEVELS.map((level, index) => `${level} ${this.#counts[index]}`).join(", ");
    byId("distribution-chart").setAttribute("aria-label", `Risk distribution: ${said}.`);
    this.draw();
  }

  draw() {
    this.#chart ??= new Chart(byId("distribution-chart"), {
      type: "doughnut",
      data: { labels: LEVELS, datasets: [{ data: [] }] },
      options: { animation: false, cutout: "76%", maintainAspectRatio: false, events: [], plugins: { legend: { display: false }, tooltip: { enabled: false } } },
      plugins: [{ id: "signs", afterDatasetsDraw: (chart) => this.#drawSigns(chart) }],
    });
    const levels = this.#counts.filter((number) => number > 0).length;
    const isEmpty = levels === 0;
    Object.assign(this.#chart.data.datasets[0], {
      data: isEmpty ? [1] : this.#counts,
      backgroundColor: isEmpty ? [computedColor("--line")] : LEVELS.map(levelColor),
      borderColor: computedColor("--ground"),
      borderWidth: levels > 1 ? 2 : 0,
    });
    this.#chart.update("none");
  }

  /** Draw each level's sign on its part of the ring, where there is room for it. */
  #drawSigns(chart) {
    chart.getDatasetMeta(0).data.forEach((arc, index) => {
      const { circumference, outerRadius } = arc.getProps(["circumference", "outerRadius"]);
      const hasRoom = this.#counts[index] > 0 && circumference * outerRadius > 2 * RING_SIGN;
      if (hasRoom) drawSign(chart.ctx, LEVELS[index], arc.getCenterPoint(), RING_SIGN, computedColor("--ground"));
    });
  }
}

/** Scores over time with both thresholds, as a drawing or a table; patients are strangers, so no line joins them. */
export class TrendChart {
  #chart = null;
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
    this.draw();
  }

  draw() {
    if (byId("trend-drawing").hidden) return this.#fillTable();
    const points = this.#predictions.map(({ made_at: at, anomaly_score: y }) => ({ x: Date.parse(at), y }));
    const options = trendOptions(this.#predictions, points.map(({ x }) => x));
    this.#chart ??= new Chart(byId("trend-chart"), {
      type: "scatter",
      data: { datasets: [] },
      options,
      plugins: [{ id: "signs", beforeDatasetsDraw: (chart) => this.#drawThresholds(chart), afterDatasetsDraw: (chart) => this.#drawSigns(chart) }],
    });
    this.#chart.options = options;
    this.#chart.data.datasets = [{ data: points, pointStyle: false, pointRadius: TREND_SIGN / 2 }];
    this.#chart.update("none");
  }

  #switch() {
    const toTable = !byId("trend-drawing").hidden;
    byId("trend-drawing").hidden = toTable;
    byId("trend-table").hidden = !toTable;
    byId("trend-switch").textContent = toTable ? "Show chart" : "Show table";
    this.draw();
  }

  #fillTable() {
    if (byId("trend-table").matches(":hover, :focus")) return; // somebody reads it
    byId("trend-rows").replaceChildren(...this.#predictions.map(tableRow));
  }

  #drawThresholds(chart) {
    const thresholds = this.#predictions[0]?.thresholds;
    const { left, right } = chart.chartArea;
    for (const level of thresholds ? ["High", "Medium"] : []) {
      const at = thresholds[level.toLowerCase()];
      drawThreshold(chart.ctx, { left, right, height: chart.scales.y.getPixelForValue(at), text: `${level} ${threshold(at)}`, color: levelColor(level) });
    }
  }

  /** Draw the points, High ones last: where many come at once, they lie on top. */
  #drawSigns(chart) {
    const points = chart.getDatasetMeta(0).data; // fewer than predictions while the table is shown
    for (const level of LEVELS.toReversed()) {
      this.#predictions.forEach((prediction, index) => {
        if (points[index] && prediction.risk_level === level) drawSign(chart.ctx, level, points[index], TREND_SIGN, levelColor(level));
      });
    }
  }
}

const marksIn = (width) => Math.max(2, Math.floor((width - THRESHOLD_TEXT_WIDTH) / MARK_WIDTH));

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

function drawThreshold(context, { left, right, height, text, color }) {
  context.save();
  context.strokeStyle = context.fillStyle = color;
  context.setLineDash([4, 3]);
  context.beginPath();
  context.moveTo(left, height);
  context.lineTo(right + 8, height);
  context.stroke();
  context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  context.textBaseline = "middle";
  context.fillText(text, right + 12, height);
  context.restore();
}

function trendOptions(predictions, times) {
  const soft = computedColor("--ink-soft");
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
  const latest = times.length ? Math.max(...times) : Date.now();
  return {
    animation: false,
    maintainAspectRatio: false,
    layout: { padding: { top: 8, right: THRESHOLD_TEXT_WIDTH } },
    interaction: { mode: "nearest", axis: "x", intersect: false },
    scales: {
      x: {
        min: Math.min(...times, latest - LEAST_SPAN_MS),
        max: latest,
        grid: { display: false },
        border: { color: computedColor("--line") },
        afterBuildTicks: (axis) => (axis.ticks = timeMarks(axis.min, axis.max, marksIn(axis.chart.width))),
        ticks: { color: soft, font, maxRotation: 0, autoSkipPadding: 16, callback: (value, index, marks) => marks[index].label },
      },
      y: { min: 0, max: 1, grid: { color: computedColor("--grid") }, border: { display: false }, ticks: { color: soft, font, stepSize: 0.5, callback: (value) => value.toFixed(1) } },
    },
    plugins: {
      legend: { display: false },
      tooltip: {
        displayColors: false,
        callbacks: {
          title: ([{ dataIndex }]) => shortTime(predictions[dataIndex].made_at),
          label: ({ dataIndex }) => {
            const prediction = predictions[dataIndex];
            return `${prediction.client_id} · ${prediction.risk_level} · ${scoreInList(prediction)}`;
          },
        },
      },
    },
  };
}
