/** The servers that share the record, hidden where there is only one, on SQLite; and what the record has lost. */

import { byId, copyOf, element, icon, showTrouble, slot } from "/ui/dom.js";
import { ageOf } from "./client_list.js";
import { factsInWords, lossInWords, troubleInWords } from "./server_words.js";

export function showServers({ servers, lost }) {
  byId("servers-card").hidden = !servers;
  byId("servers").replaceChildren(...(servers ?? []).map(item));
  showTrouble(byId("servers-banner"), [...troubleInWords(servers ?? []), ...(lost ? [lossInWords(lost)] : [])]);
}

function item(server) {
  const { id, started_at: since, model, answers } = server;
  const made = copyOf("client-template");
  const state = slot(made, "state");
  state.append(icon(answers ? "good" : "bad"), answers ? "running" : "not answering");
  state.dataset.tone = answers ? "good" : "bad";
  slot(made, "name").textContent = id;
  const facts = [...factsInWords(server), `model ${model}`].map((text) => element("span", { textContent: text }));
  slot(made, "facts").append(...facts, element("span", {}, "started ", ageOf(since)));
  return made;
}
