/** The clinician's page: form, result and history of one client app. */

import "/ui/prediction_view.js";
import { button, byId, element, fill, showState, timeElement } from "/ui/dom.js";
import { Follower } from "/ui/follow.js";
import { getJson } from "/ui/http.js";
import { socketTo } from "/ui/socket.js";
import { linkInWords } from "/ui/wording.js";
import { Draft } from "./draft.js";
import { askAboutDuplicate, isSame } from "./duplicate_dialog.js";
import { HistoryPanel } from "./history_panel.js";
import { listenToPastedRows } from "./paste_dialog.js";
import { PatientForm } from "./patient_form.js";
import { ResultPanel } from "./result_panel.js";
import { Submitter, withdraw } from "./submission.js";

const result = new ResultPanel({
  find: (id) => history.get(id),
  open: (id) => history.open(id),
  reuse: (entry) => intoForm(entry, null),
  correct: (entry) => intoForm(entry, entry),
  withdraw: withdrawEntry,
});
const history = new HistoryPanel({ onOpen: openEntry, onChange: (entry) => result.update(entry), onForget: (why) => result.forget(why) });
const form = new PatientForm({
  onSubmit(values) {
    sending(true);
    draft.settled().then(() => submitter.submit(values));
  },
});
const REPLACED = "The form was changed in another tab. Reloading this page would bring up what was entered there.";
const draft = new Draft(form, (isReplaced) => {
  if (isReplaced ? !isOffered : byId("entry-note").textContent === REPLACED) showNote(isReplaced ? REPLACED : "");
});
listenToPastedRows(fillFromRow);
const socket = socketTo("/");
const submitter = new Submitter(socket, { sending, delayed: showNote, saved, duplicate, refused });

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
    history.note(sentence, () => follower.load());
  },
});
follower.start();
addEventListener("signedin", () => follower.start());

function showLink(status) {
  show(linkInWords(status), " Since ", timeElement(status.since), ".");
}

function show(words, ...more) {
  showState(byId("link-state"), byId("link-banner"), words, ...more);
}

function sending(isSending) {
  byId("analyze").disabled = isSending;
  showNote("");
  const text = socket.connected ? "Sending …" : "Waiting for the connection …";
  fill(byId("analyze"), isSending ? [element("span", { className: "spinner", "aria-hidden": "true" }), text] : "Analyze Patient Data");
}

function refused(error) {
  draft.changed();
  form.showRefusal(error);
}

function saved(acknowledged) {
  draft.submitted();
  const entry = history.acknowledge(acknowledged);
  if ((form.corrects?.request_id ?? null) === acknowledged.corrects) form.correct(null); // not of another, begun meanwhile
  if (!entry) return;
  showEntry(entry);
  result.bringIntoView();
  byId("analyze").focus({ preventScroll: true });
}

/** Nothing was saved: `sent` is much like an earlier entry. */
async function duplicate(earlier, sent) {
  draft.changed();
  const answer = await askAboutDuplicate(earlier, sent);
  if (answer === "analyze") submitter.submit({ ...sent, corrects: null, is_new: true });
  else if (answer === "open") {
    const entry = history.acknowledge(earlier);
    if (entry) openEntry(entry);
  } else if (answer !== "correct") byId("analyze").focus();
  else if (!isSame(sent, earlier)) submitter.submit({ ...sent, corrects: earlier.request_id });
  else {
    form.correct(earlier);
    byId("field-patient_reference").focus();
  }
}

/** What became of it, the app's log brings; what was typed is not lost with it. */
async function withdrawEntry(entry) {
  const why = await withdraw(socket, entry.request_id);
  showNote(why ?? "Its values can go back into the form.", why ? null : () => intoForm(entry, null), "Put them back");
}

/** Form and result side by side must be of the same patient, or say that they are not. */
function compare() {
  result.compare(form.isEmpty() ? null : form.values());
}

function showEntry(entry) {
  result.show(entry);
  compare();
}

function openEntry(entry) {
  showEntry(entry);
  result.moveFocus();
}

function intoForm(entry, corrected) {
  replaceForm(entry, "The values were copied into the form.", corrected);
  byId("entry-heading").scrollIntoView({ block: "start" });
  byId("field-patient_reference").focus({ preventScroll: true });
}

/** A reference that was typed first is this patient's; beside other values it may be the last one's. */
function fillFromRow(row) {
  const { patient_reference: reference, record } = form.values();
  const isNew = Object.values(record).every((value) => value === undefined);
  const sentence = reference && !isNew ? "The row was filled in, without a patient reference." : "The row was filled in.";
  replaceForm({ patient_reference: isNew ? reference : null, ...row }, sentence, form.corrects);
  byId("field-patient_reference").focus();
}

function replaceForm(values, sentence, corrected = null) {
  const before = form.isEmpty() ? null : restoring(form.snapshot());
  if (values) {
    form.fill(values, corrected);
    draft.changed();
  } else {
    form.clear();
    draft.erase();
  }
  compare();
  showNote(sentence, before);
}

function restoring(snapshot) {
  return () => {
    form.restore(snapshot);
    draft.changed();
    compare();
    showNote("");
    byId("analyze").focus();
  };
}

let isOffered = false; // values, which typing must not take away

/** Say something above the form, with a button that puts other values into it. */
function showNote(sentence, act = null, label = "Undo") {
  isOffered = label !== "Undo";
  fill(byId("entry-note"), sentence, act ? [" ", button(label, act)] : []);
}

byId("load-sample").addEventListener("click", ({ currentTarget: load }) => {
  load.setAttribute("aria-disabled", "true");
  getJson("/api/sample").then(
    ({ record, source }) => replaceForm({ patient_reference: null, record }, `Sample loaded: ${source}`),
    ({ message }) => showNote(message),
  ).finally(() => load.removeAttribute("aria-disabled"));
});

byId("clear").addEventListener("click", () => {
  replaceForm(null, form.isEmpty() ? "" : "The form was cleared.");
  byId("field-patient_reference").focus();
});

byId("correcting-cancel").addEventListener("click", () => {
  form.correct(null);
  draft.changed();
  byId("analyze").focus();
});

byId("patient-form").addEventListener("input", () => {
  compare();
  draft.changed();
  if (!isOffered) showNote("");
});

draft.kept().then((kept) => {
  const isTyped = !form.isEmpty();
  if (isTyped) draft.changed(); // also what was typed before this script ran
  if (!kept) return;
  if (isTyped) return showNote("You have an earlier unfinished entry.", restoring(kept), "Use it instead");
  form.restore(kept);
  compare();
  showNote("Your unfinished entry was restored.");
}, () => {}); // without an answer, the form begins empty

addEventListener("beforeunload", (event) => {
  if (submitter.isPending) event.preventDefault();
});

// Until here a click would have been lost.
for (const id of ["load-sample", "analyze", "clear"]) byId(id).disabled = false;
