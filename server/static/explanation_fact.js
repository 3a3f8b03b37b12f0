/** Who writes explanations and how that goes, in the strip and, where somebody has to do something, in a banner. */

import { byId, element, icon } from "/ui/dom.js";
import { circuitInWords, countsInWords, troubleInWords } from "./explanation_words.js";

export class ExplanationFact {
  element = element("div", { className: "strip-wide" });
  #timer = null;

  /** Show the state that the server told; a circuit that is open becomes half-open when its time is over. */
  show(status) {
    clearTimeout(this.#timer);
    const { circuit } = status;
    this.element.replaceChildren(
      element("dt", { textContent: "Explanations" }),
      element("dd", {}, element("strong", { textContent: authorOf(status) }), ...notesOf(status).map(note)),
    );
    showTrouble(circuit && troubleInWords(circuit));
    if (circuit?.state !== "open") return;
    const tried = { ...status, circuit: { ...circuit, state: "half_open", seconds_left: 0 } };
    this.#timer = setTimeout(() => this.show(tried), 1000 * circuit.seconds_left);
  }
}

const authorOf = ({ source, model }) => (source === "llm" ? `AI-written · ${model}` : "Computed text");

const note = (text) => element("span", { className: "strip-note", textContent: text });

function notesOf(status) {
  const { circuit, last_failure: failure, reason } = status;
  if (!circuit) return [reason];
  const notes = [circuitInWords(circuit), countsInWords(status)];
  if (failure && circuit.state === "closed") notes.push(`Last failure: ${failure}`);
  return notes;
}

/** Say a sentence in the banner; one that stands there already is left alone, so that it is announced once. */
function showTrouble(sentence) {
  const banner = byId("explanations-banner");
  banner.hidden = !sentence;
  if (banner.textContent === (sentence ?? "")) return;
  banner.replaceChildren(...(sentence ? [icon("warning"), element("p", { textContent: sentence })] : []));
}
