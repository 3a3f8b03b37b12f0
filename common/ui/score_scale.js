/** `<score-scale>`: an anomaly score on the scale from 0 to 1 with both thresholds. */

import { element, icon } from "./dom.js";
import { score, threshold } from "./format.js";
import { scaleInWords } from "./wording.js";

class ScoreScale extends HTMLElement {
  show({ anomaly_score: value, thresholds, risk_level: level }) {
    const drawing = element("div", { className: "scale", role: "img", "aria-label": scaleInWords(value, thresholds, level) });
    drawing.dataset.level = level;
    drawing.style.setProperty("--at", value);
    drawing.style.setProperty("--medium-at", thresholds.medium);
    drawing.style.setProperty("--high-at", thresholds.high);
    drawing.append(
      element("span", { className: "scale-value", textContent: score(value) }),
      element("span", { className: "scale-needle" }),
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
