/** The list of predictions: filters, pages, live news, and holding still on request. */

import { announce, byId, element, icon } from "/ui/dom.js";
import { count, plural } from "/ui/format.js";
import { getJson, RequestError, toSignIn } from "/ui/http.js";
import { paced } from "./pace.js";
import { PredictionTable } from "./prediction_table.js";
import { matches, pageAddress, RecentPredictions } from "./recent_predictions.js";

const PAGE = 60;
const MOST_ROWS = 480;
const MOST_MARKED = 3; // of a crowd none is marked: where all are new, the mark tells nothing
const DRAW_MS = 100;
const ANNOUNCE_MS = 4_000;

export class PredictionPanel {
  #recent = new RecentPredictions(PAGE);
  #table;
  #filter = { client: "", level: "" };
  #hasOlder = false;
  #loading = null;
  #held = null;
  #fresh = new Set();
  #unsaid = 0;
  #onDraw;
  #drawSoon = paced(() => this.#draw(), DRAW_MS);

  constructor(fields, { onOpen, onDraw }) {
    this.#onDraw = onDraw;
    this.#table = new PredictionTable(fields, { onOpen: (id) => onOpen(this.#find(id)) });
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("filters").addEventListener("change", () => this.#filterChanged());
    byId("pause").addEventListener("click", () => this.#setPaused(this.#held === null));
    byId("pause").disabled = false;
    byId("older").addEventListener("click", () => this.#loadOlder());
  }

  get isFiltered() {
    return Boolean(this.#filter.client || this.#filter.level);
  }

  neighbour(predictionId, step) {
    return this.#recent.neighbour(predictionId, step);
  }

  focusRow(predictionId) {
    this.#table.focusRow(predictionId);
  }

  /** Load the newest page of the current filter, in place of all that is shown. */
  async load() {
    const recent = new RecentPredictions(PAGE);
    this.#recent = recent;
    this.#hasOlder = false;
    if (this.#held) this.#setHeld([]);
    await this.#page(recent);
  }

  /** Take new predictions {sequence, prediction, explanation}; a paused list keeps them for later. */
  add(items) {
    const wanted = items.filter(({ prediction }) => matches(this.#filter, prediction));
    if (!wanted.length) return;
    if (this.#held) return this.#hold(wanted);
    wanted.forEach((item) => this.#take(item));
    this.#announceSoon(wanted.length);
    this.#drawSoon();
  }

  explain(predictionId, explanation) {
    this.#recent.explain(predictionId, explanation);
    this.#held = this.#held?.map((item) => (item.prediction.prediction_id === predictionId ? { ...item, explanation } : item)) ?? null;
  }

  /** Drop predictions that were erased. */
  forget(predictionIds) {
    predictionIds.forEach((id) => this.#recent.forget(id));
    if (this.#held) this.#setHeld(this.#held.filter(({ prediction }) => !predictionIds.includes(prediction.prediction_id)));
    this.#drawSoon();
  }

  #find(predictionId) {
    return this.#recent.list().find(({ prediction }) => prediction.prediction_id === predictionId);
  }

  #take(item) {
    this.#recent.add(item);
    this.#fresh.add(item.prediction.prediction_id);
  }

  #filterChanged() {
    this.#filter = { client: byId("filter-client").value, level: byId("filter-level").value };
    this.load();
  }

  async #loadOlder() {
    const index = byId("prediction-rows").children.length;
    const before = this.#recent.oldestSequence;
    this.#recent.extendTo(Math.min(this.#recent.limit + PAGE, MOST_ROWS));
    await this.#page(this.#recent, before);
    this.#draw();
    this.#table.focusAt(Math.min(index, byId("prediction-rows").children.length - 1));
  }

  /** Load one page into `recent`; an answer that comes after another filter was chosen is dropped. */
  async #page(recent, before = null) {
    this.#loading = recent;
    this.#note(element("span", { className: "spinner", "aria-hidden": "true" }), "Loading predictions …");
    try {
      const { predictions, next_before: next } = await getJson(pageAddress(this.#filter, PAGE, before));
      if (recent !== this.#recent) return;
      recent.hasDropped = false;
      predictions.forEach((item) => recent.add(item));
      this.#hasOlder = next !== null;
      this.#loading = null;
    } catch (failure) {
      this.#failed(failure, recent);
      return;
    }
    this.#drawSoon();
  }

  #failed(failure, recent) {
    if (!(failure instanceof RequestError)) throw failure;
    if (failure.status === 401) return toSignIn();
    if (recent !== this.#recent) return;
    const again = element("button", { type: "button", className: "button button-small", textContent: "Try again" });
    again.addEventListener("click", () => this.load());
    this.#note(failure.message, again);
  }

  #setPaused(paused) {
    const held = this.#held ?? [];
    this.#held = null;
    if (paused) this.#setHeld([]);
    else held.forEach((item) => this.#take(item));
    byId("pause").setAttribute("aria-pressed", String(paused));
    if (!paused) byId("pause").textContent = "Pause";
    this.#drawSoon();
  }

  #hold(items) {
    const known = new Set(this.#held.map(({ prediction }) => prediction.prediction_id));
    const fresh = items.filter(({ prediction }) => !known.has(prediction.prediction_id));
    this.#setHeld([...this.#held, ...fresh].slice(-MOST_ROWS));
  }

  #setHeld(held) {
    this.#held = held;
    byId("pause").textContent = held.length ? `Resume · ${count(held.length)} new` : "Resume";
  }

  #draw() {
    const items = this.#recent.list();
    this.#table.show(items, this.#fresh.size > MOST_MARKED ? new Set() : this.#fresh);
    this.#fresh.clear();
    const hasOlder = this.#hasOlder || this.#recent.hasDropped;
    const isFull = this.#recent.limit >= MOST_ROWS;
    byId("older").hidden = !hasOlder || isFull;
    byId("row-limit").hidden = !hasOlder || !isFull;
    byId("row-limit").textContent = `The newest ${count(MOST_ROWS)} are shown. Filter by client or level to see others.`;
    if (!this.#loading) this.#noteEmpty(items.length);
    this.#onDraw();
  }

  #noteEmpty(shown) {
    byId("predictions-note").hidden = shown > 0;
    if (shown) return;
    if (this.isFiltered) return this.#note(icon("list"), "No predictions match this filter.", this.#clearButton());
    this.#note(icon("pulse"), element("strong", { textContent: "No predictions yet" }), "Open one of the client apps with the link that was printed at the start, load a sample patient and analyze it. It appears here at once.");
  }

  #clearButton() {
    const button = element("button", { type: "button", className: "button button-small", textContent: "Show all" });
    button.addEventListener("click", () => {
      byId("filters").reset();
      this.#filterChanged();
      byId("filter-client").focus();
    });
    return button;
  }

  #note(...parts) {
    const note = byId("predictions-note");
    note.hidden = false;
    note.replaceChildren(...parts.map((part) => (typeof part === "string" ? element("p", { textContent: part }) : part)));
  }

  /** Say how many came in, at most every few seconds. */
  #announceSoon(number) {
    if (!this.#unsaid) setTimeout(() => this.#announceNow(), ANNOUNCE_MS);
    this.#unsaid += number;
  }

  #announceNow() {
    announce(`${plural(this.#unsaid, "new prediction")}.`);
    this.#unsaid = 0;
  }
}
