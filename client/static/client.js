/** The clinician's page: form, result and history of one client app. */

import "/ui/prediction_view.js";
import { announce, byId, element } from "/ui/dom.js";
import { readFields } from "/ui/fields.js";
import { getJson, RequestError, toSignIn } from "/ui/http.js";
import { connect } from "/ui/live_socket.js";
import { PatientForm } from "./patient_form.js";
import { HistoryPanel } from "./history_panel.js";
import { LinkState } from "./link_state.js";
import { ResultPanel } from "./result_panel.js";
import { Submitter } from "./submission.js";

const fields = readFields();
const link = new LinkState();
const result = new ResultPanel(fields, { onReuse: reuse });
const history = new HistoryPanel({ onOpen: openEntry, onChange: (entry) => result.update(entry), onForget: (id, why) => result.forget(id, why) });
const form = new PatientForm(fields, { onSubmit: (values) => submitter.submit(values) });

const socket = connect("/", {
  probe: "/api/history?limit=1",
  onState: (state) => {
    link.showPage(state === "up");
    history.connectionIs(state);
  },
  on: {
    update: (entry) => history.take(entry),
    entry_erased: ({ request_id: id }) => history.forget(id),
    link_status: (status) => link.showLink(status),
    explanation_sentence: (sentence) => result.addSentence(sentence),
    explanation_finished: (finished) => history.explain(finished),
  },
});

const submitter = new Submitter(socket, {
  onState: showSending,
  onDelayed: (sentence) => showNote(sentence),
  onQueued: showQueued,
  onRefused: (error) => form.showRefusal(error),
});

function showSending(sending) {
  const button = byId("analyze");
  button.disabled = sending;
  showNote("");
  const text = socket.connected ? "Sending …" : "Waiting for the connection …";
  button.replaceChildren(...(sending ? [element("span", { className: "spinner", "aria-hidden": "true" }), text] : ["Analyze Patient Data"]));
}

function showQueued({ request_id, patient_reference, record }, outboxNumber) {
  const entry = {
    request_id,
    patient_reference,
    record,
    outbox_number: outboxNumber,
    entered_at: new Date().toISOString(),
    state: "queued",
    prediction: null,
    explanation: null,
    error: null,
  };
  const current = history.take(entry);
  if (!current) return;
  result.show(current);
  history.mark(request_id);
  result.bringIntoView();
  byId("analyze").focus({ preventScroll: true });
}

function openEntry(entry) {
  result.show(entry);
  result.moveFocus();
}

function reuse({ patient_reference, record }) {
  replaceForm({ patient_reference, record }, "The values were copied into the form.");
  byId("entry-heading").scrollIntoView({ block: "start" });
  byId("field-patient_reference").focus({ preventScroll: true });
}

function replaceForm(values, sentence) {
  const before = form.isEmpty() ? null : form.snapshot();
  if (values) form.fill(values);
  else form.clear();
  showNote(sentence, before);
}

function showNote(sentence, before = null) {
  byId("entry-note").hidden = !sentence;
  byId("entry-note-text").textContent = sentence;
  const undo = byId("undo");
  undo.hidden = !before;
  undo.onclick = () => {
    form.restore(before);
    showNote("");
    byId("analyze").focus();
  };
}

byId("load-sample").addEventListener("click", async ({ currentTarget: button }) => {
  button.setAttribute("aria-disabled", "true");
  try {
    const { record, source } = await getJson("/api/sample");
    replaceForm({ patient_reference: null, record }, `Sample loaded: ${source}`);
  } catch (failure) {
    if (!(failure instanceof RequestError)) throw failure;
    if (failure.status === 401) return toSignIn();
    showNote(failure.message);
    announce(failure.message);
  } finally {
    button.removeAttribute("aria-disabled");
  }
});

byId("clear").addEventListener("click", () => {
  replaceForm(null, form.isEmpty() ? "" : "The form was cleared.");
  byId("field-patient_reference").focus();
});

byId("patient-form").addEventListener("input", () => showNote(""));

addEventListener("beforeunload", (event) => {
  if (submitter.isPending) event.preventDefault();
});

// Until here a click would have been lost.
for (const id of ["load-sample", "analyze", "clear"]) byId(id).disabled = false;
