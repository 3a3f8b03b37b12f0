/** `<clinical-explanation>`: the paragraph, who wrote it, and sentences that come in while they are checked. */

import { announce, copyOf, element, fill, icon, slot } from "./dom.js";
import { authorOf, endOfWaiting, isAwaited } from "./wording.js";

class ClinicalExplanation extends HTMLElement {
  /** Show the latest explanation of a prediction, and that another one is awaited if so. */
  show(prediction, explanation) {
    const content = copyOf("explanation-template");
    const author = authorOf(explanation);
    fill(content, "text", explanation.text);
    slot(content, "author").append(icon(author.icon), author.text);
    slot(content, "author").dataset.tone = explanation.source === "llm" ? "accent" : "";
    fill(content, "reason", explanation.reason);
    slot(content, "draft").hidden = !isAwaited(prediction, explanation);
    this.replaceChildren(content);
  }

  /** Add a sentence of a text that is still being written. */
  addSentence(text) {
    const draft = slot(this, "draft");
    if (!draft || draft.hidden) return;
    slot(this, "sentences").append(element("span", { textContent: `${text} ` }));
    slot(this, "checking").hidden = false;
  }

  /** Take the explanation that ends the waiting; news of one that is still awaited leaves its sentences alone. */
  finish(prediction, explanation) {
    const sentence = endOfWaiting(prediction, explanation);
    if (!sentence) return;
    const wasAwaited = slot(this, "draft")?.hidden === false;
    this.show(prediction, explanation);
    if (wasAwaited) announce(sentence);
  }
}

customElements.define("clinical-explanation", ClinicalExplanation);
