import assert from "node:assert/strict";
import { test } from "node:test";
import { chartText, MAX_CHARACTERS } from "../../../common/ui/chart_text.js";

const quantity = (label, unit) => ({ label, unit, codes: [] });
const coded = (label, ...words) => ({ label, unit: "", codes: words.map((word, code) => ({ code, word })) });
const LONGEST = {
  age: [quantity("Age", "years"), 61],
  sex: [coded("Sex", "female"), 0],
  chest_pain_type: [coded("Chest pain type", "non-anginal pain"), 0],
  resting_bp: [quantity("Resting blood pressure", "mm Hg"), 287.25],
  cholesterol: [quantity("Serum cholesterol", "mg/dL"), 1000],
  fasting_blood_sugar_high: [coded("Fasting blood sugar over 120 mg/dL", "yes"), 0],
  resting_ecg: [coded("Resting ECG", "left ventricular hypertrophy"), 0],
  max_heart_rate: [quantity("Maximum heart rate", "beats/min"), 249.75],
  exercise_angina: [coded("Exercise-induced angina", "yes"), 0],
  st_depression: [quantity("ST depression", "mm"), -4.75],
  st_slope: [coded("Slope of the ST segment", "down"), 0],
  major_vessels: [coded("Major vessels", "0"), 0],
  thallium_scan: [coded("Thallium scan", "reversible defect"), 0],
};
const names = Object.keys(LONGEST);
const fields = new Map(names.map((name) => [name, { name, ...LONGEST[name][0] }]));
const outcome = (anomaly_score, risk_level) => ({ anomaly_score, risk_level });

/** A result with the longest of everything. */
const made = (level, more = {}) => ({
  patient_reference: "x".repeat(64),
  entered_by: "n".repeat(64),
  entered_at: "2026-11-30T10:22:33Z",
  model_version: "20261130T102233Z-0123456789ab",
  risk_level: level,
  anomaly_score: 0.9423,
  thresholds: { medium: 0.8, high: 0.95 },
  score_interval: { low: 0.7912, high: 0.9612 },
  record: Object.fromEntries(names.map((name) => [name, LONGEST[name][1]])),
  entered: { cholesterol: { value: 25.86, unit: "mmol/L" } },
  imputed: [],
  extrapolated: ["resting_bp", "cholesterol"],
  top_factors: ["fasting_blood_sugar_high", "exercise_angina", "st_slope", "resting_bp"],
  contributions: names.map((field, index) => ({ field, contribution: index % 2 ? 0.2 : -0.2 })),
  predictive_value: { value: 0.912, low: 0.73, high: 1, prevalence: 0.4587 },
  ...more,
});

const missing = { missing_tests: { lowest: outcome(0.31, "Low"), highest: outcome(0.99, "High"), most_informative: "fasting_blood_sugar_high", is_sampled: true } };

test("the text for the chart has at most 900 characters, whatever is in it, and never loses values, times and what it is", () => {
  for (const level of ["Low", "Medium", "High", "Indeterminate"]) {
    for (let least = 2; least <= 13; least += 1) {
      const imputed = names.slice(least);
      const not_enough = { needed: imputed, extreme: names.filter((name) => !imputed.includes(name)) };
      const record = { ...made(level).record, ...Object.fromEntries(imputed.map((name) => [name, null])) };
      const text = chartText(made(level, { imputed, record, ...(imputed.length ? missing : {}), ...(level === "Indeterminate" ? { not_enough } : {}) }), fields, "n".repeat(64), "Corrected by another entry.");
      assert.ok(text.length <= MAX_CHARACTERS, `${level}, ${least} measured: ${text.length}`);
      for (const part of ["Corrected", "x".repeat(64), "Age 61 years", "Entered", "n".repeat(64), "Model 20261130T102233Z", "not for care of patients"]) assert.ok(text.includes(part), part);
      for (const name of imputed) assert.ok(text.includes(fields.get(name).label));
    }
  }
});

test("a usual result says all: level, interval, meaning, factors by direction, values as entered, and who copied when", () => {
  const usual = made("High", { patient_reference: "Room 4", entered_by: "Dr. Example", anomaly_score: 0.9893, score_interval: { low: 0.9612, high: 0.9989 }, extrapolated: [], predictive_value: null, top_factors: ["thallium_scan", "major_vessels", "st_slope"] });
  const lines = chartText(usual, fields, "Nurse Example").split("\n");
  assert.equal(lines[0], "Room 4: High risk level, anomaly score 0.98 (95 % interval 0.96 to 0.99).");
  assert.match(lines[1], /^98 of 100 patients without coronary disease look less unusual/);
  assert.equal(lines[2], "Raised most by: Major vessels.");
  assert.equal(lines[3], "Lowered most by: Thallium scan, Slope of the ST segment.");
  assert.match(lines[4], /^Copied .* by Nurse Example\.$/);
  assert.match(lines[5], /^Age 61 years; Sex female; .*Serum cholesterol 25\.86 mmol\/L \(1000 mg\/dL\); /);
  assert.match(lines[6], /^Entered .* by Dr\. Example\. Model /);
});

test("a result that was stored before there were intervals is copied without one", () => {
  const old = made("Medium", { patient_reference: null });
  for (const name of ["score_interval", "entered", "entered_by", "predictive_value"]) delete old[name];
  const text = chartText(old, fields, null);
  assert.match(text, /^Patient without reference: Medium risk level, anomaly score 0\.94\.\n/);
  assert.ok(!/undefined|null|interval/.test(text));
});
