/** The reader's place in the change log: every entry once and in order, and gaps are noticed; no document needed. */

export class ChangeReader {
  constructor(cursor = 0) {
    this.cursor = cursor;
  }

  /** Return the entries that are new here, or null when some before them are missing and have to be asked for. */
  take({ after, next_after: nextAfter, entries }) {
    if (after > this.cursor) return null;
    const fresh = entries.filter(({ sequence }) => sequence > this.cursor);
    this.cursor = Math.max(this.cursor, nextAfter);
    return fresh;
  }
}
