/** The patient form: reading, filling and checking its controls, errors beside the field, and which entry it corrects. */

import { button, byId, element, fill, icon, timeElement, warn } from "/ui/dom.js";
import { FIELDS } from "/ui/fields.js";
import { plural } from "/ui/format.js";
import { inOwnUnit, readNumber } from "./decimal.js";
import { remember, remembered } from "./desk_choices.js";
import { errorOf, extrapolationOf, otherReading, rangeIn, sortErrors } from "./field_check.js";

const REFERENCE = "patient_reference";

const isChoice = (control) => control.matches("[type=radio], [type=checkbox]");
const isUsed = (control) => (isChoice(control) ? control.checked : control.value !== "");

const inputOf = ({ name }) => byId(`field-${name}`);
const switchOf = ({ name }) => byId(`field-${name}-switch`); // between two units, where a field has them
const noneOf = ({ name }) => byId(`field-${name}-none`);

export class PatientForm {
  #form = byId("patient-form");
  #reference = byId(`field-${REFERENCE}`);
  /** The entry that the form corrects, or null. */
  corrects = null;
  #errors = new Map();

  /** `onSubmit(values)` gets what passed the check. */
  constructor({ onSubmit }) {
    this.#setUnits();
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#check()) onSubmit(this.values());
    });
    this.#form.addEventListener("input", (event) => this.#changed(event.target));
    this.#form.addEventListener("focusout", (event) => this.#left(event.target));
    this.#form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.repeat) event.preventDefault();
      else if (event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey) this.#typed(event);
    });
  }

  /** Correct an entry from now on, or none; a line above the form says so. */
  correct(entry) {
    this.corrects = entry;
    byId("correcting").hidden = !entry;
    if (entry) byId("correcting-text").replaceChildren("Correcting the entry of ", timeElement(entry.entered_at), ".");
  }

  /**
   * Return {patient_reference, record, entered, corrects} as they go over the wire; undefined, in a form that fails its check,
   * is what is missing.
   */
  values() {
    const [record, entered] = [{}, {}];
    for (const field of FIELDS.values()) {
      const { value, notMeasured, entered: quantity } = this.#entry(field);
      record[field.name] = value === null && !notMeasured ? undefined : value;
      if (quantity) entered[field.name] = quantity;
    }
    return { patient_reference: this.#reference.value.trim() || null, record, entered, corrects: this.corrects?.request_id ?? null };
  }

  /** Fill the form, in the units that were `entered`; null is "not measured", and what is undefined stays empty. */
  fill({ patient_reference: reference, record, entered = {} }, corrects = null) {
    this.clear();
    this.correct(corrects);
    this.#reference.value = reference ?? "";
    for (const field of FIELDS.values()) {
      if (record[field.name] !== undefined) this.#put(field, record[field.name], entered[field.name]);
    }
  }

  clear() {
    this.#form.reset();
    this.correct(null);
    this.#setUnits();
    this.showErrors(new Map());
  }

  /** Return what is typed and chosen, errors and all, by the ids of the controls, so that `restore` can bring it back. */
  snapshot() {
    const controls = [...this.#form.elements].filter((control) => control.matches("input, select") && isUsed(control));
    const { request_id, entered_at } = this.corrects ?? {};
    return {
      controls: Object.fromEntries(controls.map((control) => [control.id, isChoice(control) || control.value])),
      corrects: request_id ? { request_id, entered_at } : null,
    };
  }

  /** Make the form as it was when the snapshot was taken. */
  restore({ controls, corrects }) {
    this.clear();
    this.correct(corrects);
    for (const control of this.#form.elements) {
      if (!(control.id in controls)) continue;
      if (isChoice(control)) control.checked = true;
      else control.value = controls[control.id];
    }
    FIELDS.forEach((field) => this.#show(field));
  }

  isEmpty() {
    return ![...this.#form.elements].some((control) => control.matches("input") && isUsed(control));
  }

  /** Show a refusal: its field errors beside the fields, the sentence above the buttons. */
  showRefusal({ message, fields }) {
    const { beside, general } = sortErrors(fields ?? {}, [...FIELDS.keys(), REFERENCE]);
    this.showErrors(beside);
    this.#summary([message, ...general].join(" "));
    this.#focusFirstError();
  }

  /** Show errors {field name: sentence} beside their fields, and none elsewhere. */
  showErrors(errors) {
    for (const name of [...FIELDS.keys(), REFERENCE]) this.#showError(name, errors.get(name) ?? null);
    this.#summary("");
  }

  /** Return the name of what a control belongs to, and the field; the patient's reference is none. */
  #fieldOf(control) {
    const name = control.closest("[data-field]")?.dataset.field;
    return { name, field: FIELDS.get(name) };
  }

  /** Choose the units that this desk chose last. */
  #setUnits() {
    for (const field of FIELDS.values()) {
      const last = switchOf(field) && remembered(`unit-${field.name}`);
      if (last === field.other_unit) switchOf(field).value = last;
      this.#show(field);
    }
  }

  #entry(field) {
    const notMeasured = Boolean(noneOf(field)?.checked);
    if (field.codes.length) {
      const chosen = this.#form.elements.namedItem(field.name).value;
      return { notMeasured, error: null, value: chosen === "" ? null : Number(chosen) };
    }
    const read = readNumber(notMeasured ? "" : inputOf(field).value, field);
    return { notMeasured, ...inOwnUnit(field, read, switchOf(field)?.value) };
  }

  #put(field, value, entered = { value, unit: field.unit }) {
    const choice = value === null ? noneOf(field) : byId(`field-${field.name}-${value}`);
    if (choice) choice.checked = true;
    else if (!field.codes.length && value !== null) {
      const isOfSwitch = entered.unit === (switchOf(field)?.value ?? field.unit);
      inputOf(field).value = isOfSwitch ? entered.value : `${entered.value} ${entered.unit}`;
    }
    this.#show(field);
  }

  /** Show beside a quantity what follows from its controls: its ranges in its unit, what is scored, and how far off it is. */
  #show(field) {
    if (field.codes.length) return;
    inputOf(field).disabled = Boolean(noneOf(field)?.checked);
    const entry = this.#entry(field);
    const { value, entered } = entry;
    const unit = switchOf(field)?.value;
    if (unit) {
      const [possible, model] = [field.possible_range, field.model_range].map((range) => rangeIn(unit, field, range).join(" to "));
      byId(`field-${field.name}-range`).textContent = `${possible} · model ${model}`;
      byId(`field-${field.name}-unit`).textContent = unit;
      byId(`field-${field.name}-scored`).textContent = entered && !errorOf(field, entry) ? `Scored as ${value} ${field.unit}.` : "";
    }
    warn(byId(`field-${field.name}-far`), extrapolationOf(field, value, entered?.unit));
  }

  #check() {
    const wrong = [...FIELDS.values()].map((field) => [field.name, errorOf(field, this.#entry(field))]);
    this.showErrors(new Map(wrong));
    return this.#isRight();
  }

  /** Tell whether no error is left; otherwise say how many there are, and focus the first. */
  #isRight() {
    const wrong = this.#errors.size;
    this.#summary(wrong ? `Please check ${plural(wrong, "field")}.` : "", this.#emptyFields());
    if (wrong) this.#focusFirstError();
    return !wrong;
  }

  #emptyFields() {
    return [...FIELDS.values()].filter((field) => {
      const { value, notMeasured, error } = this.#entry(field);
      return !field.required && value === null && !notMeasured && !error;
    });
  }

  /** Offer the one step that mends many errors at once: what is empty was not measured. */
  #summary(text, empty = []) {
    if (!text) return fill(byId("form-error"));
    const sentence = element("p", { className: "error-text" }, icon("warning"), element("span", {}, text));
    const mend = button(`Mark the ${empty.length} empty fields as not measured`, () => this.#markNotMeasured(empty));
    fill(byId("form-error"), sentence, empty.length < 2 ? null : mend);
  }

  #markNotMeasured(fields) {
    for (const field of fields) {
      this.#put(field, null);
      this.#showError(field.name, null);
    }
    if (this.#isRight()) byId("analyze").focus();
  }

  #changed(control) {
    const { field, name } = this.#fieldOf(control);
    if (field && !field.codes.length) {
      this.#show(field);
      const input = inputOf(field);
      if (control === switchOf(field)) {
        remember(`unit-${field.name}`, switchOf(field).value);
        this.#left(input); // a number stays as it was typed: the switch says what it means
      } else if (control === noneOf(field)) {
        if (input.disabled) input.value = "";
        else input.focus();
      }
    }
    if (this.#errors.has(name)) this.#recheck(name);
  }

  /** Choose a code by its digit or, where only one begins with it, by its letter; `n` is "not measured". */
  #typed(event) {
    const { field } = this.#fieldOf(event.target);
    if (!field || (!field.codes.length && (event.target !== inputOf(field) || event.target.value))) return;
    const key = event.key.toLowerCase();
    const found = field.codes.filter(({ code, word }) => String(code) === key || word.charAt(0).toLowerCase() === key);
    const chosen = key === "n" ? noneOf(field) : found.length === 1 && byId(`field-${field.name}-${found[0].code}`);
    if (!chosen) return;
    event.preventDefault();
    chosen.click();
    chosen.focus();
  }

  /** On leaving a number, say at once if it is impossible; an empty one is only missed on submit. */
  #left(control) {
    const { field } = this.#fieldOf(control);
    if (!field || field.codes.length || control !== inputOf(field)) return;
    const { value, error } = this.#entry(field);
    if (value !== null || error) this.#recheck(field.name);
  }

  #recheck(name) {
    const field = FIELDS.get(name);
    this.#showError(name, field ? errorOf(field, this.#entry(field)) : null);
    if (!this.#errors.size) this.#summary("");
  }

  #showError(name, sentence) {
    if (sentence === (this.#errors.get(name) ?? null)) return; // a button in it must outlast the way to it
    const place = byId(`field-${name}-error`);
    warn(place, sentence, this.#otherUnit(name));
    for (const control of place.closest("[data-field]").querySelectorAll("input:not([type=checkbox])")) {
      control.setAttribute("aria-invalid", String(Boolean(sentence)));
    }
    if (sentence) this.#errors.set(name, sentence);
    else this.#errors.delete(name);
  }

  /** Offer to take a number as one in the unit that it must be in, if it is such a number. */
  #otherUnit(name) {
    const field = FIELDS.get(name);
    const other = field && otherReading(field, this.#entry(field));
    if (!other) return null;
    return button(`Use ${other.value} ${field.unit}`, () => {
      inputOf(field).value = `${other.number} ${other.unit}`;
      inputOf(field).dispatchEvent(new Event("input", { bubbles: true }));
      inputOf(field).focus();
    });
  }

  #focusFirstError() {
    const first = this.#form.querySelector('[aria-invalid="true"]:not(:disabled)');
    const checked = first?.closest("[data-field]").querySelector("input:checked");
    (checked ?? first)?.focus();
  }
}
