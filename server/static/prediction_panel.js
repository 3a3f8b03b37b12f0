/** The list of predictions: filters, pages, and news, which wait while somebody is at the rows. */

import { announce, button, byId, element, fill, icon, slot } from "/ui/dom.js";
import { count, plural } from "/ui/format.js";
import { getJson, RequestError } from "/ui/http.js";
import { paced } from "/ui/pace.js";
import { offerClients } from "./app_lists.js";
import { PredictionTable } from "./prediction_table.js";
import { filterInAddress, filterOfAddress, matches, newsInWords, numberOfHigh, PAGE, pageAddress, RecentPredictions } from "./recent_predictions.js";

const MAX_ROWS = 480;
const MAX_MARKED = 3; // of a crowd none is marked: where all are new, the mark tells nothing
const DRAW_MS = 100;
const ANNOUNCE_MS = 4_000;
const AIM_MS = 1_500; // a pointer that moved a moment ago may be on its way to a row
const LOOK_MS = 250;
const SMALL = "button button-small";

export class PredictionPanel {
  #recent = new RecentPredictions();
  #table;
  #filter = filterOfAddress(location.search);
  #news = new RecentPredictions([], MAX_ROWS); // not shown yet
  #isPaused = false;
  #pointerAt = -Infinity;
  #hasOlder = false;
  #meanwhile = null; // what the log says while a page is on its way
  #isNoteTaken = false; // whether the note says that a page is loading, or why loading failed
  #fresh = [];
  #unsaid = [];
  #onDraw;
  #drawSoon = paced(() => this.#draw(), DRAW_MS);

  constructor({ onOpen, onDraw }) {
    this.#onDraw = onDraw;
    this.#table = new PredictionTable({ onOpen: (id) => onOpen(this.#recent.get(id)) });
    if (this.#filter.client) offerClients([this.#filter.client]);
    byId("filter-client").value = this.#filter.client;
    byId("filter-level").value = this.#filter.level;
    byId("filters").addEventListener("change", () => this.#filterChanged());
    byId("pause").addEventListener("click", () => this.#setPaused(!this.#isPaused));
    byId("pause").disabled = false;
    byId("older").addEventListener("click", () => this.#loadOlder());
    byId("news").addEventListener("click", () => this.#letInNow());
    for (const sign of ["pointermove", "pointerdown"]) {
      addEventListener(sign, () => (this.#pointerAt = performance.now()), { passive: true });
    }
    // Nothing tells when the last reason to hold still is over, so it is looked at again.
    setInterval(() => this.#news.size && this.#drawSoon(), LOOK_MS);
  }

  /** The predictions of the list, be they shown or still waiting. */
  get all() {
    return new RecentPredictions([...this.#recent.list(), ...this.#news.list()], Infinity);
  }

  /** Put the focus on a row; one that waited is let in with the others. */
  focusRow(predictionId) {
    if (this.#news.get(predictionId)) {
      this.#letIn();
      this.#draw();
    }
    this.#table.focusRow(predictionId);
  }

  /** Show the newest of the current filter in place of all that is shown; `page` is what came without a filter. */
  start(page) {
    const { client, level } = this.#filter;
    this.#load(client || level ? undefined : page);
  }

  /** Take entries of the change log; new predictions wait for the next drawing while nobody is at the rows. */
  take(entries) {
    const wanted = entries.filter(({ prediction }) => !prediction || matches(this.#filter, prediction));
    for (const entry of wanted) {
      this.#news.apply(entry);
      if (entry.prediction) continue;
      this.#meanwhile?.push(entry);
      this.#recent.apply(entry);
    }
    const made = wanted.flatMap(({ prediction }) => prediction ?? []);
    if (made.length && !this.#isPaused) this.#announceSoon(made);
    if (wanted.length) this.#drawSoon();
  }

  #load(page) {
    this.#recent = new RecentPredictions();
    this.#news = new RecentPredictions([], MAX_ROWS);
    this.#hasOlder = false;
    this.#add(page ? Promise.resolve(page) : getJson(pageAddress(this.#filter)));
  }

  #filterChanged() {
    this.#filter = { client: byId("filter-client").value, level: byId("filter-level").value };
    history.replaceState(null, "", location.pathname + filterInAddress(this.#filter));
    this.#load();
  }

  async #loadOlder() {
    if (this.#meanwhile) return;
    const index = this.#table.length;
    this.#recent.limit = Math.min(this.#recent.limit + PAGE, MAX_ROWS);
    await this.#add(getJson(pageAddress(this.#filter, this.#recent.oldestSequence)));
    this.#draw();
    this.#table.focusAt(Math.min(index, this.#table.length - 1));
  }

  /** Add a page that was asked for to what is held; one that comes after another filter was chosen is dropped. */
  async #add(asked) {
    const meanwhile = (this.#meanwhile = []);
    this.#isNoteTaken = true;
    this.#note(element("span", { className: "spinner", "aria-hidden": "true" }), "Loading predictions …");
    try {
      const { predictions, next_before: next } = await asked;
      if (meanwhile !== this.#meanwhile) return;
      this.#isNoteTaken = false;
      this.#hasOlder = next !== null;
      this.#recent.hasDropped = false;
      for (const item of predictions) {
        this.#recent.add(item);
        this.#news.remove(item.prediction.prediction_id);
      }
      // The page may be older than what the log said of its predictions while it was on its way.
      meanwhile.forEach((entry) => this.#recent.apply(entry));
    } catch (failure) {
      if (!(failure instanceof RequestError)) throw failure;
      if (meanwhile !== this.#meanwhile) return;
      this.#note(failure.message, button("Try again", () => this.#load(), SMALL));
    }
    this.#meanwhile = null;
    this.#drawSoon();
  }

  #setPaused(paused) {
    this.#isPaused = paused;
    byId("pause").classList.toggle("is-on", paused);
    byId("pause").textContent = paused ? "Resume" : "Pause";
    this.#drawSoon();
  }

  /** Tell whether a row that moved now could be missed: by the pointer, the focus or the eye. */
  #isHeld() {
    if (this.#isPaused || byId("detail").open || performance.now() - this.#pointerAt < AIM_MS) return true;
    const isAtRows = [byId("prediction-rows"), byId("news")].some((place) => place.matches(":hover, :focus-within"));
    return isAtRows || this.#table.isScrolled();
  }

  #letIn() {
    for (const item of this.#news.list()) {
      this.#recent.add(item);
      this.#fresh.push(item.prediction.prediction_id);
    }
    this.#news = new RecentPredictions([], MAX_ROWS);
  }

  #letInNow() {
    this.#letIn();
    this.#pointerAt = -Infinity;
    byId("predictions-heading").focus(); // the button goes; and a list that was scrolled begins here
    this.#drawSoon();
  }

  #showNews() {
    byId("news").hidden = this.#news.size === 0;
    if (byId("news").hidden) return;
    const says = newsInWords(this.#news);
    byId("news").dataset.level = says.includes("High") ? "High" : "";
    slot(byId("news"), "count").textContent = says;
  }

  #draw() {
    if (!this.#isHeld()) this.#letIn();
    this.#showNews();
    const items = this.#recent.list();
    this.#table.show(items, this.#fresh.length > MAX_MARKED ? [] : this.#fresh);
    this.#fresh = [];
    const hasOlder = this.#hasOlder || this.#recent.hasDropped;
    const isFull = this.#recent.limit >= MAX_ROWS;
    byId("older").hidden = !hasOlder || isFull;
    const limit = `The newest ${count(MAX_ROWS)} are shown. Filter by client or level to see others.`;
    fill(byId("row-limit"), hasOlder && isFull ? limit : null);
    if (!this.#isNoteTaken) this.#noteEmpty(items.length === 0);
    this.#onDraw();
  }

  #noteEmpty(isEmpty) {
    if (!isEmpty) return this.#note();
    if (this.#filter.client || this.#filter.level) {
      return this.#note(icon("list"), "No predictions match this filter.", button("Show all", () => this.#showAll(), SMALL));
    }
    this.#note(icon("pulse"), element("strong", {}, "No predictions yet"), "Open one of the client apps with the link that was printed at the start, load a sample patient and analyze it. It appears here at once.");
  }

  #showAll() {
    byId("filters").reset();
    this.#filterChanged();
    byId("filter-client").focus();
  }

  #note(...parts) {
    fill(byId("predictions-note"), parts.map((part) => (typeof part === "string" ? element("p", {}, part) : part)));
  }

  /** Say how many came in and how many of them are High, at most every few seconds. */
  #announceSoon(predictions) {
    if (!this.#unsaid.length) setTimeout(() => this.#announceNow(), ANNOUNCE_MS);
    this.#unsaid.push(...predictions);
  }

  #announceNow() {
    announce(`${plural(this.#unsaid.length, "new prediction")}, ${count(numberOfHigh(this.#unsaid))} High.`);
    this.#unsaid = [];
  }
}
