/** How many patients wait at a client app, in words; no document needed. */

import { clockTime, count, shortTime } from "/ui/format.js";

const CONFIRMED_MS = 30_000; // a connected client app says its number every 20 s
const DAY_MS = 86_400_000;

/** Say how many patients wait, and since when nobody has confirmed that; null if the client app never said. */
export function waitingInWords({ connected, waiting, waiting_at: at }, now = Date.now()) {
  if (waiting === null) return null;
  const age = now - new Date(at).getTime();
  if (connected && age < CONFIRMED_MS) return `${count(waiting)} waiting`;
  return `${count(waiting)} waiting at ${age < DAY_MS ? clockTime(at) : shortTime(at)}`;
}
