/** The client apps as the server sees them. */

import { byId, copyOf, element, icon, slot } from "/ui/dom.js";
import { ago, fullTime, plural } from "/ui/format.js";
import { paced } from "/ui/pace.js";
import { waitingInWords } from "./client_words.js";

const DRAW_MS = 500;
const AGE_REFRESH_MS = 15_000;

const inOrder = (name, other) => name.localeCompare(other, "en", { numeric: true });

let statuses = [];
let byClient = {};

const drawSoon = paced(() => {
  byId("clients").replaceChildren(...statuses.map((status) => item(status, byClient[status.client_id] ?? 0)));
  offerClients(statuses.map(({ client_id: id }) => id));
}, DRAW_MS);
setInterval(drawSoon, AGE_REFRESH_MS); // numbers that nobody confirms grow old

export function showClients(told) {
  statuses = [...told].sort((one, other) => inOrder(one.client_id, other.client_id));
  drawSoon();
}

/** Show how many predictions each client app has. */
export function showClientTotals(counted) {
  byClient = counted;
  drawSoon();
}

function item(status, predictions) {
  const { client_id: id, connected, last_seen: seen } = status;
  const made = copyOf("client-template");
  const tone = connected ? "good" : "bad";
  const state = slot(made, "state");
  state.append(icon(tone), connected ? "connected" : seen ? "away" : "not seen yet");
  state.dataset.tone = connected ? "good" : seen ? "bad" : "none";
  slot(made, "name").textContent = id;
  const waiting = waitingInWords(status);
  slot(made, "facts").append(
    element("span", { textContent: plural(predictions, "prediction") }),
    ...(waiting ? [element("span", { className: status.waiting ? "is-waiting" : "", textContent: waiting })] : []),
    ...(seen ? [element("span", {}, "seen ", ageOf(seen))] : []),
  );
  return made;
}

/** Return how long ago a time was, kept up to date. */
export function ageOf(seen) {
  const time = element("time", { dateTime: seen, title: fullTime(seen), textContent: ago(seen) });
  time.dataset.ago = "";
  return time;
}

/** Offer clients in the filter beside those it has, in order, keeping the choice. */
export function offerClients(names) {
  const select = byId("filter-client");
  for (const name of names) {
    const options = [...select.options].slice(1); // after "all"
    if (options.some(({ value }) => value === name)) continue;
    select.add(element("option", { value: name, textContent: name }), options.find(({ value }) => inOrder(name, value) < 0));
  }
}
