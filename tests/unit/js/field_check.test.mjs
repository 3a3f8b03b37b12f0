import assert from "node:assert/strict";
import { test } from "node:test";
import { errorOf, extrapolationOf, otherReading, rangeIn, sortErrors } from "../../../client/static/field_check.js";

const BP = { name: "resting_bp", label: "Resting blood pressure", unit: "mm Hg", codes: [], required: false, model_range: [80, 200], possible_range: [40, 300] };
const AGE = { name: "age", label: "Age", unit: "years", codes: [], required: true, model_range: [1, 120], possible_range: [1, 120] };
const SEX = { name: "sex", label: "Sex", unit: "", codes: [{ code: 0, word: "female" }], required: true, model_range: null, possible_range: null };
const CHOLESTEROL = {
  ...{ name: "cholesterol", label: "Serum cholesterol", unit: "mg/dL", other_unit: "mmol/L", other_factor: 38.67, codes: [] },
  ...{ model_range: [100, 600], possible_range: [50, 1000] },
};
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

test("a number that is possible in the other unit only is asked about, either way", () => {
  const inMmol = (number) => entry(Number((number * 38.67).toFixed(1)), { entered: { value: number, unit: "mmol/L" } });
  assert.equal(errorOf(CHOLESTEROL, entry(5.8)), "5.8 looks like mmol/L.");
  assert.deepEqual(otherReading(CHOLESTEROL, entry(5.8)), { number: 5.8, unit: "mmol/L", value: 224.3 });
  assert.equal(errorOf(CHOLESTEROL, inMmol(224)), "224 looks like mg/dL.");
  assert.deepEqual(otherReading(CHOLESTEROL, inMmol(224)), { number: 224, unit: "mg/dL", value: 224 });
  for (const possible of [entry(50), entry(1000), inMmol(1.3), inMmol(25.8)]) assert.equal(errorOf(CHOLESTEROL, possible), null);
  for (const neither of [entry(1), entry(30), entry(1001), inMmol(1.2), inMmol(0.4), inMmol(30)]) {
    assert.equal(otherReading(CHOLESTEROL, neither), null);
    assert.match(errorOf(CHOLESTEROL, neither), neither.entered ? /between 1.3 and 25.8 mmol\/L/ : /between 50 and 1000 mg\/dL/);
  }
  assert.equal(otherReading(BP, entry(5.8)), null);
});

test("ranges are shown in the unit that was entered", () => {
  assert.deepEqual(rangeIn("mg/dL", CHOLESTEROL, [100, 600]), [100, 600]);
  assert.deepEqual(rangeIn("mmol/L", CHOLESTEROL, [100, 600]), [2.6, 15.5]);
  assert.match(extrapolationOf(CHOLESTEROL, 620, "mmol/L"), /2.6 to 15.5 mmol\/L/);
});
