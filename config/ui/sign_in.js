/** The sign-in page: takes the token out of the address before anything else, and trades it for a session. */

import { byId, icon } from "./dom.js";
import { post } from "./http.js";
import { tokenIn } from "./sign_in_token.js";

const fragment = location.hash;
history.replaceState(null, "", location.pathname);

const form = byId("sign-in-form");
const field = byId("token");
const error = byId("sign-in-error");

function showError(sentence) {
  error.replaceChildren(...(sentence ? [icon("warning"), document.createTextNode(sentence)] : []));
  error.hidden = !sentence;
  field.setAttribute("aria-invalid", String(Boolean(sentence)));
  field.setAttribute("aria-describedby", sentence ? "sign-in-error sign-in-help" : "sign-in-help");
}

function showWorking(working) {
  byId("sign-in-working").hidden = !working;
  form.hidden = working;
}

async function signIn(token) {
  if (!token) {
    showError("Please paste the link or the token.");
    field.focus();
    return;
  }
  showError("");
  showWorking(true);
  try {
    await post("/sign-in", { token });
    location.replace("/");
  } catch (failure) {
    showWorking(false);
    showError(failure.message);
    field.focus();
    field.select();
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(tokenIn(field.value));
});
addEventListener("hashchange", () => {
  const token = tokenIn(location.hash);
  history.replaceState(null, "", location.pathname);
  signIn(token);
});

if (/[#&]token=/.test(fragment)) signIn(tokenIn(fragment));
else field.focus();
