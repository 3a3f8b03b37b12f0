/** The table of predictions: rows that stay in place, so that focus and scroll position survive news. */

import { byId, copyOf, element, fillSlots, KeyedList, levelBadge, slot, timeElement } from "/ui/dom.js";
import { FIELDS } from "/ui/fields.js";
import { closeTo, hasLevel, labelOf, labelsOf, scoreInList } from "/ui/wording.js";

const TOP_FACTORS = 3;
const TAP_MS = 700;

export class PredictionTable {
  #rows;
  #body = byId("prediction-rows");
  #movedAt = -Infinity;

  /** `onOpen(id)` follows a click on a row. */
  constructor({ onOpen }) {
    this.#rows = new KeyedList(this.#body, {
      keyOf: ({ prediction }) => prediction.prediction_id,
      make: ({ prediction }) => makeRow(prediction),
      update: showCorrected,
    });
    this.#body.addEventListener("click", (event) => {
      // A finger is not seen on its way, as a mouse is: its tap on rows that have just moved only holds them.
      if (event.pointerType === "touch" && performance.now() - this.#movedAt < TAP_MS) return;
      const row = event.target.closest("tr");
      if (row && !getSelection().toString()) onOpen(row.dataset.id);
    });
    this.#body.addEventListener("keydown", (event) => {
      const row = event.target.closest("tr");
      const next = { ArrowDown: row?.nextElementSibling, ArrowUp: row?.previousElementSibling }[event.key];
      if (!next) return;
      event.preventDefault();
      focus(next);
    });
  }

  get length() {
    return this.#body.children.length;
  }

  /** Show the items, newest first; rows in `freshIds` are marked as new for a moment. */
  show(items, freshIds = []) {
    if (this.#rows.show(items)) this.#movedAt = performance.now();
    for (const id of freshIds) this.#rows.get(id)?.classList.add("is-fresh");
    byId("prediction-table").hidden = !items.length;
  }

  /** Tell whether the first row is out of sight above. */
  isScrolled() {
    const top = parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop);
    return this.length > 0 && this.#body.getBoundingClientRect().top < top;
  }

  focusRow(predictionId) {
    focus(this.#rows.get(predictionId));
  }

  focusAt(index) {
    focus(this.#body.children[index]);
  }
}

const focus = (row) => row?.querySelector("button").focus();

function showCorrected(row, { superseded_by: by }) {
  row.classList.toggle("is-superseded", Boolean(by));
  slot(row, "corrected").hidden = !by;
}

function makeRow(prediction) {
  const { prediction_id: id, risk_level: level, patient_reference: reference } = prediction;
  const row = copyOf("row-template");
  row.dataset.id = id;
  row.dataset.level = level;
  fillSlots(row, {
    time: timeElement(prediction.made_at),
    client: prediction.client_id,
    reference: reference ?? "–",
    level: levelBadge(level),
    "close-to": closeTo(prediction),
    score: scoreInList(prediction),
    factors: topFactors(prediction),
  });
  slot(row, "reference").title = reference ?? "No patient reference";
  return row;
}

function topFactors(prediction) {
  const { top_factors: names, contributions, not_enough: notEnough } = prediction;
  if (!hasLevel(prediction)) return notEnough?.extreme.length ? `Extreme: ${labelsOf(notEnough.extreme, FIELDS)}` : "–";
  if (contributions.length === 0) return "Explanation unavailable";
  return names.slice(0, TOP_FACTORS).map((name) => {
    const raises = contributions.find(({ field }) => field === name).contribution > 0;
    return element(
      "span",
      { className: `factor ${raises ? "raises" : "lowers"}` },
      element("span", { "aria-hidden": "true" }, raises ? "▲" : "▼"),
      element("span", { className: "visually-hidden" }, raises ? "raised by " : "lowered by "),
      labelOf(name, FIELDS),
    );
  });
}
