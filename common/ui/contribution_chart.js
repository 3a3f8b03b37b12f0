/** Signed contributions as diverging bars, largest first. */

import { copyOf, element, fillSlots, setVariables, slot } from "./dom.js";
import { FIELDS } from "./fields.js";
import { effectOf, inWords, labelOf, NOT_MEASURED } from "./wording.js";

/** Draw contributions of a prediction. */
export function showContributions(content, contributions) {
  const ordered = contributions.toSorted((one, other) => Math.abs(other.contribution) - Math.abs(one.contribution));
  const largest = Math.abs(ordered[0]?.contribution ?? 0) || 1;
  slot(content, "no-bars").hidden = ordered.length > 0;
  slot(content, "has-bars").hidden = ordered.length === 0;
  slot(content, "bars").replaceChildren(...ordered.map((item) => row(item, largest)));
}

function row(item, largest) {
  const { direction, word } = effectOf(item.contribution);
  const made = copyOf("bar-template");
  made.dataset.direction = direction;
  fillSlots(made, { name: labelOf(item.field, FIELDS), value: values(item, FIELDS.get(item.field)), effect: word });
  slot(made, "extrapolated").hidden = !item.extrapolated;
  slot(made, "value").classList.toggle("is-imputed", item.imputed);
  setVariables(slot(made, "bar"), { length: Math.abs(item.contribution) / largest });
  return made;
}

function values({ imputed, value, typical }, field) {
  if (!field) return [];
  const usual = inWords(field, typical);
  if (imputed) return [`${NOT_MEASURED}, taken as typical (${usual})`];
  return [inWords(field, value), element("span", { className: "bar-typical" }, ` · typical ${usual}`)];
}
