/** The end of a session: told ahead, and followed by a sign-in on the same page, which keeps all that was entered. */

import { byId, slot } from "./dom.js";
import { getJson, whenSignedOut } from "./http.js";
import { listenToForms, otherTabs } from "./sign_in_forms.js";

const AHEAD_MS = 3 * 60_000;
const RETRY_MS = 10_000;
const LONGEST_MS = 60 * 60_000; // longer time-outs than a month run out at once
const KEPT = "What you have entered on this page is kept.";

const dialog = byId("sign-in-again");
const banner = byId("session-banner");
let end = { at: Infinity, isIdle: false };
let timer = null;
let isOver = false;
const waiting = []; // to continue once a person is signed in again

/** Ask the app how the session is, and act on it; resolves to whether a person is signed in. */
export async function checkSession() {
  clearTimeout(timer);
  try {
    return show(await getJson("/api/session"));
  } catch (failure) {
    timer = setTimeout(check, RETRY_MS);
    throw failure;
  }
}

const check = () => checkSession().catch(() => false); // it is asked again until the app answers

function show({ account, csrf_token: csrf, seconds_left: seconds, is_idle: isIdle }) {
  document.querySelector('meta[name="csrf-token"]').content = csrf;
  if (account === null) return signedOut();
  if (account !== dialog.dataset.account) {
    location.reload(); // another person gets a page of their own, and sends nothing from this one
    return false;
  }
  const left = seconds * 1000;
  clearTimeout(timer);
  end = { at: Date.now() + left, isIdle };
  timer = setTimeout(check, Math.min(left > AHEAD_MS ? left - AHEAD_MS : left + 1_000, LONGEST_MS));
  banner.hidden = left > AHEAD_MS;
  slot(banner, "why").textContent = banner.hidden ? "" : aheadInWords(Math.max(1, Math.round(left / 60_000)), isIdle);
  const isRenewed = isOver || banner.hidden;
  isOver = false;
  if (dialog.open && isRenewed) dialog.close();
  if (waiting.length) dispatchEvent(new Event("signedin"));
  for (const goOn of waiting.splice(0)) goOn();
  return true;
}

function signedOut() {
  banner.hidden = true;
  isOver = true;
  open(Date.now() < end.at - AHEAD_MS ? "This session was ended." : overInWords());
  return false;
}

const overInWords = () => (end.isIdle ? "You were signed out because this page was not used for a while." : "Your session has reached its time limit.");

function aheadInWords(minutes, isIdle) {
  const when = `in ${minutes === 1 ? "a minute" : `${minutes} minutes`}`;
  if (isIdle) return `Nobody has used this page for a while. You will be signed out ${when}; move the mouse or press a key to stay.`;
  return `Your session reaches its time limit ${when}. Sign in again to go on. ${KEPT}`;
}

function open(why) {
  byId("sign-in-again-why").textContent = `${why} ${KEPT}`;
  dialog.dataset.over = isOver;
  if (!dialog.open) dialog.showModal();
}

/** Resolves when a person is signed in again: at once if that was done in another tab. */
function signInAgain() {
  check();
  return new Promise((goOn) => waiting.push(goOn));
}

if (dialog) {
  whenSignedOut(signInAgain);
  listenToForms(checkSession);
  byId("sign-in-early").addEventListener("click", () => open("Your session is about to end."));
  byId("signed-in-elsewhere").addEventListener("click", async () => {
    if (!(await check())) byId("sign-in-again-why").textContent = "Nobody has signed in in another tab yet.";
  });
  dialog.addEventListener("cancel", (event) => isOver && event.preventDefault());
  dialog.addEventListener("close", () => isOver && dialog.showModal()); // browsers let a second Esc through
  otherTabs.addEventListener("message", ({ data }) => {
    if (data === "out") location.replace("/sign-in");
    else check();
  });
  check();
}
