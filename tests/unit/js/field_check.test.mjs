import assert from "node:assert/strict";
import { test } from "node:test";
import { errorOf, extrapolationOf, sortErrors } from "../../../client/static/field_check.js";

const BP = { name: "resting_bp", label: "Resting blood pressure", unit: "mm Hg", codes: [], required: false, model_range: [80, 200], possible_range: [40, 300] };
const AGE = { name: "age", label: "Age", unit: "years", codes: [], required: true, model_range: [1, 120], possible_range: [1, 120] };
const SEX = { name: "sex", label: "Sex", unit: "", codes: [{ code: 0, word: "female" }], required: true, model_range: null, possible_range: null };
const entry = (value, rest = {}) => ({ value, notMeasured: false, error: null, ...rest });

test("what is impossible is refused with field and range; the ends belong to the range", () => {
  assert.equal(errorOf(BP, entry(301)), "Resting blood pressure must be between 40 and 300 mm Hg.");
  assert.match(errorOf(BP, entry(39.9)), /between 40 and 300/);
  assert.equal(errorOf(BP, entry(40)), null);
  assert.equal(errorOf(BP, entry(300)), null);
});

test("an empty field is no measurement: it has to be entered, or said to be not measured", () => {
  assert.match(errorOf(BP, entry(null)), /Not measured/);
  assert.equal(errorOf(BP, entry(null, { notMeasured: true })), null);
});

test("age and sex cannot be left out", () => {
  assert.equal(errorOf(AGE, entry(null)), "Please enter the age.");
  assert.equal(errorOf(AGE, entry(null, { notMeasured: true })), "Age is required.");
  assert.equal(errorOf(SEX, entry(null)), "Please choose one.");
});

test("what cannot be read is called so, not empty", () => {
  assert.equal(errorOf(BP, entry(null, { error: "Resting blood pressure must be one number." })), "Resting blood pressure must be one number.");
});

test("zero is a value", () => {
  assert.equal(errorOf(SEX, entry(0)), null);
});

test("possible but outside the model's range is extrapolated; impossible is only an error", () => {
  assert.equal(extrapolationOf(BP, 210), "Extrapolated: the model was made for 80 to 200 mm Hg.");
  assert.equal(extrapolationOf(BP, 200), null);
  assert.equal(extrapolationOf(BP, 301), null);
  assert.equal(extrapolationOf(BP, null), null);
  assert.equal(extrapolationOf(SEX, 0), null);
});

test("a refusal's errors go beside their fields, with or without the record's prefix; the rest is said in general", () => {
  const { beside, general } = sortErrors({ "record.age": ["is required"], sex: ["a", "b"], message: ["must be an object"] }, ["age", "sex"]);
  assert.deepEqual([...beside], [["age", "Is required."], ["sex", "A, b."]]);
  assert.deepEqual(general, ["message: must be an object"]);
});
