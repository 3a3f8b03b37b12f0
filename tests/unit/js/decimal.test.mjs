import assert from "node:assert/strict";
import { test } from "node:test";
import { inOwnUnit, readNumber } from "../../../client/static/decimal.js";

const BP = { label: "Resting blood pressure", unit: "mm Hg", step: 1 };
const ST = { label: "ST depression", unit: "mm", step: 0.1 };
const CHOLESTEROL = { label: "Serum cholesterol", unit: "mg/dL", other_unit: "mmol/L", other_factor: 38.67, step: 1 };

function reads(field, cases) {
  for (const [text, value] of Object.entries(cases)) {
    const read = readNumber(text, field);
    assert.deepEqual([read.value, read.error], [value, null], JSON.stringify(text));
  }
}

function refuses(field, texts, why = /must be one number, such as 5.8 or 5,8/) {
  for (const text of texts) {
    const { value, error } = readNumber(text, field);
    assert.equal(value, null, JSON.stringify(text));
    assert.match(error, why, JSON.stringify(text));
  }
}

test("comma and point are the same decimal sign", () => {
  reads(ST, { "0,8": 0.8, "0.8": 0.8, "5,8": 5.8, ",8": 0.8, ".8": 0.8, "2,30": 2.3, "0,125": 0.125, "1.234": 1.234 });
  reads(BP, { 145: 145, "145,5": 145.5, "063": 63 });
});

test("a sign of the keyboard or of print stands in front; zero is zero", () => {
  reads(ST, { "-0,5": -0.5, "\u22120.5": -0.5, "\u2212.5": -0.5, "\u20130.5": -0.5, "+1": 1, 0: 0, "0,0": 0 });
});

test("white space and marks without width around a number do not count", () => {
  reads(BP, { " 145 ": 145, "145\n": 145, "\t145": 145, "\u00a0145\u202f": 145, "\u200e145\u200b": 145, "\ufeff145": 145 });
});

test("full-width characters of East Asian keyboards are read", () => {
  reads(ST, { "\uff15\uff0c\uff18": 5.8, "\uff0d\uff15": -5, "\u3000\uff15\uff0e\uff18": 5.8 });
});

test("the field's own unit may follow, in its usual spellings", () => {
  reads(BP, { "145 mmHg": 145, "145mm Hg": 145, "145 MMHG": 145, "145 mm hg.": 145 });
  reads(ST, { "0,8 mm": 0.8, "5.8mm": 5.8 });
  assert.equal(readNumber("5,8 mmol/L", CHOLESTEROL).unit, "mmol/L");
  assert.equal(readNumber("224 mg/dl", CHOLESTEROL).unit, "mg/dL");
  assert.equal(readNumber("224", CHOLESTEROL).unit, null);
});

test("another unit is refused by name", () => {
  refuses(BP, ["14.5 kPa", "145 mm", "5.8 mmol/L"], /must be one number in mm Hg.* is not understood/);
  refuses(ST, ["0.1 mV", "8 mmHg", "1 cm"], /in mm, .* is not understood/);
  refuses(CHOLESTEROL, ["5.8 mmol", "2.2 g/L"], /in mg\/dL or mmol\/L.* is not understood/);
});

test("nothing is dropped: every other character makes it no number", () => {
  refuses(BP, ["12/8", "145/90", "0x10", "0b1", "1_000", "5%", "1e3", "1E3", "12O", "145?", "145 systolic"], /is not understood/);
  refuses(BP, ["~5", "<5", ">130", "five", "NaN", "Infinity", "l20", "(5)", "\u00bd"]);
});

test("grouped digits, two decimal signs and an unfinished number are no number", () => {
  refuses(BP, ["1.234,5", "1,234.5", "1,234,567", "1 000", "1\u00a0000", "1\u202f000", "5..8", "5,,8", "0.8.", "5,", "5.", ".", ","]);
  refuses(BP, ["1'000", "1\u2019000"], /is not understood/);
});

test("what can be read in two ways is asked about", () => {
  refuses(BP, ["1,234", "1.234", "130.000"], /could be 1(234|30000) or 1(\.234|30\.000): please write it without thousands separators/);
  refuses(ST, ["08", "-08"], /could be 8 or 0\.8: please write it with a decimal sign/);
});

test("several values are no number", () => {
  refuses(BP, ["63\t1\t145\t233", "63 145", "63\n145"]);
  refuses(BP, ["63;145", "120-130"], /is not understood/);
});

test("a sign elsewhere, alone or twice is no number", () => {
  refuses(ST, ["-", "\u2212", "--5", "-\u22125", "- 5", "\u20145"]);
  refuses(ST, ["5-"], /is not understood/);
});

test("digits of other scripts, raised digits and marks within are no number", () => {
  refuses(BP, ["\u0661\u0662\u0660", "\u0967\u0968\u0966"], /with the digits 0 to 9/);
  refuses(BP, ["5\u00b2", "1\u200b20", "\u24602"], /must be one number/);
});

test("no text is no number and no mistake", () => {
  for (const text of ["", " ", "\u200b"]) assert.deepEqual(readNumber(text, BP), { value: null, error: null });
});

test("a number is converted if its typed unit or, without one, the chosen unit is the other one, and is kept as entered", () => {
  const cases = [
    ["5,8", "mmol/L", 224.3, { value: 5.8, unit: "mmol/L" }],
    ["5.8 mmol/l", "mg/dL", 224.3, { value: 5.8, unit: "mmol/L" }],
    ["2.5", "mmol/L", 96.7, { value: 2.5, unit: "mmol/L" }],
    ["224 mg/dL", "mmol/L", 224, null],
    ["224", "mg/dL", 224, null],
    ["", "mmol/L", null, null],
  ];
  for (const [text, chosen, value, entered] of cases) {
    assert.deepEqual(inOwnUnit(CHOLESTEROL, readNumber(text, CHOLESTEROL), chosen), { value, entered, error: null }, text);
  }
  assert.deepEqual(inOwnUnit(BP, readNumber("145", BP), undefined), { value: 145, entered: null, error: null });
  assert.match(inOwnUnit(CHOLESTEROL, readNumber("five", CHOLESTEROL), "mmol/L").error, /one number/);
});
