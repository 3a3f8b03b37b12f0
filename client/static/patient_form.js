/** The patient form: reading, filling and checking its controls, errors beside the field. */

import { button, byId, element, icon } from "/ui/dom.js";
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
  #fields;
  #form = byId("patient-form");
  #reference = byId(`field-${REFERENCE}`);
  #errors = new Map();

  /** `fields` are the descriptions by wire name. */
  constructor(fields, { onSubmit }) {
    this.#fields = fields;
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

  /** Return {patient_reference, record, entered} as they go over the wire; undefined, in a form that fails its check, is what is missing. */
  values() {
    const [record, entered] = [{}, {}];
    for (const field of this.#fields.values()) {
      const { value, notMeasured, entered: quantity } = this.#entry(field);
      record[field.name] = value === null && !notMeasured ? undefined : value;
      if (quantity) entered[field.name] = quantity;
    }
    return { patient_reference: this.#reference.value.trim() || null, record, entered };
  }

  /** Fill the form, in the units that were `entered`; null is "not measured", and what is undefined stays empty. */
  fill({ patient_reference: reference, record, entered = {} }) {
    this.clear();
    this.#reference.value = reference ?? "";
    for (const field of this.#fields.values()) {
      if (record[field.name] !== undefined) this.#put(field, record[field.name], entered[field.name]);
    }
  }

  clear() {
    this.#form.reset();
    this.#setUnits();
    this.restore({});
  }

  /** Return what is typed and chosen, errors and all, by the ids of the controls, so that `restore` can bring it back. */
  snapshot() {
    const controls = [...this.#form.elements].filter((control) => control.matches("input, select"));
    return Object.fromEntries(controls.filter(isUsed).map((control) => [control.id, isChoice(control) || control.value]));
  }

  /** Make the form as it was when the snapshot was taken. */
  restore(snapshot) {
    this.showErrors(new Map());
    for (const control of this.#form.elements) {
      const saved = snapshot[control.id];
      if (isChoice(control)) control.checked = Boolean(saved);
      else if (saved !== undefined || control.matches("input")) control.value = saved ?? "";
    }
    for (const field of this.#quantities()) {
      inputOf(field).disabled = Boolean(noneOf(field)?.checked);
      this.#showUnit(field);
    }
  }

  isEmpty() {
    return ![...this.#form.elements].some((control) => control.matches("input") && isUsed(control));
  }

  /** Show a refusal: its field errors beside the fields, the sentence above the buttons. */
  showRefusal({ message, fields }) {
    const { beside, general } = sortErrors(fields ?? {}, [...this.#fields.keys(), REFERENCE]);
    this.showErrors(beside);
    this.#summary([message, ...general].join(" "));
    this.#focusFirstError();
  }

  /** Show errors {field name: sentence} beside their fields, and none elsewhere. */
  showErrors(errors) {
    for (const name of [...this.#fields.keys(), REFERENCE]) this.#showError(name, errors.get(name) ?? null);
    this.#summary("");
  }

  #quantities() {
    return [...this.#fields.values()].filter((field) => !field.codes.length);
  }

  /** Choose the units that this desk chose last. */
  #setUnits() {
    for (const field of this.#quantities()) {
      const last = switchOf(field) && remembered(`unit-${field.name}`);
      if (last === field.other_unit) switchOf(field).value = last;
      this.#showUnit(field);
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
    if (value === null) {
      if (noneOf(field)) noneOf(field).checked = true;
      if (!field.codes.length) inputOf(field).disabled = true;
    } else if (field.codes.length) {
      const radio = byId(`field-${field.name}-${value}`);
      if (radio) radio.checked = true;
    } else {
      const isOfSwitch = entered.unit === (switchOf(field)?.value ?? field.unit);
      inputOf(field).value = isOfSwitch ? entered.value : `${entered.value} ${entered.unit}`;
    }
    if (!field.codes.length) this.#showFar(field);
  }

  #check() {
    const errors = new Map();
    for (const field of this.#fields.values()) {
      const error = errorOf(field, this.#entry(field));
      if (error) errors.set(field.name, error);
    }
    this.showErrors(errors);
    if (!errors.size) return true;
    this.#summary(`Please check ${plural(errors.size, "field")}.`, this.#emptyFields());
    this.#focusFirstError();
    return false;
  }

  #emptyFields() {
    return [...this.#fields.values()].filter((field) => {
      const { value, notMeasured, error } = this.#entry(field);
      return !field.required && value === null && !notMeasured && !error;
    });
  }

  /** Offer the one step that mends many errors at once: what is empty was not measured. */
  #summary(text, empty = []) {
    const place = byId("form-error");
    place.hidden = !text;
    place.replaceChildren();
    if (!text) return;
    place.append(element("p", { className: "error-text" }, icon("warning"), element("span", { textContent: text })));
    if (empty.length < 2) return;
    place.append(button(`Mark the ${empty.length} empty fields as not measured`, () => this.#markNotMeasured(empty)));
  }

  #markNotMeasured(fields) {
    for (const field of fields) {
      this.#put(field, null);
      this.#showError(field.name, null);
    }
    const remaining = this.#errors.size;
    this.#summary(remaining ? `Please check ${plural(remaining, "field")}.` : "");
    if (remaining) this.#focusFirstError();
    else byId("analyze").focus();
  }

  #changed(control) {
    const name = control.closest("[data-field]")?.dataset.field;
    const field = this.#fields.get(name);
    if (field && !field.codes.length) {
      if (control === noneOf(field)) this.#toggleMeasured(field);
      if (control === switchOf(field)) this.#switched(field);
      this.#showFar(field);
    }
    if (this.#errors.has(name)) this.#recheck(name);
  }

  /** A number stays as it was typed: the switch says what it means. */
  #switched(field) {
    remember(`unit-${field.name}`, switchOf(field).value);
    this.#showUnit(field);
    this.#left(inputOf(field));
  }

  /** Choose a code by its digit or, where only one begins with it, by its letter; `n` is "not measured". */
  #typed(event) {
    const field = this.#fields.get(event.target.closest("[data-field]")?.dataset.field);
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
    const field = this.#fields.get(control.closest("[data-field]")?.dataset.field);
    if (!field || field.codes.length || control !== inputOf(field)) return;
    const entry = this.#entry(field);
    if (entry.value !== null || entry.error) this.#recheck(field.name);
  }

  #recheck(name) {
    const field = this.#fields.get(name);
    this.#showError(name, field ? errorOf(field, this.#entry(field)) : null);
    if (!this.#errors.size) this.#summary("");
  }

  #toggleMeasured(field) {
    const input = inputOf(field);
    input.disabled = noneOf(field).checked;
    if (input.disabled) input.value = "";
    else input.focus();
  }

  /** Show ranges in the unit that is chosen at a field. */
  #showUnit(field) {
    const unit = switchOf(field)?.value;
    if (unit) {
      const [possible, model] = [field.possible_range, field.model_range].map((range) => rangeIn(unit, field, range).join(" to "));
      byId(`field-${field.name}-range`).textContent = `${possible} · model ${model}`;
      byId(`field-${field.name}-unit`).textContent = unit;
    }
    this.#showFar(field);
  }

  #showFar(field) {
    const far = byId(`field-${field.name}-far`);
    const { value, entered } = this.#entry(field);
    const scored = byId(`field-${field.name}-scored`);
    if (scored) scored.textContent = entered && !errorOf(field, this.#entry(field)) ? `Scored as ${value} ${field.unit}.` : "";
    const sentence = extrapolationOf(field, value, entered?.unit);
    far.hidden = !sentence;
    far.replaceChildren(...(sentence ? [icon("warning"), element("span", { textContent: sentence })] : []));
  }

  #showError(name, sentence) {
    if (sentence === (this.#errors.get(name) ?? null)) return; // a button in it must outlast the way to it
    const place = byId(`field-${name}-error`);
    place.hidden = !sentence;
    place.replaceChildren(...(sentence ? [icon("warning"), element("span", { textContent: sentence }), this.#otherUnit(name)] : []));
    for (const control of place.closest("[data-field]").querySelectorAll("input:not([type=checkbox])")) {
      control.setAttribute("aria-invalid", String(Boolean(sentence)));
    }
    if (sentence) this.#errors.set(name, sentence);
    else this.#errors.delete(name);
  }

  /** Offer to take a number as one in the unit that it must be in, if it is such a number. */
  #otherUnit(name) {
    const field = this.#fields.get(name);
    const other = field && otherReading(field, this.#entry(field));
    if (!other) return "";
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
