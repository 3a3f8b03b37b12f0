/** The forms that sign in, on the sign-in page and in the dialog of every other: with name and password, or a link. */

import { byId, icon } from "./dom.js";
import { post } from "./http.js";
import { tokenIn } from "./sign_in_token.js";

/** Between the pages of one app in one browser: "in" after a sign-in, "out" after a sign-out. */
export const otherTabs = new BroadcastChannel("session");

/** Listen to the forms of the page; `signedIn()` is called when the app agreed. Return what signs in with a link. */
export function listenToForms(signedIn) {
  const [linkForm, passwordForm, token] = [byId("sign-in-form"), byId("password-form"), byId("token")];
  const forms = [passwordForm, linkForm].filter(Boolean);

  /** Post what proves who a person is; a refusal is shown in the form it came from, at `field`. */
  async function signIn(form, credentials, field) {
    forms.forEach((each) => showError(each, ""));
    showWorking(true);
    try {
      await post("/sign-in", credentials);
      otherTabs.postMessage("in");
      await signedIn();
      forms.forEach((each) => each.reset());
      showWorking(false);
    } catch (failure) {
      showWorking(false);
      showError(form, failure.message, field);
    }
  }

  function showWorking(working) {
    byId("sign-in-working").hidden = !working;
    for (const form of forms) form.hidden = working;
  }

  function withLink(text) {
    const found = tokenIn(text);
    if (found) signIn(linkForm, { token: found }, token);
    else showError(linkForm, "Please paste the link or the token.", token);
  }

  linkForm.addEventListener("submit", (event) => {
    event.preventDefault();
    withLink(token.value);
  });
  passwordForm?.addEventListener("submit", (event) => {
    event.preventDefault();
    const [name, password] = [byId("name"), byId("password")];
    const missing = [name, password].find(({ value }) => !value);
    if (missing) showError(passwordForm, missing === name ? "Please enter your name." : "Please enter your password.", missing);
    else signIn(passwordForm, { name: name.value, password: password.value }, password);
  });
  for (const form of forms) form.querySelector("[type=submit]").disabled = false; // from now on they are heard
  return withLink;
}

/** Show a sentence below the fields of a form, at the field it is about; an empty one clears it. */
function showError(form, sentence, field) {
  const error = form.querySelector("[data-error]");
  error.replaceChildren(...(sentence ? [icon("warning"), document.createTextNode(sentence)] : []));
  error.hidden = !sentence;
  for (const input of form.querySelectorAll("input")) input.setAttribute("aria-invalid", String(Boolean(sentence) && input === field));
  field?.focus();
  field?.select();
}
