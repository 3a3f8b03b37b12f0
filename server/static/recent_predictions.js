/** The newest predictions of one view, each once, newest first, at most `limit`; no document needed. */

import { count } from "/ui/format.js";

export const PAGE = 60;
export const LEVELS = ["High", "Medium", "Low"];
export const NO_LEVEL = "Indeterminate"; // too little was measured: counted as no level, and no alert

export class RecentPredictions {
  #items = new Map();

  /** Whether predictions older than those held were dropped since it was last set. */
  hasDropped = false;

  /** `items` are {sequence, prediction, explanation, superseded_by}. */
  constructor(items = [], limit = PAGE) {
    this.limit = limit;
    items.forEach((item) => this.add(item));
  }

  get size() {
    return this.#items.size;
  }

  /** The sequence of the oldest one held, null if there is none. */
  get oldestSequence() {
    return this.list().at(-1)?.sequence ?? null;
  }

  /** Take an entry of the change log. */
  apply({ kind, sequence, prediction_id: id, prediction, explanation, superseded_by: by }) {
    if (prediction) this.add({ sequence, prediction, explanation: prediction.explanation });
    else if (kind === "prediction_erased") this.remove(id);
    else if (this.#items.has(id)) {
      const item = this.#items.get(id);
      this.#items.set(id, by ? { ...item, superseded_by: by } : { ...item, explanation: explanation ?? item.explanation });
    }
  }

  /** Take one of a page that was asked for; what the log said of a prediction meanwhile is newer. */
  add(item) {
    const id = item.prediction.prediction_id;
    if (this.#items.has(id)) return;
    this.#items.set(id, item);
    if (this.size <= this.limit) return;
    this.remove(this.list().at(-1).prediction.prediction_id);
    this.hasDropped = true;
  }

  remove(predictionId) {
    this.#items.delete(predictionId);
  }

  get(predictionId) {
    return this.#items.get(predictionId);
  }

  /** Return the one that answered a client app's request, if it is held. */
  ofRequest(clientId, requestId) {
    return this.list().find(({ prediction }) => prediction.client_id === clientId && prediction.request_id === requestId);
  }

  /** Return the predictions that count: those that no other entry corrects. */
  counted() {
    return this.list().flatMap(({ prediction, superseded_by: by }) => (by ? [] : prediction));
  }

  list() {
    return [...this.#items.values()].sort((one, other) => other.sequence - one.sequence);
  }

  /** Return the neighbor of a prediction: step -1 is newer, 1 older. */
  neighbor(predictionId, step) {
    const list = this.list();
    const index = list.findIndex(({ prediction }) => prediction.prediction_id === predictionId);
    return index < 0 ? null : (list[index + step] ?? null);
  }
}

/** Tell whether a prediction belongs to a filter {client, level}; an empty value lets all pass. */
export function matches({ client, level }, prediction) {
  return (!client || prediction.client_id === client) && (!level || prediction.risk_level === level);
}

/** Return the address of a page of predictions, newest first. */
export function pageAddress(filter, before = null) {
  const query = new URLSearchParams({ limit: PAGE, ...chosen(filter) });
  if (before !== null) query.set("before", before);
  return `/api/predictions?${query}`;
}

/** Return the part of the page's own address that keeps a filter through a reload; it never names a patient. */
export function filterInAddress(filter) {
  const query = new URLSearchParams(chosen(filter)).toString();
  return query && `?${query}`;
}

/** Return the filter that an address names; anything else in the address is ignored. */
export function filterOfAddress(search) {
  const query = new URLSearchParams(search);
  const level = query.get("level");
  return { client: query.get("client") ?? "", level: [...LEVELS, NO_LEVEL].includes(level) ? level : "" };
}

const chosen = ({ client, level }) => ({ ...(client && { client }), ...(level && { level }) });

/** Say how many predictions wait to be shown, and how many of them are High. */
export function newsInWords(news) {
  const more = news.hasDropped ? "+" : "";
  const high = numberOfHigh(news.counted());
  return `${count(news.size)}${more} new${high ? `, ${count(high)}${more} High` : ""}`;
}

export const numberOfHigh = (predictions) => predictions.filter(({ risk_level: level }) => level === "High").length;
