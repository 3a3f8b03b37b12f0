/** The panel that shows one request: waiting, refused or answered. */

import { announce, byId, element, icon, timeElement } from "/ui/dom.js";
import { meaningOf, verdictOf } from "/ui/wording.js";
import { isSame } from "./duplicate_dialog.js";

const WITHDRAWN = "This patient was not analyzed, and the values were removed.";
const WAITING = {
  queued: ["Queued", "The patient is saved at this clinic’s app and will be sent to the server automatically. The result will appear here."],
  withdrawing: ["Being withdrawn", "The patient is removed as soon as the server confirms it. If the result was made before, it will appear here."],
};

export class ResultPanel {
  #fields;
  #entry = null;
  #onShow;
  #view = byId("prediction");
  #heading = byId("result-heading");

  /** `onShow(entry)` follows what is shown, null when it is nothing any more. */
  constructor(fields, { onReuse, onShow }) {
    this.#fields = fields;
    this.#onShow = onShow;
    byId("reuse").addEventListener("click", () => onReuse(this.#entry));
  }

  show(entry) {
    this.#entry = entry;
    this.#heading.replaceChildren(...headingOf(entry));
    byId("result-empty").hidden = true;
    byId("reuse").hidden = false;
    byId("result-waiting").hidden = entry.state === "answered";
    this.#view.hidden = entry.state !== "answered";
    if (entry.state === "answered") this.#view.show(entry.prediction, explanationOf(entry), this.#fields);
    else if (entry.state === "refused") this.#note("refused", "refused", ...refused(entry.error, this.#fields));
    else this.#note(entry.state, "queued", ...WAITING[entry.state]);
    this.#onShow(entry);
  }

  /** Compare the request that is shown with the form's values, null for an empty form: a result of others says so. */
  compare(values) {
    const isStale = Boolean(values && this.#entry && !isSame(values, this.#entry));
    byId("result").toggleAttribute("data-stale", isStale);
    this.#view.isStale = isStale;
    const note = byId("result-stale");
    note.hidden = !isStale;
    if (!isStale) return;
    const { entered_at: at } = this.#entry;
    note.replaceChildren("This result is for the values entered at ", timeElement(at), ". The form has changed since, so it cannot be printed or copied.");
  }

  /** Take news of the request that is shown, without moving the focus. */
  update(entry) {
    const before = this.#entry?.state;
    if (before !== "answered" || entry.state !== "answered") this.show(entry);
    else {
      this.#view.explain(entry.prediction.prediction_id, explanationOf((this.#entry = entry)));
      this.#onShow(entry);
    }
    if (entry.state !== before && !WAITING[entry.state]) announce(newsOf(entry, before));
  }

  /** Empty the panel, and say why. */
  forget(why) {
    const wasWithdrawn = this.#entry?.state === "withdrawing";
    this.#entry = null;
    this.#onShow(null);
    this.compare(null);
    this.#view.clear();
    this.#view.hidden = true;
    this.#heading.replaceChildren("Result");
    byId("reuse").hidden = true;
    byId("result-empty").hidden = true;
    this.#note("erased", "refused", ...(wasWithdrawn ? ["Withdrawn", WITHDRAWN] : ["Not shown any more", why]));
    announce(wasWithdrawn ? `Withdrawn. ${WITHDRAWN}` : why);
  }

  /** Say in place of a result what became of the request; a text is a paragraph. */
  #note(state, shape, title, ...more) {
    const note = byId("result-waiting");
    note.hidden = false;
    note.dataset.state = state;
    const paragraphs = more.map((part) => (typeof part === "string" ? element("p", { textContent: part }) : part));
    note.replaceChildren(icon(shape), element("p", { className: "waiting-title", textContent: title }), ...paragraphs);
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
}

const explanationOf = ({ prediction, explanation }) => explanation ?? prediction.explanation;

function headingOf(entry) {
  const name = element("span", { className: "break", textContent: entry.patient_reference ?? "Patient without reference" });
  const time = element("span", { className: "result-time soft" }, "entered ", timeElement(entry.entered_at));
  return [name, " ", time];
}

function refused(error, fields) {
  const lines = Object.entries(error?.fields ?? {}).map(([name, said]) =>
    element("li", { textContent: `${fields.get(name)?.label ?? name.replaceAll("_", " ")}: ${said.join(", ")}` }),
  );
  return [
    "Refused",
    error?.message ?? "The server did not accept this patient.",
    ...(lines.length ? [element("ul", { className: "refused-fields" }, ...lines)] : []),
    element("p", { className: "soft", textContent: "Copy the values into the form, correct them and analyze again." }),
  ];
}

function newsOf(entry, before) {
  if (entry.state === "refused") return "The server refused this patient.";
  const late = before === "withdrawing" ? "The result was made before the withdrawal. " : "";
  return `${late}Result: ${verdictOf(entry.prediction)}. ${meaningOf(entry.prediction)}`;
}
