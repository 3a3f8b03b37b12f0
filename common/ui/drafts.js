/** Sentences of explanations that are still being written, for whoever opens a result while that goes on. */

const MOST = 100;

export class Drafts {
  #sentences = new Map();

  /** Keep a sentence; one of a later attempt makes those of the earlier ones void. */
  add(sentence) {
    const { prediction_id: id, attempt } = sentence;
    const known = this.of(id).filter((one) => one.attempt >= attempt);
    this.#sentences.delete(id);
    this.#sentences.set(id, [...known, sentence]);
    if (this.#sentences.size > MOST) this.#sentences.delete(this.#sentences.keys().next().value);
  }

  of(id) {
    return this.#sentences.get(id) ?? [];
  }

  forget(id) {
    this.#sentences.delete(id);
  }
}
