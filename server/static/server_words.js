/** Sentences about several servers on one record, for operators; no document needed. */

import { count, plural, shortTime } from "/ui/format.js";

/** Say what one server has connected, and how far it is behind the record. */
export function factsInWords({ answers, connections, behind, leads }) {
  if (!answers) return ["No heartbeat: stopped, or cut off from the database"];
  const facts = [plural(connections, "connection"), behind ? `${count(behind)} ${behind === 1 ? "entry" : "entries"} behind` : "up to date"];
  return leads ? [...facts, "leads"] : facts;
}

/** Say what operators have to know of the servers that answer: that they score with different models; or nothing. */
export function troubleInWords(servers) {
  const versions = new Set(servers.filter(({ answers }) => answers).map(({ model }) => model));
  if (versions.size < 2) return [];
  return [`The servers score with different models (${[...versions].sort().join(", ")}). Activate the same version for all of them, unless an update is under way.`];
}

/** Say what the record lacks since the database failed over or was restored, and what of it is there again. */
export function lossInWords({ noticed_at: at, entries, predictions, stored_again: again }) {
  const lost = `The database failed over or was restored at ${shortTime(at)}: at least ${plural(entries, "log entry", "log entries")} were lost.`;
  return predictions ? `${lost} Of the ${plural(predictions, "prediction")} known to be among them, client apps have sent ${count(again)} again.` : lost;
}
