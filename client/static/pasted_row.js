/** Rows that are pasted: telling them from other text, and what is known of one once its questions are answered. */

/** Tell whether a text is a row of a table: with a tab, below another row, or of as many cells as UCI's rows have. */
export function isRow(text) {
  const lines = text.split(/[\r\n]+/).filter((line) => line.trim());
  if (lines.length !== 1) return lines.length > 1 && /[,;\t]/.test(lines[0]);
  return lines[0].trim().includes("\t") || [",", ";"].some((mark) => [13, 14].includes(lines[0].split(mark).length));
}

/** Return the reading that was right at this desk before, -1 if that is not known. `names` are those that could be meant. */
export function likely({ readings }, names) {
  const fitting = readings.map((reading) => reading.names.some((name) => names.includes(name)));
  return fitting.filter(Boolean).length === 1 ? fitting.indexOf(true) : -1;
}

/** Return which names could be meant now that a reading was chosen. */
export function narrowed({ names }, before) {
  const both = names.filter((name) => before.includes(name));
  return both.length ? both : names;
}

/** Return `{ record, entered }` of a row; `answers` are the readings that were chosen, in the order of its questions. */
export function answered({ record, entered, questions }, answers) {
  const right = questions.map(({ readings }, index) => readings[answers[index]]).filter(Boolean);
  return {
    record: Object.assign({}, record, ...right.map((reading) => reading.record)),
    entered: Object.assign({}, entered, ...right.map((reading) => reading.entered)),
  };
}
