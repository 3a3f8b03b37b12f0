/** What every page's frame does: color scheme, signing out, the end of a session, and times that grow older. */

import { byId, icon } from "./dom.js";
import { ago } from "./format.js";
import { post } from "./http.js";
import { checkSession } from "./session.js";
import { otherTabs } from "./sign_in_forms.js";

const SCHEMES = [
  { name: "system", icon: "theme", text: "Theme: system" },
  { name: "light", icon: "sun", text: "Theme: light" },
  { name: "dark", icon: "moon", text: "Theme: dark" },
];
const AGE_REFRESH_MS = 15_000;
const ACTIVITY_MS = 60_000;

const themeSwitch = byId("theme-switch");
const currentScheme = () => Math.max(0, SCHEMES.findIndex(({ name }) => name === document.documentElement.dataset.theme));

function showScheme() {
  const scheme = SCHEMES[currentScheme()];
  themeSwitch.replaceChildren(icon(scheme.icon));
  themeSwitch.title = scheme.text;
  themeSwitch.setAttribute("aria-label", `${scheme.text}. Change.`);
}

themeSwitch.addEventListener("click", () => {
  const { name } = SCHEMES[(currentScheme() + 1) % SCHEMES.length];
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  localStorage.setItem("theme", name);
  showScheme();
});
showScheme();

const signOut = byId("sign-out");
signOut?.addEventListener("click", async () => {
  signOut.disabled = true;
  try {
    await post("/sign-out");
    otherTabs.postMessage("out");
    location.replace("/sign-in");
  } catch (failure) {
    signOut.disabled = false;
    byId("announcer").textContent = failure.message;
    signOut.title = failure.message;
  }
});
if (signOut) signOut.disabled = false; // from now on a click is heard

/** Report a person's activity to the app from time to time: what a page requests automatically does not keep it signed in. */
let toldAt = performance.now();
async function tellActivity() {
  if (performance.now() - toldAt < ACTIVITY_MS) return;
  toldAt = performance.now();
  await post("/activity").then(checkSession).catch(() => {}); // reported again with the next activity
}
if (signOut) {
  for (const sign of ["pointerdown", "pointermove", "keydown", "wheel"]) addEventListener(sign, tellActivity, { passive: true });
}

setInterval(() => {
  for (const time of document.querySelectorAll("time[data-ago]")) time.textContent = ago(time.dateTime);
}, AGE_REFRESH_MS);
