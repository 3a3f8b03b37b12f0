/** The list of predictions: filters, pages, news, and holding still on request. */

import { announce, byId, element, icon } from "/ui/dom.js";
import { count, plural } from "/ui/format.js";
import { getJson, RequestError } from "/ui/http.js";
import { paced } from "/ui/pace.js";
import { PredictionTable } from "./prediction_table.js";
import { matches, PAGE, pageAddress, RecentPredictions } from "./recent_predictions.js";

const MAX_ROWS = 480;
const MAX_MARKED = 3; // of a crowd none is marked: where all are new, the mark tells nothing
const DRAW_MS = 100;
const ANNOUNCE_MS = 4_000;

export class PredictionPanel {
  #recent = new RecentPredictions();
  #table;
  #filter = { client: "", level: "" };
  #hasOlder = false;
  #loading = null;
  #hasFailed = false;
  #held = null;
  #fresh = new Set();
  #unsaid = 0;
  #onDraw;
  #drawSoon = paced(() => this.#draw(), DRAW_MS);

  constructor(fields, { onOpen, onDraw }) {
    this.#onDraw = onDraw;
    this.#table = new PredictionTable(fields, { onOpen: (id) => onOpen(this.#recent.get(id)) });
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("filters").addEventListener("change", () => this.#filterChanged());
    byId("pause").addEventListener("click", () => this.#setPaused(this.#held === null));
    byId("pause").disabled = false;
    byId("older").addEventListener("click", () => this.#loadOlder());
  }

  neighbour(predictionId, step) {
    return this.#recent.neighbour(predictionId, step);
  }

  focusRow(predictionId) {
    this.#table.focusRow(predictionId);
  }

  /** Show the newest of the current filter in place of all that is shown; `page` is what came without a filter. */
  start(page) {
    const { client, level } = this.#filter;
    this.#load(client || level ? null : page);
  }

  /** Take entries of the change log; new predictions wait while the list is paused. */
  take(entries) {
    const wanted = entries.filter(({ prediction }) => !prediction || matches(this.#filter, prediction));
    for (const entry of wanted) {
      this.#held?.apply(entry);
      if (!entry.prediction) this.#loading?.meanwhile.push(entry);
      if (!entry.prediction || !this.#held) this.#recent.apply(entry);
    }
    const made = wanted.filter(({ prediction }) => prediction);
    if (this.#held) this.#countHeld();
    else if (made.length) this.#announceSoon(made.length);
    if (!this.#held) made.forEach(({ prediction_id: id }) => this.#fresh.add(id));
    if (wanted.length) this.#drawSoon();
  }

  #load(page = null) {
    this.#recent = new RecentPredictions();
    this.#hasOlder = false;
    if (this.#held) this.#setPaused(true);
    return this.#page(() => page ?? getJson(pageAddress(this.#filter)));
  }

  #filterChanged() {
    this.#filter = { client: byId("filter-client").value, level: byId("filter-level").value };
    this.#load();
  }

  async #loadOlder() {
    if (this.#loading) return;
    const index = byId("prediction-rows").children.length;
    const before = this.#recent.oldestSequence;
    this.#recent.extendTo(Math.min(this.#recent.limit + PAGE, MAX_ROWS));
    await this.#page(() => getJson(pageAddress(this.#filter, before)));
    this.#draw();
    this.#table.focusAt(Math.min(index, byId("prediction-rows").children.length - 1));
  }

  /** Add a page to what is held; an answer that comes after another filter was chosen is dropped. */
  async #page(ask) {
    const recent = this.#recent;
    const loading = (this.#loading = { meanwhile: [] });
    this.#hasFailed = false;
    this.#note(element("span", { className: "spinner", "aria-hidden": "true" }), "Loading predictions …");
    try {
      const { predictions, next_before: next } = await ask();
      if (loading !== this.#loading) return;
      recent.hasDropped = false;
      predictions.forEach((item) => recent.add(item));
      // The page may be older than what the log said of its predictions while it was on its way.
      loading.meanwhile.forEach((entry) => recent.apply(entry));
      this.#hasOlder = next !== null;
    } catch (failure) {
      if (loading === this.#loading) this.#failed(failure);
    }
    if (loading === this.#loading) this.#loading = null;
    this.#drawSoon();
  }

  #failed(failure) {
    if (!(failure instanceof RequestError)) throw failure;
    this.#hasFailed = true;
    this.#note(failure.message, this.#button("Try again", () => this.#load()));
  }

  #setPaused(paused) {
    const held = this.#held?.list() ?? [];
    this.#held = paused ? new RecentPredictions([], MAX_ROWS) : null;
    byId("pause").setAttribute("aria-pressed", String(paused));
    if (paused) return this.#countHeld();
    byId("pause").textContent = "Pause";
    for (const item of held) {
      this.#recent.add(item);
      this.#fresh.add(item.prediction.prediction_id);
    }
    this.#drawSoon();
  }

  #countHeld() {
    byId("pause").textContent = this.#held.size ? `Resume · ${count(this.#held.size)} new` : "Resume";
  }

  #draw() {
    const items = this.#recent.list();
    this.#table.show(items, this.#fresh.size > MAX_MARKED ? new Set() : this.#fresh);
    this.#fresh.clear();
    const hasOlder = this.#hasOlder || this.#recent.hasDropped;
    const isFull = this.#recent.limit >= MAX_ROWS;
    byId("older").hidden = !hasOlder || isFull;
    byId("row-limit").hidden = !hasOlder || !isFull;
    byId("row-limit").textContent = `The newest ${count(MAX_ROWS)} are shown. Filter by client or level to see others.`;
    if (!this.#loading && !this.#hasFailed) this.#noteEmpty(items.length);
    this.#onDraw();
  }

  #noteEmpty(shown) {
    byId("predictions-note").hidden = shown > 0;
    if (shown) return;
    if (this.#filter.client || this.#filter.level) {
      return this.#note(icon("list"), "No predictions match this filter.", this.#button("Show all", () => this.#showAll()));
    }
    this.#note(icon("pulse"), element("strong", { textContent: "No predictions yet" }), "Open one of the client apps with the link that was printed at the start, load a sample patient and analyze it. It appears here at once.");
  }

  #showAll() {
    byId("filters").reset();
    this.#filterChanged();
    byId("filter-client").focus();
  }

  #button(text, onClick) {
    const button = element("button", { type: "button", className: "button button-small", textContent: text });
    button.addEventListener("click", onClick);
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
