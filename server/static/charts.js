/** The two drawings of the dashboard, in the colors of the page; every figure also stands as text. */

import { byId, computedColor } from "/ui/dom.js";
import { clockTime, plural, score, shortTime, threshold } from "/ui/format.js";

const LEVELS = ["High", "Medium", "Low"];
const THRESHOLD_TEXT_WIDTH = 88;
const { Chart } = globalThis;

const levelColor = (level) => computedColor(`--${level.toLowerCase()}`);

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
    });
    const levels = this.#counts.filter((number) => number > 0).length;
    const isEmpty = levels === 0;
    Object.assign(this.#chart.data.datasets[0], {
      data: isEmpty ? [1] : this.#counts,
      backgroundColor: isEmpty ? [computedColor("--line")] : LEVELS.map(levelColor),
      borderColor: computedColor("--surface"),
      borderWidth: levels > 1 ? 2 : 0,
    });
    this.#chart.update("none");
  }
}

/** Scores in order, with both thresholds. */
export class TrendChart {
  #chart = null;
  #predictions = [];

  /** `predictions` come newest first. */
  show(predictions) {
    this.#predictions = [...predictions].reverse();
    const latest = this.#predictions.at(-1);
    const said = latest ? `The latest is ${score(latest.anomaly_score)}, ${latest.risk_level}.` : "No predictions yet.";
    byId("trend-chart").setAttribute("aria-label", `Anomaly scores of the last ${plural(this.#predictions.length, "prediction")}. ${said}`);
    byId("trend-note").textContent = latest ? `last ${plural(this.#predictions.length, "prediction")}, all clients` : "no predictions yet";
    this.draw();
  }

  draw() {
    this.#chart ??= this.#make();
    this.#chart.options = trendOptions(this.#predictions);
    this.#chart.data.labels = this.#predictions.map(({ made_at: at }) => clockTime(at));
    this.#chart.data.datasets = [scores(this.#predictions)];
    this.#chart.update("none");
  }

  #make() {
    const thresholds = () => this.#predictions.at(-1)?.thresholds;
    const plugin = { id: "thresholds", beforeDatasetsDraw: (chart) => thresholds() && drawThresholds(chart, thresholds()) };
    return new Chart(byId("trend-chart"), { type: "line", data: { labels: [], datasets: [] }, options: trendOptions([]), plugins: [plugin] });
  }
}

function scores(predictions) {
  const surface = computedColor("--surface");
  const highSign = octagon(levelColor("High"));
  return {
    label: "Anomaly score",
    data: predictions.map(({ anomaly_score: value }) => value),
    borderColor: computedColor("--line"),
    borderWidth: 1,
    pointStyle: predictions.map(({ risk_level: level }) => (level === "High" ? highSign : SHAPES[level])),
    pointBackgroundColor: predictions.map(({ risk_level: level }) => (level === "Low" ? surface : levelColor(level))),
    pointBorderColor: predictions.map(({ risk_level: level }) => levelColor(level)),
    pointBorderWidth: 2,
    pointRadius: predictions.map(({ risk_level: level }) => (level === "Medium" ? 4.5 : 3.5)),
    pointHoverRadius: 6,
    clip: false,
  };
}

const SHAPES = { Low: "circle", Medium: "triangle" };

/** Draw the High sign; Chart.js has no octagon, but takes a canvas. */
function octagon(color) {
  const size = 12;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  context.fillStyle = color;
  context.beginPath();
  for (const [x, y] of [[3.5, 0], [8.5, 0], [12, 3.5], [12, 8.5], [8.5, 12], [3.5, 12], [0, 8.5], [0, 3.5]]) context.lineTo(x, y);
  context.fill();
  return canvas;
}

/** Draw both thresholds as lines across the whole drawing, each with its name. */
function drawThresholds({ ctx: context, chartArea: { left, right }, scales: { y } }, thresholds) {
  for (const level of ["High", "Medium"]) {
    const at = thresholds[level.toLowerCase()];
    drawThreshold(context, { left, right, height: y.getPixelForValue(at), text: `${level} ${threshold(at)}`, color: levelColor(level) });
  }
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

function trendOptions(predictions) {
  const soft = computedColor("--ink-soft");
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
  return {
    animation: false,
    maintainAspectRatio: false,
    layout: { padding: { top: 8, right: THRESHOLD_TEXT_WIDTH } },
    interaction: { mode: "nearest", axis: "x", intersect: false },
    scales: {
      x: { grid: { display: false }, border: { color: computedColor("--line") }, ticks: { color: soft, font, maxTicksLimit: 5, maxRotation: 0, autoSkipPadding: 24 } },
      y: { min: 0, max: 1, grid: { color: computedColor("--line") }, border: { display: false }, ticks: { color: soft, font, stepSize: 0.5, callback: (value) => value.toFixed(1) } },
    },
    plugins: {
      legend: { display: false },
      tooltip: {
        displayColors: false,
        callbacks: {
          title: ([{ dataIndex }]) => shortTime(predictions[dataIndex].made_at),
          label: ({ dataIndex }) => {
            const { client_id: client, risk_level: level, anomaly_score: value } = predictions[dataIndex];
            return `${client} · ${level} · ${score(value)}`;
          },
        },
      },
    },
  };
}
