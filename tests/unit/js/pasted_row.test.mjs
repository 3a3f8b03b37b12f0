import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, isRow, likely, narrowed } from "../../../client/static/pasted_row.js";

test("a row is told from a number, a reference and a column", () => {
  const row = "63,1,1,145,233,1,2,150,0,2.3,3,0,6";
  const rows = [row, `${row},0`, row.replaceAll(",", ";"), row.replaceAll(",", "\t"), `age,sex\n${row}`, "63\t1\r\n", "age\tsex\n63\t1"];
  for (const text of rows) assert.equal(isRow(text), true, JSON.stringify(text));
  const others = ["", "63", " 2,3\n", "145\t", "63\n1\n145", "Miller, John", "1,234,567", `${row},0,0`, "a;b;c"];
  for (const text of others) assert.equal(isRow(text), false, JSON.stringify(text));
});

test("what was answered before is likely if only one reading is of it, and narrows with every answer", () => {
  const thallium3 = { readings: [{ names: ["367"] }, { names: ["123", "213"] }] };
  const thallium2 = { readings: [{ names: ["012", "102"] }, { names: ["123"] }, { names: ["213"] }] };
  assert.equal(likely(thallium3, [""]), -1);
  const first = narrowed(thallium3.readings[1], [""]);
  assert.deepEqual(first, ["123", "213"]);
  assert.equal(likely(thallium3, first), 1);
  assert.equal(likely(thallium2, first), -1);
  const second = narrowed(thallium2.readings[2], first);
  assert.deepEqual(second, ["213"]);
  assert.equal(likely(thallium2, second), 2);
  assert.deepEqual(narrowed(thallium3.readings[0], second), ["367"]);
});

test("a row is as its answers say; without one, its fields stay out", () => {
  const unit = { record: { cholesterol: 224.3 }, entered: { cholesterol: { value: 5.8, unit: "mmol/L" } } };
  const codes = [{ record: { st_slope: 1 }, entered: {} }, { record: { st_slope: 3 }, entered: {} }];
  const row = { record: { age: 63 }, entered: {}, questions: [{ readings: codes }, { readings: [unit, { record: {}, entered: {} }] }] };
  assert.deepEqual(answered(row, [null, null]), { record: { age: 63 }, entered: {} });
  assert.deepEqual(answered(row, ["1", "0"]), { record: { age: 63, st_slope: 3, cholesterol: 224.3 }, entered: unit.entered });
  assert.deepEqual(answered(row, ["0", "1"]), { record: { age: 63, st_slope: 1 }, entered: {} });
});
