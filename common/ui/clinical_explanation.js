/** `<clinical-explanation>`: the computed paragraph, the AI-written one, and its sentences while they are checked. */

import { announce, copyOf, element, fill, icon, slot } from "./dom.js";
import { authorOf, endOfWaiting, isAwaited, withdrawalOf } from "./wording.js";

class ClinicalExplanation extends HTMLElement {
  #attempt = 1;
  #shown = 0;

  /** Show the computed explanation of a prediction and the AI-written one, or that one is awaited if so. */
  show(prediction, explanation) {
    const content = copyOf("explanation-template");
    fill(content, "text", prediction.explanation.text);
    showAuthor(content, "author", prediction.explanation);
    const isWritten = explanation.source === "llm";
    slot(content, "written").hidden = !isWritten;
    if (isWritten) {
      fill(content, "written-text", explanation.text);
      showAuthor(content, "written-author", explanation);
    }
    fill(content, "reason", explanation.reason);
    slot(content, "draft").hidden = !isAwaited(prediction, explanation);
    this.#attempt = 1;
    this.#shown = 0;
    this.replaceChildren(content);
  }

  /** Add a sentence of a text that is still being written; the first of a later attempt withdraws the earlier ones. */
  addSentence({ text, attempt }) {
    const draft = slot(this, "draft");
    if (!draft || draft.hidden || attempt < this.#attempt) return;
    if (attempt > this.#attempt) this.#beginAnew(attempt);
    this.#shown += 1;
    slot(this, "sentences").append(element("li", {}, `${text} `, element("span", { className: "tag", "data-tone": "warn", textContent: "being checked" })));
  }

  /** Take the explanation that ends the waiting, once; until then its sentences are left alone. */
  finish(prediction, explanation) {
    const sentence = endOfWaiting(prediction, explanation);
    const isWaiting = slot(this, "draft")?.hidden === false;
    if (!sentence || !isWaiting) return;
    const withdrawal = withdrawalOf(explanation, this.#shown);
    this.show(prediction, explanation);
    fill(this, "withdrawn-text", withdrawal);
    slot(this, "withdrawn").hidden = !withdrawal;
    announce(withdrawal ?? sentence);
  }

  #beginAnew(attempt) {
    slot(this, "again").hidden = this.#shown === 0;
    slot(this, "sentences").replaceChildren();
    this.#attempt = attempt;
    this.#shown = 0;
  }
}

function showAuthor(content, name, explanation) {
  const author = authorOf(explanation);
  slot(content, name).append(icon(author.icon), author.text);
}

customElements.define("clinical-explanation", ClinicalExplanation);
