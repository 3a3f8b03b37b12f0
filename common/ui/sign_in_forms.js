/** The forms that sign in, on the sign-in page and in the dialog of every other: with name and password, or a link. */

import { byId, warn } from "./dom.js";
import { post } from "./http.js";
import { tokenIn } from "./sign_in_token.js";

const MISSING = {
  name: "Please enter your name.",
  password: "Please enter your password.",
  token: "Please paste the link or the token.",
};

/** Between the pages of one app in one browser: "in" after a sign-in, "out" after a sign-out. */
export const otherTabs = new BroadcastChannel("session");

/** Listen to the forms of the page; `signedIn()` is called when the app agreed. Return what signs in with a link. */
export function listenToForms(signedIn) {
  const forms = [...document.querySelectorAll("#password-form, #sign-in-form")];

  /** Post what proves who a person is, by the names of the inputs; what is missing or refused is said in the form. */
  async function signIn(form, credentials) {
    const inputs = [...form.querySelectorAll("input")];
    const missing = inputs.find(({ name }) => !credentials[name]);
    if (missing) return showError(form, MISSING[missing.name], missing);
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
      showError(form, failure.message, inputs.at(-1));
    }
  }

  function showWorking(working) {
    byId("sign-in-working").hidden = !working;
    for (const form of forms) form.hidden = working;
  }

  for (const form of forms) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { token, ...person } = Object.fromEntries(new FormData(form));
      signIn(form, token === undefined ? person : { token: tokenIn(token) });
    });
    form.querySelector("[type=submit]").disabled = false; // from now on they are heard
  }
  return (text) => signIn(byId("sign-in-form"), { token: tokenIn(text) });
}

/** Show a sentence below the fields of a form, at the field it is about; an empty one clears it. */
function showError(form, sentence, field) {
  warn(form.querySelector("[data-error]"), sentence);
  for (const input of form.querySelectorAll("input")) input.setAttribute("aria-invalid", String(Boolean(sentence) && input === field));
  field?.focus();
  field?.select();
}
