import assert from "node:assert/strict";
import { test } from "node:test";
import { readDecimal } from "../../../client/static/decimal.js";

const reads = (cases) => Object.entries(cases).forEach(([text, value]) => assert.equal(readDecimal(text), value, JSON.stringify(text)));
const refuses = (texts) => texts.forEach((text) => assert.equal(readDecimal(text), null, JSON.stringify(text)));

test("comma and point are the same decimal sign", () => {
  reads({ "0,8": 0.8, "0.8": 0.8, "5,8": 5.8, ",8": 0.8, ".8": 0.8, "2,30": 2.3, 145: 145, "063": 63 });
});

test("a minus of the keyboard or of print stands in front; zero is zero", () => {
  reads({ "-0,5": -0.5, "\u22120.5": -0.5, "\u2212.5": -0.5, 0: 0, "0,0": 0 });
});

test("white space around a number does not count", () => {
  reads({ " 145 ": 145, "145\n": 145, "\t0,8": 0.8, "\u00a05.8\u202f": 5.8 });
});

test("nothing is dropped: every other character makes it no number", () => {
  refuses(["12/8", "5.8 mmol/L", "5.8mm", "1e3", "1E3", "0x10", "0b1", "+5", "~5", "<5", "5%", "five", "NaN", "Infinity", "1_000"]);
});

test("grouped digits, two decimal signs and an unfinished number are no number", () => {
  refuses(["1.234,5", "1,234.5", "1,234,567", "1 000", "1\u00a0000", "1\u202f000", "1'000", "5..8", "5,,8", "0.8.", "5,", "5.", ".", ",", "", " "]);
});

test("several values are no number", () => {
  refuses(["63\t1\t145\t233", "63 145", "63;145", "63\n145", "120-130"]);
});

test("a sign elsewhere or another dash is no number", () => {
  refuses(["-", "\u2212", "--5", "-\u22125", "5-", "- 5", "\u20135", "\u20145", "(5)"]);
});

test("digits of other scripts and invisible characters are no number", () => {
  refuses(["\uff11\uff12\uff10", "\u0661\u0662\u0660", "5\uff0c8", "1\u200b20", "\u200e120", "\u00bd", "5\u00b2", "12O", "l20"]);
});
