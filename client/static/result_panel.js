/** The panel that shows one request: waiting, refused or answered. */

import { announce, byId, element, icon, timeElement } from "/ui/dom.js";
import { fullTime, shortTime } from "/ui/format.js";
import { meaningOf } from "/ui/wording.js";

export class ResultPanel {
  #fields;
  #entry = null;
  #view = byId("prediction");
  #heading = byId("result-heading");

  constructor(fields, { onReuse }) {
    this.#fields = fields;
    byId("reuse").addEventListener("click", () => onReuse(this.#entry));
    addEventListener("beforeprint", () => this.#unfold());
  }

  show(entry) {
    this.#entry = entry;
    this.#heading.replaceChildren(...headingOf(entry));
    byId("result-empty").hidden = true;
    byId("reuse").hidden = false;
    const waiting = byId("result-waiting");
    waiting.hidden = entry.state === "answered";
    this.#view.hidden = entry.state !== "answered";
    if (entry.state === "answered") this.#view.show(entry.prediction, explanationOf(entry), this.#fields);
    else waiting.replaceChildren(...(entry.state === "queued" ? queued() : refused(entry.error, this.#fields)));
    waiting.dataset.state = entry.state;
  }

  /** Compare the request that is shown with the form's values, null for an empty form: a result of others says so. */
  compare(values) {
    const isStale = Boolean(values && this.#entry && !isSame(values, this.#entry));
    byId("result").toggleAttribute("data-stale", isStale);
    const note = byId("result-stale");
    note.hidden = !isStale;
    if (!isStale) return;
    const { entered_at: at } = this.#entry;
    note.replaceChildren("Of the values entered at ", timeElement(at, shortTime(at), fullTime(at)), ". The form differs, so this result cannot be printed.");
  }

  /** Take news of the request that is shown, without moving the focus. */
  update(entry) {
    const before = this.#entry?.state;
    if (before !== "answered" || entry.state !== "answered") this.show(entry);
    else this.#view.explain(entry.prediction.prediction_id, explanationOf((this.#entry = entry)));
    if (entry.state !== before && entry.state !== "queued") announce(newsOf(entry));
  }

  /** Empty the panel, and say why. */
  forget(why) {
    this.#entry = null;
    this.compare(null);
    this.#view.clear();
    this.#view.hidden = true;
    this.#heading.replaceChildren("Result");
    byId("reuse").hidden = true;
    byId("result-empty").hidden = true;
    const note = byId("result-waiting");
    note.hidden = false;
    note.dataset.state = "erased";
    note.replaceChildren(icon("refused"), element("p", { className: "waiting-title", textContent: "Not shown any more" }), element("p", { textContent: why }));
    announce(why);
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

  /** On paper nothing can be opened: print with all open, and close again afterwards. */
  #unfold() {
    for (const folded of this.#view.querySelectorAll("details:not([open])")) {
      folded.open = true;
      addEventListener("afterprint", () => (folded.open = false), { once: true });
    }
  }
}

const isSame = (values, entry) =>
  values.patient_reference === entry.patient_reference && Object.entries(entry.record).every(([name, value]) => values.record[name] === value);

const explanationOf = ({ prediction, explanation }) => explanation ?? prediction.explanation;

function headingOf(entry) {
  const name = element("span", { className: "break", textContent: entry.patient_reference ?? "Patient without reference" });
  const time = element("span", { className: "result-time soft" }, "entered ", timeElement(entry.entered_at, shortTime(entry.entered_at), fullTime(entry.entered_at)));
  return [name, " ", time];
}

function queued() {
  return [
    icon("queued"),
    element("p", { className: "waiting-title", textContent: "Queued" }),
    element("p", { textContent: "The patient is saved at this clinic’s app and will be sent to the server automatically. The result will appear here." }),
  ];
}

function refused(error, fields) {
  const lines = Object.entries(error?.fields ?? {}).map(([name, said]) =>
    element("li", { textContent: `${fields.get(name)?.label ?? name.replaceAll("_", " ")}: ${said.join(", ")}` }),
  );
  return [
    icon("refused"),
    element("p", { className: "waiting-title", textContent: "Refused" }),
    element("p", { textContent: error?.message ?? "The server did not accept this patient." }),
    lines.length ? element("ul", { className: "refused-fields" }, ...lines) : "",
    element("p", { className: "soft", textContent: "Copy the values into the form, correct them and analyze again." }),
  ];
}

function newsOf(entry) {
  if (entry.state === "refused") return "The server refused this patient.";
  return `Result: ${entry.prediction.risk_level} risk level. ${meaningOf(entry.prediction)}`;
}
