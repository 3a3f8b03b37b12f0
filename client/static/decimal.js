/** Reading a number as people type it: exactly, or with the reason why not; no document needed. */

const NUMBER = /^([-+\u2212\u2013]?)([0-9]+(?:[.,][0-9]+)?|[.,][0-9]+)\s*([^0-9\s.,].*)?$/;
const GROUPED = /^[1-9][0-9]{0,2}[.,][0-9]{3}$/;
const EXAMPLE = "such as 5.8 or 5,8";

/** How people write the units; spaces, points and capitals do not count. */
const UNITS = {
  years: ["y", "yr", "yrs", "yo", "year", "years"],
  "mm Hg": ["mmhg"],
  "mg/dL": ["mg/dl"],
  "mmol/L": ["mmol/l"],
  "beats/min": ["bpm", "/min", "beats/min", "beatsperminute"],
  mm: ["mm"],
};

/**
 * Return `{ value, unit }`, `unit` as far as one was typed, or `{ error }`, a sentence; both are null for no text.
 *
 * Comma and point are the same decimal sign. Nothing is dropped or guessed: a number input reads "0,8" as 8 and "12/8"
 * as 128. `field` describes the field; with whole numbers in mind, "1,234" may be a thousand.
 */
export function readNumber(text, { label, unit, other_unit: other = null, step = 1 }) {
  const typed = widthless(text);
  if (!typed) return { value: null, error: null };
  const refuse = (why) => ({ value: null, error: `${label} ${why}` });
  const [, sign, digits, typedUnit] = NUMBER.exec(typed) ?? [];
  if (!digits) {
    if (/[^\P{Nd}0-9]/u.test(typed)) return refuse("must be written with the digits 0 to 9.");
    return refuse(`must be one number, ${EXAMPLE}, without thousands separators or other characters.`);
  }
  const known = typedUnit === undefined ? null : unitOf(typedUnit);
  if (typedUnit !== undefined && known !== unit && (!known || known !== other)) {
    return refuse(`must be one number in ${[unit, other].filter(Boolean).join(" or ")}, ${EXAMPLE}; “${typedUnit.slice(0, 20)}” is not understood.`);
  }
  if (step === 1 && GROUPED.test(digits)) {
    return refuse(`could be ${digits.replace(/[.,]/, "")} or ${digits.replace(",", ".")}: please write it without thousands separators.`);
  }
  if (step < 1 && /^0[0-9]+$/.test(digits)) {
    return refuse(`could be ${Number(digits)} or 0.${digits.slice(1)}: please write it with a decimal sign, or without the leading zero.`);
  }
  const size = Number(digits.replace(",", "."));
  return { value: sign && sign !== "+" ? -size : size, unit: known, error: null };
}

/**
 * Return a number that was read as `{ value, entered, error }`: `value` in the field's own unit, to a tenth if that is not
 * the one it was `entered` in, which is null otherwise. A typed unit counts before the one that is `chosen` at the field.
 */
export function inOwnUnit({ unit, other_factor: factor }, { value, unit: typed, error }, chosen) {
  const meant = typed ?? chosen ?? unit;
  if (value === null || meant === unit) return { value, entered: null, error };
  return { value: Number((value * factor).toFixed(1)), entered: { value, unit: meant }, error };
}

function unitOf(typed) {
  const plain = typed.toLowerCase().replace(/[\s.]/g, "");
  return Object.keys(UNITS).find((unit) => UNITS[unit].includes(plain)) ?? null;
}

/** Write full-width forms, as East Asian keyboards type them, as usual; leave out marks without width at the ends. */
function widthless(text) {
  const usual = text.replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0));
  return usual.replace(/^[\p{Cf}\s]+|[\p{Cf}\s]+$/gu, "");
}
