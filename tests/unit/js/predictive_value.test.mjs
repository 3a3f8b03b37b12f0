import assert from "node:assert/strict";
import { test } from "node:test";
import { percentOf, predictiveValue } from "../../../common/ui/predictive_value.js";

const RATES = { sensitivity: 0.6, sensitivityLow: 0.5, sensitivityHigh: 0.7, alarms: 0.05, alarmsLow: 0, alarmsHigh: 0.1 };

test("a percentage is read with a comma, a point or a percent sign, and refused where it is none", () => {
  assert.deepEqual(["12", " 12,5 % ", "0", "99", "99.5", "1.234", "12e1", "-5", "", "half"].map((text) => percentOf(text).value), [12, 12.5, null, 99, null, 1.234, null, null, null, null]);
  assert.match(percentOf("x").error, /from 1 to 99/);
});

test("of the marked, those with disease follow by Bayes' rule, and the interval from the worst of both rates", () => {
  assert.deepEqual(predictiveValue(0.5, RATES), { value: 0.3 / 0.325, low: 0.25 / 0.3, high: 1 });
  assert.ok(predictiveValue(0.01, RATES).value < 0.11);
});
