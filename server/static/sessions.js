/** The administrators' page of sessions: shows who is signed in, and ends a session. */

import { announce, byId, fill, copyOf, slot, timeElement } from "/ui/dom.js";
import { plural } from "/ui/format.js";
import { getJson, post } from "/ui/http.js";

const REFRESH_MS = 15_000;

const rows = byId("session-rows");
const note = byId("sessions-note");

async function load() {
  try {
    show((await getJson("/api/sessions")).sessions);
    complain("");
  } catch (failure) {
    complain(failure);
  }
}

function show(sessions) {
  const focused = document.activeElement?.dataset.session;
  rows.replaceChildren(...sessions.map(row));
  byId("sessions").setAttribute("aria-busy", "false");
  byId("sessions-count").textContent = plural(sessions.length, "session");
  if (focused) rows.querySelector(`[data-session="${CSS.escape(focused)}"]`)?.focus();
}

function row(session) {
  const copy = copyOf("session-template");
  fill(copy, "name", session.name);
  slot(copy, "this").hidden = !session.is_this_one;
  fill(copy, "role", session.role);
  for (const [name, iso] of [["since", session.began_at], ["active", session.last_active_at], ["ends", session.ends_at]]) {
    slot(copy, name).replaceChildren(timeElement(iso));
  }
  fill(copy, "address", session.address);
  fill(copy, "whose", session.name);
  const button = slot(copy, "end");
  button.dataset.session = session.id;
  button.addEventListener("click", () => end(session, button));
  return copy;
}

async function end(session, button) {
  button.disabled = true;
  try {
    await post(`/api/sessions/${encodeURIComponent(session.id)}/end`);
    if (session.is_this_one) return location.replace("/sign-in");
    announce(`The session of ${session.name} has ended.`);
    await load();
    byId("main").focus();
  } catch (failure) {
    button.disabled = false;
    complain(failure);
  }
}

function complain(failure) {
  note.textContent = failure.message ?? "";
  note.hidden = !failure;
}

load();
setInterval(load, REFRESH_MS);
