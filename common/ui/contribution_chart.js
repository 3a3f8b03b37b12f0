/** `<contribution-chart>`: signed contributions as diverging bars, largest first. */

import { element, icon } from "./dom.js";
import { effectOf, inWords, NOT_MEASURED } from "./wording.js";

class ContributionChart extends HTMLElement {
  /** Draw the contributions of a prediction; `fields` are the descriptions by wire name. */
  show(contributions, fields) {
    if (contributions.length === 0) {
      const said = "Explanation unavailable: what moved the score could not be worked out. Score and level are not affected.";
      this.replaceChildren(element("p", { className: "bars-unavailable" }, icon("warning"), said));
      return;
    }
    const ordered = [...contributions].sort((one, other) => Math.abs(other.contribution) - Math.abs(one.contribution));
    const largest = Math.abs(ordered[0]?.contribution ?? 0) || 1;
    this.replaceChildren(
      axis(),
      element("ol", { className: "bars" }, ...ordered.map((item) => row(item, fields.get(item.field), largest))),
    );
  }
}

function axis() {
  return element(
    "div",
    { className: "bars-axis", "aria-hidden": "true" },
    element("span", { className: "bars-axis-lowers", textContent: "lowers" }),
    element("span", { className: "bars-axis-raises", textContent: "raises" }),
  );
}

function row(item, field, largest) {
  const effect = effectOf(item.contribution);
  const bar = element("span", { className: "bar" });
  bar.style.setProperty("--length", Math.abs(item.contribution) / largest);
  const made = element(
    "li",
    { className: "bar-row" },
    element("div", { className: "bar-text" }, name(item, field), ...values(item, field)),
    element("div", { className: "bar-area", "aria-hidden": "true" }, bar),
    element("div", { className: "bar-effect" }, effect.word),
  );
  made.dataset.direction = effect.direction;
  return made;
}

function name(item, field) {
  const label = element("span", { className: "bar-name" }, field?.label ?? item.field);
  if (item.extrapolated) label.append(tag("extrapolated"));
  return label;
}

function tag(text) {
  const made = element("span", { className: "tag" }, icon("warning"), text);
  made.dataset.tone = "warn";
  return made;
}

function values(item, field) {
  if (!field) return [];
  const typical = inWords(field, item.typical);
  if (item.imputed) {
    return [element("span", { className: "bar-value is-imputed", textContent: `${NOT_MEASURED}, taken as typical (${typical})` })];
  }
  return [
    element("span", { className: "bar-value" }, inWords(field, item.value), element("span", { className: "bar-typical", textContent: ` · typical ${typical}` })),
  ];
}

customElements.define("contribution-chart", ContributionChart);
