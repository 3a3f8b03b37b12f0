/** The client apps as the server sees them. */

import { byId, copyOf, element, icon, slot } from "/ui/dom.js";
import { ago, count, fullTime, plural } from "/ui/format.js";
import { paced } from "./pace.js";

const DRAW_MS = 500;

export class ClientList {
  #statuses = new Map();
  #byClient = {};
  #drawSoon = paced(() => this.#draw(), DRAW_MS);

  /** Take the whole list, as after a reconnect. */
  showAll(statuses) {
    this.#statuses = new Map(statuses.map((status) => [status.client_id, status]));
    this.#drawSoon();
  }

  showOne(status) {
    this.#statuses.set(status.client_id, status);
    this.#drawSoon();
  }

  showTotals({ by_client: byClient }) {
    this.#byClient = byClient;
    this.#drawSoon();
  }

  #draw() {
    const names = [...this.#statuses.keys()].sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
    byId("clients").replaceChildren(...names.map((name) => item(this.#statuses.get(name), this.#byClient[name] ?? 0)));
    showChoices(names);
  }
}

function item({ client_id: id, connected, last_seen: seen, waiting }, predictions) {
  const made = copyOf("client-template");
  const tone = connected ? "good" : "bad";
  const state = slot(made, "state");
  state.append(icon(tone), connected ? "connected" : seen ? "away" : "not seen yet");
  state.dataset.tone = connected ? "good" : seen ? "bad" : "none";
  slot(made, "name").textContent = id;
  slot(made, "facts").append(
    element("span", { textContent: plural(predictions, "prediction") }),
    element("span", { className: waiting ? "is-waiting" : "", textContent: `${count(waiting)} waiting` }),
    ...(seen ? [element("span", {}, "seen ", ageOf(seen))] : []),
  );
  return made;
}

function ageOf(seen) {
  const time = element("time", { dateTime: seen, title: fullTime(seen), textContent: ago(seen) });
  time.dataset.ago = "";
  return time;
}

/** Offer every client in the filter, keeping the choice. */
function showChoices(names) {
  const select = byId("filter-client");
  const known = [...select.options].map(({ value }) => value);
  for (const name of names) if (!known.includes(name)) select.append(element("option", { value: name, textContent: name }));
}
