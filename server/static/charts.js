/** The two drawings of the dashboard, in the colours of the page; every figure also stands as text. */

import { byId, computedColour } from "/ui/dom.js";
import { plural, score, shortTime, threshold } from "/ui/format.js";

const LEVELS = ["High", "Medium", "Low"];
const TREND_LENGTH = 60;
const { Chart } = globalThis;

const levelColour = (level) => computedColour(`--${level.toLowerCase()}`);

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
    const isEmpty = this.#counts.every((number) => number === 0);
    Object.assign(this.#chart.data.datasets[0], {
      data: isEmpty ? [1] : this.#counts,
      backgroundColor: isEmpty ? [computedColour("--line")] : LEVELS.map(levelColour),
      borderColor: computedColour("--surface"),
      borderWidth: isEmpty ? 0 : 2,
    });
    this.#chart.update("none");
  }
}

/** The last scores in order, with both thresholds. */
export class TrendChart {
  #chart = null;
  #predictions = [];

  /** `predictions` come newest first. */
  show(predictions) {
    this.#predictions = predictions.slice(0, TREND_LENGTH).reverse();
    const latest = this.#predictions.at(-1);
    const said = latest ? `The latest is ${score(latest.anomaly_score)}, ${latest.risk_level}.` : "No predictions yet.";
    byId("trend-chart").setAttribute("aria-label", `Anomaly scores of the last ${plural(this.#predictions.length, "prediction")}. ${said}`);
    byId("trend-note").textContent = latest ? `last ${plural(this.#predictions.length, "prediction")}, all clients` : "no predictions yet";
    this.draw();
  }

  draw() {
    this.#chart ??= new Chart(byId("trend-chart"), { type: "line", data: { labels: [], datasets: [] }, options: {} });
    this.#chart.options = trendOptions(this.#predictions);
    this.#chart.data.labels = this.#predictions.map(({ made_at: at }) => shortTime(at));
    this.#chart.data.datasets = [scores(this.#predictions), ...thresholdLines(this.#predictions)];
    this.#chart.update("none");
  }
}

function scores(predictions) {
  const colours = predictions.map(({ risk_level: level }) => levelColour(level));
  return {
    label: "Anomaly score",
    data: predictions.map(({ anomaly_score: value }) => value),
    borderColor: computedColour("--edge"),
    borderWidth: 1,
    pointStyle: predictions.map(({ risk_level: level }) => shape(level)),
    pointBackgroundColor: colours,
    pointBorderColor: colours,
    pointRadius: 4,
    pointHoverRadius: 6,
    clip: false,
  };
}

const SHAPES = { Low: () => "circle", Medium: () => "triangle", High: () => octagon(levelColour("High")) };
const shape = (level) => SHAPES[level]();

/** Draw the High sign; Chart.js has no octagon, but takes a canvas. */
function octagon(colour) {
  const size = 10;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  context.fillStyle = colour;
  context.beginPath();
  for (const [x, y] of [[3, 0], [7, 0], [10, 3], [10, 7], [7, 10], [3, 10], [0, 7], [0, 3]]) context.lineTo(x, y);
  context.fill();
  return canvas;
}

function thresholdLines(predictions) {
  const { thresholds } = predictions.at(-1) ?? {};
  if (!thresholds) return [];
  return ["High", "Medium"].map((level) => ({
    label: `${level} from ${threshold(thresholds[level.toLowerCase()])}`,
    data: predictions.map(() => thresholds[level.toLowerCase()]),
    borderColor: levelColour(level),
    borderWidth: 1.5,
    borderDash: level === "High" ? [] : [5, 4],
    pointRadius: 0,
    pointHitRadius: 0,
  }));
}

function trendOptions(predictions) {
  const soft = computedColour("--ink-soft");
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
  return {
    animation: false,
    maintainAspectRatio: false,
    layout: { padding: { top: 6, right: 8 } },
    interaction: { mode: "nearest", axis: "x", intersect: false },
    scales: {
      x: { grid: { display: false }, border: { color: computedColour("--line") }, ticks: { color: soft, font, maxTicksLimit: 5, maxRotation: 0, autoSkipPadding: 24 } },
      y: { min: 0, max: 1, grid: { color: computedColour("--line") }, border: { display: false }, ticks: { color: soft, font, stepSize: 0.25 } },
    },
    plugins: {
      legend: {
        display: predictions.length > 0,
        align: "end",
        labels: { color: soft, font, boxWidth: 18, boxHeight: 0, padding: 10, filter: ({ datasetIndex }) => datasetIndex > 0 },
      },
      tooltip: {
        displayColors: false,
        filter: ({ datasetIndex }) => datasetIndex === 0,
        callbacks: {
          label: ({ dataIndex }) => {
            const { client_id: client, risk_level: level, anomaly_score: value } = predictions[dataIndex];
            return `${client} · ${level} · ${score(value)}`;
          },
        },
      },
    },
  };
}
