/** What every page's frame does: color scheme, signing out, and the end of a session. */

import { announce, byId, icon } from "./dom.js";
import { post } from "./http.js";
import { checkSession } from "./session.js";
import { otherTabs } from "./sign_in_forms.js";

const ICONS = { system: "theme", light: "sun", dark: "moon" };
const SCHEMES = Object.keys(ICONS);
const ACTIVITY_MS = 60_000;

const themeSwitch = byId("theme-switch");
const current = () => document.documentElement.dataset.theme ?? "system";

function showScheme() {
  themeSwitch.replaceChildren(icon(ICONS[current()]));
  themeSwitch.title = `Theme: ${current()}`;
  themeSwitch.setAttribute("aria-label", `Theme: ${current()}. Change.`);
}

themeSwitch.addEventListener("click", () => {
  const name = SCHEMES[(SCHEMES.indexOf(current()) + 1) % SCHEMES.length];
  document.documentElement.dataset.theme = name;
  localStorage.setItem("theme", name);
  showScheme();
});
showScheme();

async function leave() {
  signOut.disabled = true;
  try {
    await post("/sign-out");
    otherTabs.postMessage("out");
    location.replace("/sign-in");
  } catch (failure) {
    signOut.disabled = false;
    signOut.title = failure.message;
    announce(failure.message);
  }
}

/** Report a person's activity to the app from time to time: what a page requests automatically does not keep it signed in. */
let toldAt = performance.now();
async function tellActivity() {
  if (performance.now() - toldAt < ACTIVITY_MS) return;
  toldAt = performance.now();
  await post("/activity").then(checkSession).catch(() => {}); // reported again with the next activity
}
const signOut = byId("sign-out");
if (signOut) {
  for (const sign of ["pointerdown", "pointermove", "keydown", "wheel"]) addEventListener(sign, tellActivity, { passive: true });
  signOut.addEventListener("click", leave);
  signOut.disabled = false; // from now on a click is heard
}
