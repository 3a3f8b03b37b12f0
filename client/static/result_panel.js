/** The panel that shows one request: waiting, refused or answered, what was corrected, and what can be done with it. */

import { announce, button, byId, element, fill, icon, timeElement } from "/ui/dom.js";
import { FIELDS } from "/ui/fields.js";
import { labelOf, meaningOf, referenceOf, verdictOf } from "/ui/wording.js";
import { isSame } from "./duplicate_dialog.js";

const WITHDRAWN = "This patient was not analyzed, and the values were removed.";
const QUEUED = "The patient is saved at this clinic’s app and will be sent to the server automatically. The result will appear here.";
const WITHDRAWING = "The patient is removed as soon as the server confirms it. If the result was made before, it will appear here.";

/** Requests without a result; a refused one has its own sentences. */
export const STATES = {
  queued: { sign: "queued", word: "Queued", sentence: QUEUED },
  withdrawing: { sign: "queued", word: "Being withdrawn", sentence: WITHDRAWING },
  refused: { sign: "refused", word: "Refused" },
};

export class ResultPanel {
  #page;
  #entry = null;
  #corrections = "";
  #view = byId("prediction");
  #heading = byId("result-heading");

  /**
   * Of the page, `find(id)` returns an entry that is known there, or null, `open(id)` opens one, and `reuse(entry)`,
   * `correct(entry)` and `withdraw(entry)` do what the buttons of these names say.
   */
  constructor(page) {
    this.#page = page;
    for (const name of ["reuse", "correct", "withdraw"]) byId(name).addEventListener("click", () => page[name](this.#entry));
  }

  show(entry) {
    this.#heading.replaceChildren(...headingOf(entry));
    byId("result-empty").hidden = true;
    byId("result-waiting").hidden = entry.state === "answered";
    this.#view.hidden = entry.state !== "answered";
    if (entry.state === "answered") this.#view.show(entry.prediction, explanationOf(entry));
    else this.#note(entry.state, STATES[entry.state], ...whyWithout(entry));
    this.#take(entry);
  }

  /** Compare the request that is shown with the form's values, null for an empty form: a result of others says so. */
  compare(values) {
    const isStale = Boolean(values && this.#entry && !isSame(values, this.#entry));
    byId("result").toggleAttribute("data-stale", isStale);
    this.#view.isStale = isStale;
    const note = byId("result-stale");
    if (!isStale) return fill(note);
    fill(note, "This result is for the values entered at ", timeElement(this.#entry.entered_at), ". The form has changed since, so it cannot be printed or copied.");
  }

  /** Take news of the request that is shown, without moving the focus. */
  update(entry) {
    const before = this.#entry?.state;
    if (before !== "answered" || entry.state !== "answered") this.show(entry);
    else {
      this.#view.explain(entry.prediction.prediction_id, explanationOf(entry));
      this.#take(entry);
    }
    if (entry.state !== before && !STATES[entry.state]?.sentence) announce(newsOf(entry, before));
  }

  /** Empty the panel, and say why. */
  forget(why) {
    const wasWithdrawn = this.#entry?.state === "withdrawing";
    this.#take(null);
    this.compare(null);
    this.#view.clear();
    this.#view.hidden = true;
    this.#heading.replaceChildren("Result");
    byId("result-empty").hidden = true;
    this.#note("erased", { sign: "refused", word: wasWithdrawn ? "Withdrawn" : "Not shown any more" }, wasWithdrawn ? WITHDRAWN : why);
    announce(wasWithdrawn ? `Withdrawn. ${WITHDRAWN}` : why);
  }

  /** On a small screen the result lies below the form: bring it up. */
  bringIntoView() {
    const { top } = byId("result").getBoundingClientRect();
    if (top > innerHeight * 0.6 || top < 0) byId("result").scrollIntoView({ block: "start" });
  }

  moveFocus() {
    this.bringIntoView();
    this.#heading.focus({ preventScroll: true });
  }

  /** Offer what can be done with an entry, null if none is shown, and say what it corrects and is corrected by. */
  #take(entry) {
    this.#entry = entry;
    const focused = document.activeElement;
    const { state, superseded_by: by, corrects } = entry ?? {};
    byId("reuse").hidden = !entry;
    byId("correct").hidden = !["answered", "refused"].includes(state) || Boolean(by);
    byId("withdraw").hidden = state !== "queued";
    byId("result").toggleAttribute("data-superseded", Boolean(by));
    this.#showCorrections(by, corrects);
    if (focused?.hidden) this.#heading.focus({ preventScroll: true });
  }

  #showCorrections(by, corrects) {
    const shown = [by, corrects].map((id) => `${id} ${Boolean(id && this.#page.find(id))}`).join();
    if (shown === this.#corrections) return; // a button that has the focus stays
    this.#corrections = shown;
    fill(byId("result-corrected"), [
      by ? this.#correction(by, "Corrected at ", "Corrected by another entry.") : null,
      corrects ? this.#correction(corrects, "Corrects the entry of ", "Corrects an earlier entry.") : null,
    ]);
  }

  #correction(requestId, words, otherwise) {
    const other = this.#page.find(requestId);
    if (!other) return element("p", {}, otherwise);
    return element("p", {}, words, timeElement(other.entered_at), ". ", button("Open it", () => this.#page.open(requestId)));
  }

  /** Say in place of a result what became of the request; a text is a paragraph. */
  #note(state, { sign, word }, ...more) {
    const paragraphs = more.map((part) => (typeof part === "string" ? element("p", {}, part) : part));
    byId("result-waiting").dataset.state = state;
    fill(byId("result-waiting"), icon(sign), element("p", { className: "waiting-title" }, word), paragraphs);
  }
}

const explanationOf = ({ prediction, explanation }) => explanation ?? prediction.explanation;

function headingOf(entry) {
  const name = element("span", { className: "break" }, referenceOf(entry));
  const time = element("span", { className: "result-time soft" }, "entered ", timeElement(entry.entered_at));
  return [name, " ", time];
}

function whyWithout({ state, error }) {
  if (state !== "refused") return [STATES[state].sentence];
  const lines = Object.entries(error?.fields ?? {}).map(([name, said]) =>
    element("li", {}, `${labelOf(name, FIELDS).replaceAll("_", " ")}: ${said.join(", ")}`),
  );
  return [
    error?.message ?? "The server did not accept this patient.",
    element("ul", { className: "refused-fields", hidden: !lines.length }, ...lines),
    element("p", { className: "soft" }, "Copy the values into the form, correct them and analyze again."),
  ];
}

function newsOf(entry, before) {
  if (entry.state === "refused") return "The server refused this patient.";
  const late = before === "withdrawing" ? "The result was made before the withdrawal. " : "";
  return `${late}Result: ${verdictOf(entry.prediction)}. ${meaningOf(entry.prediction)}`;
}
