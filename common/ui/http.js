/** Asking this page's own app over HTTP; every failure is a `RequestError` whose message is a sentence. */

const NO_ANSWER = "The app does not answer at the moment. Please try again.";
const NO_SENSE = "The app gave an answer this page does not understand. Please load the page again.";

export class RequestError extends Error {
  constructor(message, { status = 0, fields = {} } = {}) {
    super(message);
    this.status = status;
    this.fields = fields;
  }
}

const csrfToken = () => document.querySelector('meta[name="csrf-token"]').content;

let signInHere = null;
const held = new Set(); // addresses whose answers wait for a sign-in; what is asked now and then waits once

/** Let `signIn()` ask to sign in on this page; it resolves when a person has. */
export const whenSignedOut = (signIn) => (signInHere = signIn);

/** Ask for a sign-in: on this page where that is possible, and otherwise by leaving it. */
export const toSignIn = () => (signInHere ? signInHere() : location.replace("/sign-in"));

export const getJson = async (address) => body(await request(address, () => ({ headers: { Accept: "application/json" } })));

export const post = (address, values = {}) => send("POST", address, values);

export const postForJson = async (address, values) => body(await post(address, values));

/** Send JSON with the page's CSRF token; resolves when the app agreed. `more()` returns further options of `fetch`. */
export async function send(method, address, values, more = () => ({})) {
  return request(address, () => ({
    ...more(),
    method,
    headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": csrfToken() },
    body: JSON.stringify(values),
  }));
}

async function request(address, options) {
  const ask = () => fetch(address, { ...options(), cache: "no-store", redirect: "manual" });
  try {
    let response = await ask();
    if (response.status === 401 && signInHere && address !== "/sign-in" && !held.has(address)) {
      held.add(address);
      await signInHere().finally(() => held.delete(address));
      response = await ask();
    }
    if (response.ok) return response;
    throw await refusal(response);
  } catch (failure) {
    throw failure instanceof RequestError ? failure : new RequestError(NO_ANSWER);
  }
}

async function refusal(response) {
  if (response.type === "opaqueredirect") return new RequestError("Please sign in.", { status: 401 });
  const said = await response.json().catch(() => ({}));
  const error = said.error ?? {};
  return new RequestError(error.message ?? NO_ANSWER, { status: response.status, fields: error.fields });
}

async function body(response) {
  return response.json().catch(() => {
    throw new RequestError(NO_SENSE, { status: response.status });
  });
}
