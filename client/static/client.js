/** The clinician's page: form, result and history of one client app. */

import "/ui/prediction_view.js";
import { announce, byId, element, showState, timeElement } from "/ui/dom.js";
import { readFields } from "/ui/fields.js";
import { Follower } from "/ui/follow.js";
import { fullTime, shortTime } from "/ui/format.js";
import { getJson, RequestError } from "/ui/http.js";
import { socketTo } from "/ui/socket.js";
import { linkInWords } from "/ui/wording.js";
import { PatientForm } from "./patient_form.js";
import { HistoryPanel } from "./history_panel.js";
import { ResultPanel } from "./result_panel.js";
import { Submitter } from "./submission.js";

const fields = readFields();
const result = new ResultPanel(fields, { onReuse: reuse });
const history = new HistoryPanel({ onOpen: openEntry, onChange: (entry) => result.update(entry), onForget: (why) => result.forget(why) });
const form = new PatientForm(fields, { onSubmit: (values) => submitter.submit(values) });
const socket = socketTo("/");
const submitter = new Submitter(socket, { sending, delayed: showNote, saved, refused: (error) => form.showRefusal(error) });

let link = null;
const follower = new Follower(socket, {
  load: () => history.load(),
  apply({ entries, status }) {
    history.take(entries);
    if (status) showLink((link = status));
  },
  stateIs(state, sentence) {
    if (state === "up") return link && showLink(link);
    if (state === "lost") return show({ tone: "bad", label: "No connection to this clinic’s app", sentence });
    show({ tone: "bad", label: "No data" });
    history.note(`${sentence} Retrying automatically.`, () => follower.load());
  },
});
follower.start();
addEventListener("signedin", () => follower.start());

function showLink(status) {
  const { since } = status;
  show(linkInWords(status), " Since ", timeElement(since, shortTime(since), fullTime(since)), ".");
}

function show(words, ...more) {
  showState(byId("link-state"), byId("link-banner"), words, ...more);
}

function sending(isSending) {
  const button = byId("analyze");
  button.disabled = isSending;
  showNote("");
  const text = socket.connected ? "Sending …" : "Waiting for the connection …";
  button.replaceChildren(...(isSending ? [element("span", { className: "spinner", "aria-hidden": "true" }), text] : ["Analyze Patient Data"]));
}

function saved(acknowledged) {
  const entry = history.acknowledge(acknowledged);
  if (!entry) return;
  result.show(entry);
  compare();
  result.bringIntoView();
  byId("analyze").focus({ preventScroll: true });
}

/** Form and result side by side must be of the same patient, or say that they are not. */
function compare() {
  result.compare(form.isEmpty() ? null : form.values());
}

function openEntry(entry) {
  result.show(entry);
  compare();
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
  compare();
  showNote(sentence, before);
}

function showNote(sentence, before = null) {
  byId("entry-note").hidden = !sentence;
  byId("entry-note-text").textContent = sentence;
  const undo = byId("undo");
  undo.hidden = !before;
  undo.onclick = () => {
    form.restore(before);
    compare();
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

byId("patient-form").addEventListener("input", () => {
  compare();
  showNote("");
});

addEventListener("beforeunload", (event) => {
  if (submitter.isPending) event.preventDefault();
});

// Until here a click would have been lost.
for (const id of ["load-sample", "analyze", "clear"]) byId(id).disabled = false;
