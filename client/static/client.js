/** The clinician's page: form, result and history of one client app. */

import "/ui/prediction_view.js";
import { byId, element, showState, timeElement } from "/ui/dom.js";
import { readFields } from "/ui/fields.js";
import { Follower } from "/ui/follow.js";
import { getJson, RequestError } from "/ui/http.js";
import { socketTo } from "/ui/socket.js";
import { linkInWords } from "/ui/wording.js";
import { Correction, EntryActions } from "./corrections.js";
import { Draft } from "./draft.js";
import { DuplicateDialog, isSame } from "./duplicate_dialog.js";
import { PasteDialog } from "./paste_dialog.js";
import { PatientForm } from "./patient_form.js";
import { HistoryPanel } from "./history_panel.js";
import { ResultPanel } from "./result_panel.js";
import { Submitter, withdraw } from "./submission.js";

const fields = readFields();
const result = new ResultPanel(fields, { onReuse: (entry) => intoForm(entry, null), onShow: (entry) => actions.show(entry) });
const history = new HistoryPanel({ onOpen: openEntry, onChange: (entry) => result.update(entry), onForget: (why) => result.forget(why) });
const correction = new Correction({
  onCancel() {
    draft.changed();
    byId("analyze").focus();
  },
});
const duplicates = new DuplicateDialog({ onCancel: () => byId("analyze").focus() });
const form = new PatientForm(fields, {
  onSubmit(values) {
    const sent = { ...values, corrects: correction.entry?.request_id ?? null }; // now: the page stays in use while it waits
    sending(true);
    draft.settled().then(() => submitter.submit(sent));
  },
});
const draft = new Draft(form, { corrects: () => correction.entry });
new PasteDialog(fields, { onFill: fillFromRow });
const socket = socketTo("/");
const submitter = new Submitter(socket, { sending, delayed: showNote, saved, duplicate, refused });
const actions = new EntryActions({ find: (id) => history.get(id), onOpen: (id) => history.open(id), onCorrect: (entry) => intoForm(entry, entry), onWithdraw: withdrawEntry });

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
  show(linkInWords(status), " Since ", timeElement(since), ".");
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

function refused(error) {
  draft.changed();
  form.showRefusal(error);
}

function saved(acknowledged) {
  draft.submitted();
  const entry = history.acknowledge(acknowledged);
  if ((correction.entry?.request_id ?? null) === acknowledged.corrects) correction.of(null); // not of another, begun meanwhile
  if (!entry) return;
  result.show(entry);
  compare();
  result.bringIntoView();
  byId("analyze").focus({ preventScroll: true });
}

/** Nothing was saved: `sent` is much like an earlier entry. */
function duplicate(earlier, sent) {
  draft.changed();
  duplicates.ask(earlier, sent, {
    open() {
      const entry = history.acknowledge(earlier);
      if (entry) openEntry(entry);
    },
    correct() {
      if (!isSame(sent, earlier)) return submitter.submit({ ...sent, corrects: earlier.request_id });
      correction.of(earlier);
      byId("field-patient_reference").focus();
    },
    analyze: () => submitter.submit({ ...sent, corrects: null, is_new: true }),
  });
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

function openEntry(entry) {
  result.show(entry);
  compare();
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
  replaceForm({ patient_reference: isNew ? reference : null, ...row }, sentence, correction.entry);
  byId("field-patient_reference").focus();
}

function replaceForm(values, sentence, corrected = null) {
  const before = form.isEmpty() ? null : restoring(form.snapshot(), correction.entry);
  correction.of(corrected);
  if (values) form.fill(values);
  else form.clear();
  if (values) draft.changed();
  else draft.erase();
  compare();
  showNote(sentence, before);
}

function restoring(controls, corrected) {
  return () => {
    form.restore(controls);
    correction.of(corrected);
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
  byId("entry-note").hidden = !sentence;
  byId("entry-note-text").textContent = sentence;
  const undo = byId("undo");
  undo.hidden = !act;
  undo.textContent = label;
  undo.onclick = act;
}

byId("load-sample").addEventListener("click", async ({ currentTarget: button }) => {
  button.setAttribute("aria-disabled", "true");
  try {
    const { record, source } = await getJson("/api/sample");
    replaceForm({ patient_reference: null, record }, `Sample loaded: ${source}`);
  } catch (failure) {
    if (!(failure instanceof RequestError)) throw failure;
    showNote(failure.message);
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
  draft.changed();
  if (!isOffered) showNote("");
});

draft.kept().then((kept) => {
  const isTyped = !form.isEmpty();
  if (isTyped) draft.changed(); // also what was typed before this script ran
  if (!kept) return;
  if (isTyped) return showNote("You have an earlier unfinished entry.", restoring(kept.controls, kept.corrects), "Use it instead");
  form.restore(kept.controls);
  correction.of(kept.corrects);
  compare();
  showNote("Your unfinished entry was restored.");
}, () => {}); // without an answer, the form begins empty

addEventListener("beforeunload", (event) => {
  if (submitter.isPending) event.preventDefault();
});

// Until here a click would have been lost.
for (const id of ["load-sample", "analyze", "clear"]) byId(id).disabled = false;
