/** `<score-scale>`: an anomaly score with its interval on the scale from 0 to 1 with both thresholds. */

import { element, icon } from "./dom.js";
import { score, threshold } from "./format.js";
import { scaleInWords } from "./wording.js";

class ScoreScale extends HTMLElement {
  show(prediction) {
    const { anomaly_score: value, thresholds, risk_level: level, score_interval: interval } = prediction;
    const drawing = element("div", { className: "scale", role: "img", "aria-label": scaleInWords(prediction) });
    drawing.dataset.level = level;
    const places = { at: value, "medium-at": thresholds.medium, "high-at": thresholds.high, from: interval?.low ?? value, to: interval?.high ?? value };
    for (const [name, place] of Object.entries(places)) drawing.style.setProperty(`--${name}`, place);
    drawing.append(
      element("span", { className: "scale-value", textContent: score(value, thresholds) }),
      element("span", { className: "scale-needle" }),
      ...(interval ? [element("span", { className: "scale-interval" })] : []),
      element("span", { className: "scale-track" }, zone("low"), zone("medium"), zone("high")),
      ticks(thresholds),
    );
    this.replaceChildren(drawing, legend(thresholds));
  }
}

const zone = (level) => element("span", { className: `scale-zone scale-${level}` });

function ticks(thresholds) {
  const tick = (name, text) => element("span", { className: `scale-tick scale-tick-${name}`, textContent: text });
  return element(
    "span",
    { className: "scale-ticks" },
    tick("start", "0"),
    tick("medium", threshold(thresholds.medium)),
    tick("high", threshold(thresholds.high)),
    tick("end", "1"),
  );
}

function legend({ medium, high }) {
  const entry = (level, text) => {
    const item = element("li", {}, icon(level), text);
    item.dataset.level = level;
    return item;
  };
  return element(
    "ul",
    { className: "scale-legend", "aria-hidden": "true" },
    entry("low", `Low below ${threshold(medium)}`),
    entry("medium", `Medium from ${threshold(medium)}`),
    entry("high", `High from ${threshold(high)}`),
  );
}

customElements.define("score-scale", ScoreScale);
