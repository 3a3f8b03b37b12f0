/** The newest predictions of one view, each once, newest first, at most `limit`; no document needed. */

import { isAwaited } from "/ui/wording.js";

export class RecentPredictions {
  #items = new Map();
  #erased = new Set();
  #limit;

  /** Whether predictions older than those held were dropped since it was last set. */
  hasDropped = false;

  constructor(limit) {
    this.#limit = limit;
  }

  get limit() {
    return this.#limit;
  }

  /** Hold so many from now on. */
  extendTo(limit) {
    this.#limit = limit;
  }

  /** The sequence of the oldest one held, null if there is none. */
  get oldestSequence() {
    return this.#items.size ? this.#oldest().sequence : null;
  }

  /** Take {sequence, prediction, explanation}; a known one only gets its later explanation, an erased one stays out. */
  add(item) {
    const id = item.prediction.prediction_id;
    if (this.#erased.has(id)) return;
    const known = this.#items.get(id);
    this.#items.set(id, known && !isAwaited(known.prediction, known.explanation) ? known : item);
    if (this.#items.size > this.#limit) this.#dropOldest();
  }

  /** Put a finished explanation to its prediction; return the item, or null if it is not held. */
  explain(predictionId, explanation) {
    const known = this.#items.get(predictionId);
    if (!known) return null;
    const item = { ...known, explanation };
    this.#items.set(predictionId, item);
    return item;
  }

  /** Drop a prediction that was erased, and take it no more: a page that was asked for before may still hold it. */
  forget(predictionId) {
    this.#erased.add(predictionId);
    this.#items.delete(predictionId);
  }

  list() {
    return [...this.#items.values()].sort((one, other) => other.sequence - one.sequence);
  }

  /** Return the neighbour of a prediction: step -1 is newer, 1 older. */
  neighbour(predictionId, step) {
    const list = this.list();
    const index = list.findIndex(({ prediction }) => prediction.prediction_id === predictionId);
    return index < 0 ? null : (list[index + step] ?? null);
  }

  #dropOldest() {
    this.#items.delete(this.#oldest().prediction.prediction_id);
    this.hasDropped = true;
  }

  #oldest() {
    return [...this.#items.values()].reduce((one, other) => (other.sequence < one.sequence ? other : one));
  }
}

/** Tell whether a prediction belongs to a filter {client, level}; an empty value lets all pass. */
export function matches({ client, level }, prediction) {
  return (!client || prediction.client_id === client) && (!level || prediction.risk_level === level);
}

/** Return the address of a page of predictions, newest first. */
export function pageAddress({ client, level }, limit, before = null) {
  const query = new URLSearchParams({ limit });
  if (client) query.set("client", client);
  if (level) query.set("level", level);
  if (before !== null) query.set("before", before);
  return `/api/predictions?${query}`;
}
