/** Reading a decimal number as people type it; no document needed. */

const DECIMAL = /^[-\u2212]?(?:[0-9]+(?:[.,][0-9]+)?|[.,][0-9]+)$/;

/**
 * Return the number that a text is, or null if it is not exactly one.
 *
 * Comma and point are the same decimal sign, and the minus of the keyboard and that of print the same minus. Nothing
 * is dropped or guessed: a number input reads "0,8" as 8 and "12/8" as 128.
 */
export function readDecimal(text) {
  const typed = text.trim();
  return DECIMAL.test(typed) ? Number(typed.replace("\u2212", "-").replace(",", ".")) : null;
}
