/** `<clinical-explanation>`: the computed paragraph, and the AI-written one once it is there. */

import { announce, copyOf, fill, icon, slot } from "./dom.js";
import { authorOf, endOfWaiting, isAwaited } from "./wording.js";

class ClinicalExplanation extends HTMLElement {
  #prediction = null;
  #isAwaited = false;

  /** Show the computed explanation of a prediction and the AI-written one, or that one is being written. */
  show(prediction, explanation) {
    this.#prediction = prediction;
    this.#isAwaited = isAwaited(prediction, explanation);
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
    slot(content, "awaited").hidden = !this.#isAwaited;
    this.replaceChildren(content);
  }

  /** Take the explanation that ends the waiting. */
  finish(explanation) {
    if (!this.#isAwaited || isAwaited(this.#prediction, explanation)) return;
    this.show(this.#prediction, explanation);
    announce(endOfWaiting(explanation));
  }
}

function showAuthor(content, name, explanation) {
  const author = authorOf(explanation);
  slot(content, name).append(icon(author.icon), author.text);
}

customElements.define("clinical-explanation", ClinicalExplanation);
