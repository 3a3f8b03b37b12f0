/** The administrators' page of sessions: shows who is signed in, and ends a session. */

import { announce, byId, copyOf, fill, fillSlots, KeyedList, slot, timeElement } from "/ui/dom.js";
import { plural } from "/ui/format.js";
import { getJson, post } from "/ui/http.js";

const REFRESH_MS = 15_000;

const list = new KeyedList(byId("session-rows"), { keyOf: ({ id }) => id, make: makeRow, update: showSession });

function load() {
  return getJson("/api/sessions").then(({ sessions }) => {
    list.show(sessions);
    byId("sessions").setAttribute("aria-busy", "false");
    byId("sessions-count").textContent = plural(sessions.length, "session");
    fill(byId("sessions-note"));
  }, complain);
}

function makeRow(session) {
  const row = copyOf("session-template");
  slot(row, "end").addEventListener("click", ({ currentTarget: button }) => end(session, button));
  return row;
}

function showSession(row, session) {
  slot(row, "this").hidden = !session.is_this_one;
  fillSlots(row, {
    name: session.name,
    role: session.role,
    since: timeElement(session.began_at),
    active: timeElement(session.last_active_at),
    ends: timeElement(session.ends_at),
    address: session.address,
    whose: session.name,
  });
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

function complain({ message }) {
  fill(byId("sessions-note"), message);
}

load();
setInterval(load, REFRESH_MS);
