/** The dialog that says in words what a pasted row means, and asks what it cannot tell, before the form is filled. */

import { byId, element } from "/ui/dom.js";
import { postForJson, RequestError } from "/ui/http.js";
import { enteredInWords } from "/ui/wording.js";
import { remember, remembered } from "./desk_choices.js";
import { answered, isRow, likely, narrowed } from "./pasted_row.js";

const DIFFER = "This table exists in versions that number these findings differently. Which reading is right for this patient?";

export class PasteDialog {
  #fields;
  #dialog = byId("paste");
  #row = null;

  /** `onFill({ record, entered })` fills the form. */
  constructor(fields, { onFill }) {
    this.#fields = fields;
    byId("patient-form").addEventListener("paste", (event) => {
      const text = event.clipboardData.getData("text/plain");
      if (!isRow(text)) return;
      event.preventDefault();
      this.#read(text);
    });
    byId("paste-form").addEventListener("change", () => this.#showFacts());
    byId("paste-form").addEventListener("submit", () => {
      this.#remember();
      const answered = this.#answered();
      this.#dialog.addEventListener("close", () => onFill(answered), { once: true }); // until then nothing else takes the focus
    });
    byId("paste-cancel").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => this.#show(null));
  }

  async #read(text) {
    try {
      this.#show(await postForJson("/api/paste", { text }));
    } catch (failure) {
      if (!(failure instanceof RequestError)) throw failure;
      this.#show(null, failure.message);
    }
    this.#dialog.showModal();
  }

  #show(row, problem = "") {
    this.#row = row;
    byId("paste-problem").textContent = problem;
    byId("paste-fill").hidden = byId("paste-facts").hidden = !row;
    byId("paste-questions").replaceChildren(...(row?.questions ?? []).map((question, index) => this.#question(question, index)));
    byId("paste-ignored").textContent = row?.ignored.length ? `Not used: ${row.ignored.join(", ")}.` : "";
    this.#showFacts();
  }

  #question(question, index) {
    const field = this.#fields.get(question.about);
    const legend = field ? `${field.label}: ${this.#row.cells[field.name]}` : Object.keys(question.readings[0].record).map((name) => this.#fields.get(name).label).join(", ");
    const known = likely(question, namesOf(question));
    const choices = question.readings.map((reading, place) => {
      const radio = element("input", { type: "radio", name: `paste-${index}`, value: place, required: true, checked: place === known });
      return element("label", { className: "choice" }, radio, element("span", { textContent: this.#inWords(reading) }));
    });
    const why = element("p", { className: "hint", textContent: field ? `This looks like ${question.readings[0].names[0]}.` : DIFFER });
    return element("fieldset", { className: "field" }, element("legend", { textContent: legend }), why, element("div", { className: "choices" }, ...choices));
  }

  #inWords({ record, entered }) {
    const words = Object.entries(record).map(([name, value]) => enteredInWords(this.#fields.get(name), value, entered));
    return words.join(" · ") || "Leave it empty";
  }

  #answers() {
    const chosen = new FormData(byId("paste-form"));
    return this.#row.questions.map((_, index) => chosen.get(`paste-${index}`));
  }

  #answered() {
    return answered(this.#row, this.#answers());
  }

  #remember() {
    const answers = this.#answers();
    this.#row.questions.forEach((question, index) => {
      const names = narrowed(question.readings[answers[index]], namesOf(question));
      remember(`paste-${question.about}`, names.join(" "));
    });
  }

  #showFacts() {
    const known = this.#row && this.#answered();
    const facts = known ? [...this.#fields.values()].flatMap((field) => this.#fact(field, known)) : [];
    byId("paste-facts").replaceChildren(...facts);
  }

  #fact(field, { record, entered }) {
    const { errors, cells } = this.#row;
    const cell = cells[field.name];
    let words = enteredInWords(field, record[field.name], entered);
    if (field.name in errors) words = `“${cell}” ${errors[field.name]}. It stays empty.`;
    else if (!(field.name in record)) words = cell === undefined ? "no such column; it stays empty" : `“${cell}”, see the question above`;
    const isOpen = field.name in errors || !(field.name in record);
    return [element("dt", { textContent: field.label }), element("dd", { className: isOpen ? "warn-text" : "", textContent: words })];
  }
}

const namesOf = ({ about }) => (remembered(`paste-${about}`) ?? "").split(" ");
