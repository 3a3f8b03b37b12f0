/** Checking a form's values against the field descriptions; no document needed. */

const numberText = (value) => String(Number(value));

/** Return what is wrong with one entry, or null. `entry` is {value, notMeasured, error}; its own error comes first. */
export function errorOf(field, { value, notMeasured, error }) {
  if (notMeasured) return field.required ? `${field.label} is required.` : null;
  if (error) return error;
  if (value === null) return missing(field);
  if (field.possible_range && !within(field.possible_range, value)) {
    const [lowest, highest] = field.possible_range.map(numberText);
    return `${field.label} must be between ${lowest} and ${highest} ${field.unit}.`.replace(" .", ".");
  }
  return null;
}

function missing(field) {
  if (field.required) return field.codes.length ? "Please choose one." : `Please enter the ${lowerFirst(field.label)}.`;
  return field.codes.length ? "Please choose one, or “Not measured”." : "Please enter a value, or tick “Not measured”.";
}

/** Return the hint for a possible value outside the range the model was made for, or null. */
export function extrapolationOf(field, value) {
  if (value === null || !field.model_range || errorOf(field, { value })) return null;
  if (within(field.model_range, value)) return null;
  const [lowest, highest] = field.model_range.map(numberText);
  return `Extrapolated: the model was made for ${lowest} to ${highest} ${field.unit}.`.replace(" .", ".");
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
