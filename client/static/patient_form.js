/** The patient form: reading, filling and checking its controls, errors beside the field. */

import { byId, element, icon } from "/ui/dom.js";
import { plural } from "/ui/format.js";
import { readNumber } from "./decimal.js";
import { errorOf, extrapolationOf, sortErrors } from "./field_check.js";

const REFERENCE = "patient_reference";

export class PatientForm {
  #fields;
  #form = byId("patient-form");
  #errors = new Map();

  /** `fields` are the descriptions by wire name. */
  constructor(fields, { onSubmit }) {
    this.#fields = fields;
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

  /** Return {patient_reference, record} as they go over the wire; undefined, in a form that fails its check, is what is missing. */
  values() {
    const record = {};
    for (const field of this.#fields.values()) {
      const { value, notMeasured } = this.#entry(field);
      record[field.name] = value === null && !notMeasured ? undefined : value;
    }
    return { patient_reference: this.#reference.value.trim() || null, record };
  }

  /** Fill the form; null is "not measured". */
  fill({ patient_reference: reference, record }) {
    this.clear();
    this.#reference.value = reference ?? "";
    for (const field of this.#fields.values()) this.#put(field, record[field.name] ?? null);
  }

  clear() {
    this.#form.reset();
    this.showErrors(new Map());
    for (const field of this.#quantities()) {
      this.#input(field).disabled = false;
      this.#showFar(field);
    }
  }

  /** Return everything as it stands, errors or not, so that `restore` can bring it back. */
  snapshot() {
    return [...this.#form.elements].map(({ value, checked, disabled }) => ({ value, checked, disabled }));
  }

  restore(snapshot) {
    this.showErrors(new Map());
    snapshot.forEach((saved, index) => {
      const control = this.#form.elements[index];
      if (control.matches("input[type=radio], input[type=checkbox]")) control.checked = saved.checked;
      else if (control.matches("input")) control.value = saved.value;
      if (control.matches("input")) control.disabled = saved.disabled;
    });
    for (const field of this.#quantities()) this.#showFar(field);
  }

  isEmpty() {
    return [...this.#form.elements].every((control) =>
      control.matches("[type=radio], [type=checkbox]") ? !control.checked : !control.matches("input") || !control.value,
    );
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

  get #reference() {
    return byId(`field-${REFERENCE}`);
  }

  #quantities() {
    return [...this.#fields.values()].filter((field) => !field.codes.length);
  }

  #input(field) {
    return byId(`field-${field.name}`);
  }

  #none(field) {
    return byId(`field-${field.name}-none`);
  }

  #entry(field) {
    const notMeasured = Boolean(this.#none(field)?.checked);
    if (field.codes.length) {
      const chosen = this.#form.elements.namedItem(field.name).value;
      return { notMeasured, error: null, value: chosen === "" ? null : Number(chosen) };
    }
    return { notMeasured, ...readNumber(notMeasured ? "" : this.#input(field).value, field) };
  }

  #put(field, value) {
    if (value === null) {
      if (this.#none(field)) this.#none(field).checked = true;
      if (!field.codes.length) this.#input(field).disabled = true;
    } else if (field.codes.length) {
      const radio = byId(`field-${field.name}-${value}`);
      if (radio) radio.checked = true;
    } else {
      this.#input(field).value = value;
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
    const button = element("button", {
      type: "button",
      className: "link-button",
      textContent: `Mark the ${empty.length} empty fields as not measured`,
    });
    button.addEventListener("click", () => this.#markNotMeasured(empty));
    place.append(button);
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
      if (control === this.#none(field)) this.#toggleMeasured(field);
      this.#showFar(field);
    }
    if (this.#errors.has(name)) this.#recheck(name);
  }

  /** Choose a code by its digit or, where only one begins with it, by its letter; `n` is "not measured". */
  #typed(event) {
    const field = this.#fields.get(event.target.closest("[data-field]")?.dataset.field);
    if (!field || (!field.codes.length && (event.target !== this.#input(field) || event.target.value))) return;
    const key = event.key.toLowerCase();
    const found = field.codes.filter(({ code, word }) => String(code) === key || word.charAt(0).toLowerCase() === key);
    const chosen = key === "n" ? this.#none(field) : found.length === 1 && byId(`field-${field.name}-${found[0].code}`);
    if (!chosen) return;
    event.preventDefault();
    chosen.click();
    chosen.focus();
  }

  /** On leaving a number, say at once if it is impossible; an empty one is only missed on submit. */
  #left(control) {
    const field = this.#fields.get(control.closest("[data-field]")?.dataset.field);
    if (!field || field.codes.length || control !== this.#input(field)) return;
    const entry = this.#entry(field);
    if (entry.value !== null || entry.error) this.#recheck(field.name);
  }

  #recheck(name) {
    const field = this.#fields.get(name);
    this.#showError(name, field ? errorOf(field, this.#entry(field)) : null);
    if (!this.#errors.size) this.#summary("");
  }

  #toggleMeasured(field) {
    const input = this.#input(field);
    input.disabled = this.#none(field).checked;
    if (input.disabled) input.value = "";
    else input.focus();
  }

  #showFar(field) {
    const far = byId(`field-${field.name}-far`);
    const sentence = extrapolationOf(field, this.#entry(field).value);
    far.hidden = !sentence;
    far.replaceChildren(...(sentence ? [icon("warning"), element("span", { textContent: sentence })] : []));
  }

  #showError(name, sentence) {
    const place = byId(`field-${name}-error`);
    place.hidden = !sentence;
    place.replaceChildren(...(sentence ? [icon("warning"), element("span", { textContent: sentence })] : []));
    for (const control of place.closest("[data-field]").querySelectorAll("input:not([type=checkbox])")) {
      control.setAttribute("aria-invalid", String(Boolean(sentence)));
    }
    if (sentence) this.#errors.set(name, sentence);
    else this.#errors.delete(name);
  }

  #focusFirstError() {
    const first = this.#form.querySelector('[aria-invalid="true"]:not(:disabled)');
    const checked = first?.closest("[data-field]").querySelector("input:checked");
    (checked ?? first)?.focus();
  }
}
