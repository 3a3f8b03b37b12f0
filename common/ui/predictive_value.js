/** How many of the patients at High have disease, by Bayes' rule; no document needed. */

const PERCENT = /^([0-9]{1,3}(?:[.,][0-9]+)?)\s*%?$/;

/** Return `{ value }`, a percentage from 1 to 99 as it was typed, or `{ error }`, a sentence. */
export function percentOf(text) {
  const [, digits] = PERCENT.exec(text.trim()) ?? [];
  const value = Number(digits?.replace(",", "."));
  return value >= 1 && value <= 99 ? { value, error: null } : { value: null, error: "Please enter a number from 1 to 99, such as 12 or 12.5." };
}

/**
 * Return the share of the marked who have disease, with its interval, at a prevalence (0 to 1).
 *
 * Both ends are those of both rates taken together, which is wider than 95 % would ask for.
 */
export function predictiveValue(prevalence, { sensitivity, sensitivityLow, sensitivityHigh, alarms, alarmsLow, alarmsHigh }) {
  const at = (found, false_) => (found * prevalence) / (found * prevalence + false_ * (1 - prevalence));
  return { value: at(sensitivity, alarms), low: at(sensitivityLow, alarmsHigh), high: at(sensitivityHigh, alarmsLow) };
}
