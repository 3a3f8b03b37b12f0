/** The dialog that says in words what a pasted row means, and asks what it cannot tell, before the form is filled. */

import { ask, byId, element, fill } from "/ui/dom.js";
import { FIELDS } from "/ui/fields.js";
import { postForJson } from "/ui/http.js";
import { enteredInWords, labelsOf } from "/ui/wording.js";
import { remember, remembered } from "./desk_choices.js";
import { answered, isRow, likely, narrowed } from "./pasted_row.js";

const DIFFER = "This table exists in versions that number these findings differently. Which reading is right for this patient?";

let row = null; // as the app read it

/** Listen to rows that are pasted into the form; `onFill({ record, entered })` fills it. */
export function listenToPastedRows(onFill) {
  byId("patient-form").addEventListener("paste", async (event) => {
    const text = event.clipboardData.getData("text/plain");
    if (!isRow(text)) return;
    event.preventDefault();
    await postForJson("/api/paste", { text }).then(show, ({ message }) => show(null, message));
    const isWanted = (await ask(byId("paste"))) === "fill";
    if (isWanted && row) {
      rememberAnswers();
      onFill(answered(row, answers()));
    }
    show(null);
  });
  byId("paste-form").addEventListener("change", showFacts);
}

function show(read, problem = null) {
  row = read;
  fill(byId("paste-problem"), problem);
  fill(byId("paste-questions"), row?.questions.map(question));
  fill(byId("paste-ignored"), row?.ignored.length ? `Not used: ${row.ignored.join(", ")}.` : null);
  byId("paste-fill").hidden = !row;
  showFacts();
}

function question({ about, readings }, index) {
  const field = FIELDS.get(about);
  const legend = field ? `${field.label}: ${row.cells[about]}` : labelsOf(Object.keys(readings[0].record), FIELDS);
  const known = likely({ readings }, namesOf(about));
  const choices = readings.map((reading, place) => {
    const radio = element("input", { type: "radio", name: `paste-${index}`, value: place, required: true, checked: place === known });
    return element("label", { className: "choice" }, radio, element("span", {}, inWords(reading)));
  });
  const why = element("p", { className: "hint" }, field ? `This looks like ${readings[0].names[0]}.` : DIFFER);
  return element("fieldset", { className: "field" }, element("legend", {}, legend), why, element("div", { className: "choices" }, ...choices));
}

function inWords({ record, entered }) {
  const words = Object.entries(record).map(([name, value]) => enteredInWords(FIELDS.get(name), value, entered));
  return words.join(" · ") || "Leave it empty";
}

function answers() {
  const chosen = new FormData(byId("paste-form"));
  return row.questions.map((_, index) => chosen.get(`paste-${index}`));
}

function rememberAnswers() {
  const chosen = answers();
  row.questions.forEach((question, index) => {
    const names = narrowed(question.readings[chosen[index]], namesOf(question.about));
    remember(`paste-${question.about}`, names.join(" "));
  });
}

function showFacts() {
  const known = row && answered(row, answers());
  fill(byId("paste-facts"), known ? [...FIELDS.values()].flatMap((field) => factOf(field, known)) : null);
}

function factOf(field, { record, entered }) {
  const cell = row.cells[field.name];
  const isOpen = field.name in row.errors || !(field.name in record);
  let words = enteredInWords(field, record[field.name], entered);
  if (field.name in row.errors) words = `“${cell}” ${row.errors[field.name]}. It stays empty.`;
  else if (isOpen) words = cell === undefined ? "no such column; it stays empty" : `“${cell}”, see the question above`;
  return [element("dt", {}, field.label), element("dd", { className: isOpen ? "warn-text" : "" }, words)];
}

const namesOf = (about) => (remembered(`paste-${about}`) ?? "").split(" ");
