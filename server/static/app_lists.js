/** The client apps, and the servers where several share the record, each with its state and some facts. */

import { byId, copyOf, element, fillSlots, showPill, showTrouble, slot, timeElement } from "/ui/dom.js";
import { ago, plural } from "/ui/format.js";
import { paced } from "/ui/pace.js";
import { waitingInWords } from "./client_words.js";
import { factsInWords, lossInWords, troubleInWords } from "./server_words.js";

const DRAW_MS = 500;
const AGE_REFRESH_MS = 15_000;

const inOrder = (name, other) => name.localeCompare(other, "en", { numeric: true });

let told = { clients: [], servers: null, lost: null };
let byClient = {};

const drawSoon = paced(() => {
  const clients = told.clients.toSorted((one, other) => inOrder(one.client_id, other.client_id));
  byId("clients").replaceChildren(...clients.map(clientItem));
  offerClients(clients.map(({ client_id: id }) => id));
  byId("servers-card").hidden = !told.servers;
  byId("servers").replaceChildren(...(told.servers ?? []).map(serverItem));
}, DRAW_MS);
setInterval(drawSoon, AGE_REFRESH_MS); // times, and numbers that nobody confirms, grow old

/** Show what the server tells: of the client apps, of the servers if there are several, and of what the record has lost. */
export function showApps(status) {
  told = status;
  const { servers, lost } = status;
  showTrouble(byId("servers-banner"), [...troubleInWords(servers ?? []), ...(lost ? [lossInWords(lost)] : [])]);
  drawSoon();
}

/** Show how many predictions each client app has. */
export function showClientTotals(counted) {
  byClient = counted;
  drawSoon();
}

/** Offer clients in the filter beside those it has, in order, keeping the choice. */
export function offerClients(names) {
  const select = byId("filter-client");
  for (const name of names) {
    const options = [...select.options].slice(1); // after "all"
    if (options.some(({ value }) => value === name)) continue;
    select.add(element("option", { value: name }, name), options.find(({ value }) => inOrder(name, value) < 0));
  }
}

function clientItem(status) {
  const { client_id: id, connected, last_seen: seen } = status;
  const away = seen ? { tone: "bad", label: "away" } : { tone: "none", sign: "bad", label: "not seen yet" };
  const waiting = waitingInWords(status);
  return item(id, connected ? { tone: "good", label: "connected" } : away, [
    plural(byClient[id] ?? 0, "prediction"),
    ...(waiting ? [element("span", { className: status.waiting ? "is-waiting" : "" }, waiting)] : []),
    ...(seen ? [["seen ", timeElement(seen, ago(seen))]] : []),
  ]);
}

function serverItem(server) {
  const { id, started_at: since, model, answers } = server;
  const state = answers ? { tone: "good", label: "running" } : { tone: "bad", label: "not answering" };
  return item(id, state, [...factsInWords(server), `model ${model}`, ["started ", timeElement(since, ago(since))]]);
}

function item(name, state, facts) {
  const made = copyOf("client-template");
  showPill(slot(made, "state"), state);
  fillSlots(made, { name, facts: facts.map((fact) => element("span", {}, ...[fact].flat())) });
  return made;
}
