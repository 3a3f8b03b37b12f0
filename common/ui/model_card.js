/** The model card: of the patients marked High, how many have disease at a prevalence that the reader sets. */

import { byId, fill } from "./dom.js";
import { percentOf, predictiveValue } from "./predictive_value.js";
import { rangeInWords } from "./wording.js";

const form = byId("prevalence-form");

function answer() {
  const { value, error } = percentOf(byId("prevalence").value);
  const figures = Object.fromEntries(Object.entries(form.dataset).map(([name, figure]) => [name, Number(figure)]));
  byId("prevalence").setAttribute("aria-invalid", String(Boolean(error)));
  fill(byId("prevalence-error"), error);
  byId("at-high-answer").textContent = error ? "–" : `Of 100 patients marked High, ${rangeInWords(predictiveValue(value / 100, figures))}.`;
}

if (form) {
  form.hidden = false;
  byId("prevalence").addEventListener("input", answer);
}
