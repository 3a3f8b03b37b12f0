/** Sentences about several servers on one record, for operators; no document needed. */

import { count, plural } from "/ui/format.js";

/** Say what one server has connected, and how far it is behind the record. */
export function factsInWords({ answers, connections, behind, leads }) {
  if (!answers) return ["No heartbeat: stopped, or cut off from the database"];
  const facts = [plural(connections, "connection"), behind ? `${count(behind)} ${behind === 1 ? "entry" : "entries"} behind` : "up to date"];
  return leads ? [...facts, "leads"] : facts;
}

/** Say what somebody has to do about the servers that answer: those that score with different models; or nothing. */
export function troubleInWords(servers) {
  const versions = new Set(servers.filter(({ answers }) => answers).map(({ model }) => model));
  if (versions.size < 2) return [];
  return [`The servers score with different models (${[...versions].sort().join(", ")}). Activate the same version for all of them, unless an update is under way.`];
}
