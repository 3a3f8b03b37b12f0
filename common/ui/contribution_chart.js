/** Signed contributions as diverging bars, largest first. */

import { copyOf, element, fill, slot } from "./dom.js";
import { effectOf, inWords, NOT_MEASURED } from "./wording.js";

/** Draw contributions of a prediction; `fields` are the descriptions by wire name. */
export function showContributions(content, contributions, fields) {
  const ordered = contributions.toSorted((one, other) => Math.abs(other.contribution) - Math.abs(one.contribution));
  const largest = Math.abs(ordered[0]?.contribution ?? 0) || 1;
  slot(content, "no-bars").hidden = ordered.length > 0;
  slot(content, "has-bars").hidden = ordered.length === 0;
  slot(content, "bars").replaceChildren(...ordered.map((item) => row(item, fields.get(item.field), largest)));
}

function row(item, field, largest) {
  const { direction, word } = effectOf(item.contribution);
  const made = copyOf("bar-template");
  made.dataset.direction = direction;
  fill(made, "name", field?.label ?? item.field);
  slot(made, "extrapolated").hidden = !item.extrapolated;
  slot(made, "value").classList.toggle("is-imputed", item.imputed);
  slot(made, "value").append(...(field ? values(item, field) : []));
  slot(made, "bar").style.setProperty("--length", Math.abs(item.contribution) / largest);
  fill(made, "effect", word);
  return made;
}

function values({ imputed, value, typical }, field) {
  const usual = inWords(field, typical);
  if (imputed) return [`${NOT_MEASURED}, taken as typical (${usual})`];
  return [inWords(field, value), element("span", { className: "bar-typical", textContent: ` · typical ${usual}` })];
}
