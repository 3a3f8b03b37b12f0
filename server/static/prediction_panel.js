/** The list of predictions: filters, pages, and news, which wait while somebody is at the rows. */

import { announce, button, byId, element, icon, slot } from "/ui/dom.js";
import { count, plural } from "/ui/format.js";
import { getJson, RequestError } from "/ui/http.js";
import { paced } from "/ui/pace.js";
import { offerClients } from "./client_list.js";
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
  #look = null;
  #hasOlder = false;
  #loading = null;
  #hasFailed = false;
  #fresh = new Set();
  #unsaid = [];
  #onDraw;
  #drawSoon = paced(() => this.#draw(), DRAW_MS);

  constructor(fields, { onOpen, onDraw }) {
    this.#onDraw = onDraw;
    this.#table = new PredictionTable(fields, { onOpen: (id) => onOpen(this.#recent.get(id)) });
    if (this.#filter.client) offerClients([this.#filter.client]);
    byId("filter-client").value = this.#filter.client;
    byId("filter-level").value = this.#filter.level;
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("filters").addEventListener("change", () => this.#filterChanged());
    byId("pause").addEventListener("click", () => this.#setPaused(!this.#isPaused));
    byId("pause").disabled = false;
    byId("older").addEventListener("click", () => this.#loadOlder());
    byId("news").addEventListener("click", () => this.#letInNow());
    for (const sign of ["pointermove", "pointerdown"]) {
      addEventListener(sign, () => (this.#pointerAt = performance.now()), { passive: true });
    }
  }

  /** Return the one before or after, be it shown or still waiting. */
  neighbour(predictionId, step) {
    return new RecentPredictions([...this.#recent.list(), ...this.#news.list()], Infinity).neighbour(predictionId, step);
  }

  /** Return the one that answered a client app's request, be it shown or still waiting. */
  ofRequest(clientId, requestId) {
    return this.#recent.ofRequest(clientId, requestId) ?? this.#news.ofRequest(clientId, requestId);
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
    this.#load(client || level ? null : page);
  }

  /** Take entries of the change log; new predictions wait for the next drawing while nobody is at the rows. */
  take(entries) {
    const wanted = entries.filter(({ prediction }) => !prediction || matches(this.#filter, prediction));
    for (const entry of wanted) {
      this.#news.apply(entry);
      if (entry.prediction) continue;
      this.#loading?.meanwhile.push(entry);
      this.#recent.apply(entry);
    }
    const made = wanted.flatMap(({ prediction }) => prediction ?? []);
    if (made.length && !this.#isPaused) this.#announceSoon(made);
    if (wanted.length) this.#drawSoon();
  }

  #load(page = null) {
    this.#recent = new RecentPredictions();
    this.#news = new RecentPredictions([], MAX_ROWS);
    this.#hasOlder = false;
    return this.#page(() => page ?? getJson(pageAddress(this.#filter)));
  }

  #filterChanged() {
    this.#filter = { client: byId("filter-client").value, level: byId("filter-level").value };
    history.replaceState(null, "", location.pathname + filterInAddress(this.#filter));
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
      for (const item of predictions) {
        recent.add(item);
        this.#news.remove(item.prediction.prediction_id);
      }
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
    this.#note(failure.message, button("Try again", () => this.#load(), SMALL));
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
      this.#fresh.add(item.prediction.prediction_id);
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
    // Nothing tells when the last reason to hold still is over, so it is looked at again.
    clearTimeout(this.#look);
    this.#look = setTimeout(this.#drawSoon, LOOK_MS);
  }

  #draw() {
    if (!this.#isHeld()) this.#letIn();
    this.#showNews();
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
      return this.#note(icon("list"), "No predictions match this filter.", button("Show all", () => this.#showAll(), SMALL));
    }
    this.#note(icon("pulse"), element("strong", { textContent: "No predictions yet" }), "Open one of the client apps with the link that was printed at the start, load a sample patient and analyze it. It appears here at once.");
  }

  #showAll() {
    byId("filters").reset();
    this.#filterChanged();
    byId("filter-client").focus();
  }

  #note(...parts) {
    const note = byId("predictions-note");
    note.hidden = false;
    note.replaceChildren(...parts.map((part) => (typeof part === "string" ? element("p", { textContent: part }) : part)));
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
