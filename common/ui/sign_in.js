/** The sign-in page: takes the token out of the address before anything else, and trades it for a session. */

import { listenToForms } from "./sign_in_forms.js";

const fragment = takeFragment();
const signInWithLink = listenToForms(() => {
  location.replace("/");
  return new Promise(() => {}); // "Signing in …" stays until the page is there
});
addEventListener("hashchange", () => signInWithLink(takeFragment()));

if (/[#&]token=/.test(fragment)) signInWithLink(fragment);
else if (document.querySelector("[data-signed-in]")) location.replace("/"); // not by the server, which sees no fragment
else document.querySelector(".sign-in input").focus();

function takeFragment() {
  const { hash } = location;
  history.replaceState(null, "", location.pathname);
  return hash;
}
