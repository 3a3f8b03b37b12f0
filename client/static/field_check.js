/** Checking a form's values against the field descriptions; no document needed. */

import { inOwnUnit } from "./decimal.js";

/** Return what is wrong with one entry, or null. `entry` is {value, entered, notMeasured, error}; its own error comes first. */
export function errorOf(field, entry) {
  const { value, entered, notMeasured, error } = entry;
  if (notMeasured) return field.required ? `${field.label} is required.` : null;
  if (error) return error;
  if (value === null) return missing(field);
  if (!field.possible_range || within(field.possible_range, value)) return null;
  const other = otherReading(field, entry);
  if (other) return `${other.number} looks like ${other.unit}.`;
  const unit = entered?.unit ?? field.unit;
  const [lowest, highest] = rangeIn(unit, field, field.possible_range);
  return `${field.label} must be between ${lowest} and ${highest} ${unit}.`.replace(" .", ".");
}

/** Return `{ number, unit, value }`, the value in the field's own unit, of a number that is possible in its other unit only. */
export function otherReading(field, { value, entered }) {
  if (!field.other_unit || value === null || within(field.possible_range, value)) return null;
  const [number, unit] = entered ? [entered.value, field.unit] : [value, field.other_unit];
  const read = inOwnUnit(field, { value: number, unit, error: null }).value;
  return within(field.possible_range, read) ? { number, unit, value: read } : null;
}

/** Return the ends of a range in one of the field's units, to the tenth inside it. */
export function rangeIn(unit, field, [lowest, highest]) {
  if (unit === field.unit) return [lowest, highest].map(Number);
  return [Math.ceil((lowest / field.other_factor) * 10) / 10, Math.floor((highest / field.other_factor) * 10) / 10];
}

function missing(field) {
  if (field.required) return field.codes.length ? "Please choose one." : `Please enter the ${lowerFirst(field.label)}.`;
  return field.codes.length ? "Please choose one, or “Not measured”." : "Please enter a value, or tick “Not measured”.";
}

/** Return the hint for a possible value outside the range the model was made for, or null. */
export function extrapolationOf(field, value, unit = field.unit) {
  if (value === null || !field.model_range || errorOf(field, { value })) return null;
  if (within(field.model_range, value)) return null;
  const [lowest, highest] = rangeIn(unit, field, field.model_range);
  return `Extrapolated: the model was made for ${lowest} to ${highest} ${unit}.`.replace(" .", ".");
}

/** Turn a refusal's `fields` into {field name: sentence} for fields of the form, and sentences for all else. */
export function sortErrors(refused, fieldNames) {
  const beside = new Map();
  const general = [];
  for (const [path, said] of Object.entries(refused)) {
    const name = path.replace(/^record\./, "");
    if (fieldNames.includes(name)) beside.set(name, sentence(said));
    else general.push(`${name.replaceAll("_", " ")}: ${said.join(", ")}`);
  }
  return { beside, general };
}

const within = ([lowest, highest], value) => lowest <= value && value <= highest;
const lowerFirst = (text) => text.charAt(0).toLowerCase() + text.slice(1);

function sentence(said) {
  const text = said.join(", ");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
