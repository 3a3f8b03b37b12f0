/** The table of predictions: keyed rows that stay in place, so that focus and scroll position survive news. */

import { arrange, byId, copyOf, element, fill, levelBadge, slot, timeElement } from "/ui/dom.js";
import { closeTo, hasLevel, scoreInList } from "/ui/wording.js";

const TOP_FACTORS = 3;
const TAP_MS = 700;

export class PredictionTable {
  #fields;
  #onOpen;
  #rows = new Map();
  #body = byId("prediction-rows");
  #movedAt = -Infinity;

  constructor(fields, { onOpen }) {
    this.#fields = fields;
    this.#onOpen = onOpen;
    this.#body.addEventListener("click", (event) => this.#clicked(event));
    this.#body.addEventListener("keydown", (event) => this.#moved(event));
  }

  /** Show the items, newest first; rows in `freshIds` are marked as new for a moment. */
  show(items, freshIds = new Set()) {
    this.#rows = new Map(items.map((item) => [item.prediction.prediction_id, this.#row(item, freshIds)]));
    if (arrange(this.#body, [...this.#rows.values()])) this.#movedAt = performance.now();
    byId("prediction-table").hidden = !items.length;
  }

  /** Tell whether the first row is out of sight above. */
  isScrolled() {
    const top = parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop);
    return this.#rows.size > 0 && this.#body.getBoundingClientRect().top < top;
  }

  focusRow(predictionId) {
    this.#rows.get(predictionId)?.querySelector("button").focus();
  }

  focusAt(index) {
    this.#body.children[index]?.querySelector("button").focus();
  }

  #row({ prediction, superseded_by: by }, freshIds) {
    const id = prediction.prediction_id;
    const row = this.#rows.get(id) ?? makeRow(prediction, this.#fields, freshIds.has(id));
    row.classList.toggle("is-superseded", Boolean(by));
    slot(row, "corrected").hidden = !by;
    return row;
  }

  #clicked(event) {
    // A finger is not seen on its way, as a mouse is: its tap on rows that have just moved only holds them.
    if (event.pointerType === "touch" && performance.now() - this.#movedAt < TAP_MS) return;
    const row = event.target.closest("tr");
    if (row && !getSelection().toString()) this.#onOpen(row.dataset.id);
  }

  #moved(event) {
    const row = event.target.closest("tr");
    const next = { ArrowDown: row?.nextElementSibling, ArrowUp: row?.previousElementSibling }[event.key];
    if (!next) return;
    event.preventDefault();
    next.querySelector("button").focus();
  }
}

function makeRow(prediction, fields, isFresh) {
  const row = copyOf("row-template");
  row.dataset.id = prediction.prediction_id;
  row.dataset.level = prediction.risk_level;
  row.classList.toggle("is-fresh", isFresh);
  slot(row, "time").append(timeElement(prediction.made_at));
  slot(row, "client").textContent = prediction.client_id;
  const reference = slot(row, "reference");
  reference.textContent = prediction.patient_reference ?? "–";
  reference.title = prediction.patient_reference ?? "No patient reference";
  slot(row, "level").append(levelBadge(prediction.risk_level));
  fill(row, "close-to", closeTo(prediction));
  slot(row, "score").textContent = scoreInList(prediction);
  slot(row, "factors").append(...topFactors(prediction, fields));
  return row;
}

function topFactors(prediction, fields) {
  const { top_factors: names, contributions, not_enough: notEnough } = prediction;
  const labelOf = (name) => fields.get(name)?.label ?? name;
  if (!hasLevel(prediction)) return notEnough?.extreme.length ? [`Extreme: ${notEnough.extreme.map(labelOf).join(", ")}`] : ["–"];
  if (contributions.length === 0) return ["Explanation unavailable"];
  return names.slice(0, TOP_FACTORS).map((name) => {
    const raises = contributions.find(({ field }) => field === name).contribution > 0;
    return element(
      "span",
      { className: `factor ${raises ? "raises" : "lowers"}` },
      element("span", { "aria-hidden": "true", textContent: raises ? "▲" : "▼" }),
      element("span", { className: "visually-hidden", textContent: raises ? "raised by " : "lowered by " }),
      labelOf(name),
    );
  });
}
