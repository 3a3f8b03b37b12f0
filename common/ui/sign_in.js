/** The sign-in page: takes the token out of the address before anything else, and trades it for a session. */

import { byId, icon } from "./dom.js";
import { post } from "./http.js";
import { tokenIn } from "./sign_in_token.js";

const fragment = location.hash;
history.replaceState(null, "", location.pathname);

const linkForm = byId("sign-in-form");
const passwordForm = byId("password-form");
const forms = [passwordForm, linkForm].filter(Boolean);
const token = byId("token");

/** Show a sentence below the fields of a form, at the field it is about; an empty one clears it. */
function showError(form, sentence, field) {
  const error = form.querySelector("[data-error]");
  error.replaceChildren(...(sentence ? [icon("warning"), document.createTextNode(sentence)] : []));
  error.hidden = !sentence;
  for (const input of form.querySelectorAll("input")) input.setAttribute("aria-invalid", String(Boolean(sentence) && input === field));
  field?.focus();
  field?.select();
}

function showWorking(working) {
  byId("sign-in-working").hidden = !working;
  for (const form of forms) form.hidden = working;
}

/** Post what proves who somebody is; a refusal is shown in the form it came from, at `field`. */
async function signIn(form, credentials, field) {
  forms.forEach((each) => showError(each, ""));
  showWorking(true);
  try {
    await post("/sign-in", credentials);
    location.replace("/");
  } catch (failure) {
    showWorking(false);
    showError(form, failure.message, field);
  }
}

function signInWithLink(text) {
  const found = tokenIn(text);
  if (found) signIn(linkForm, { token: found }, token);
  else showError(linkForm, "Please paste the link or the token.", token);
}

linkForm.addEventListener("submit", (event) => {
  event.preventDefault();
  signInWithLink(token.value);
});
passwordForm?.addEventListener("submit", (event) => {
  event.preventDefault();
  const [name, password] = [byId("name"), byId("password")];
  const missing = [name, password].find(({ value }) => !value);
  if (missing) showError(passwordForm, missing === name ? "Please enter your name." : "Please enter your password.", missing);
  else signIn(passwordForm, { name: name.value, password: password.value }, password);
});
addEventListener("hashchange", () => {
  const hash = location.hash;
  history.replaceState(null, "", location.pathname);
  signInWithLink(hash);
});

for (const form of forms) form.querySelector("[type=submit]").disabled = false; // from now on they are heard
if (/[#&]token=/.test(fragment)) signInWithLink(fragment);
else if (document.querySelector("[data-signed-in]")) location.replace("/"); // not by the server, which sees no fragment
else forms[0].querySelector("input").focus();
