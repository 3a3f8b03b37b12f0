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

export const toSignIn = () => location.replace("/sign-in");

export async function getJson(address) {
  const response = await request(address, { headers: { Accept: "application/json" } });
  return body(response);
}

/** Post JSON with the page's CSRF token; resolves when the app agreed. */
export async function post(address, values = {}) {
  return request(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": csrfToken() },
    body: JSON.stringify(values),
  });
}

async function request(address, options) {
  const response = await fetch(address, { ...options, cache: "no-store", redirect: "manual" }).catch(() => {
    throw new RequestError(NO_ANSWER);
  });
  if (!response.ok) throw await refusal(response);
  return response;
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
