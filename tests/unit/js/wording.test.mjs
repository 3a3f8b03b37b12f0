import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ago, duration, ofHundred, perHundred, score, signed, threshold } from "../../../common/ui/format.js";
import { tokenIn } from "../../../common/ui/sign_in_token.js";
import { authorOf, closeTo, effectOf, endOfWaiting, enteredInWords, inWords, isAwaited, linkInWords, meaningOf, missingInWords, notEnoughInWords, predictiveInWords, scaleInWords, scoreInList, verdictOf } from "../../../common/ui/wording.js";

const THRESHOLDS = { medium: 0.8, high: 0.95 };
const FIELDS = new Map([["thallium_scan", { name: "thallium_scan", label: "Thallium scan", codes: [{ code: 7, word: "reversible defect" }], unit: "" }], ["cholesterol", { name: "cholesterol", label: "Serum cholesterol", codes: [], unit: "mg/dL" }]]);
const made = (level, value, more = {}) => ({ risk_level: level, anomaly_score: value, thresholds: THRESHOLDS, imputed: [], ...more });
const SHARES = JSON.parse(readFileSync(new URL("../shares_in_words.json", import.meta.url), "utf8"));

test("a score is cut, not rounded, so that it never reads as the threshold it is below", () => {
  for (const [value, said] of [[0.9499999999999, "0.94"], [0.57, "0.57"], [0.29, "0.29"], [0.95, "0.95"], [0.9999, "0.99"]]) assert.equal(score(value, THRESHOLDS), said);
  assert.equal(score(0.9763, { medium: 0.8, high: 0.975 }), "0.976"); // 0.97 would read as below
  assert.equal(threshold(0.8), "0.80");
  assert.equal(threshold(0.975), "0.975");
});

test("a share of patients is said as the server's own text says it", () => {
  for (const [share, said] of SHARES) assert.equal(ofHundred(share), said.replace("less", "fewer").replace("%", "of 100"));
});

test("a measured share is rounded, and never becomes none or all", () => {
  assert.deepEqual([0, 0.009, 0.125, 0.666, 0.991, 1].map(perHundred), ["fewer than 1", "fewer than 1", "13", "67", "more than 99", "more than 99"]);
});

test("the meaning of a score is a comparison with patients without disease, and says so", () => {
  assert.equal(meaningOf(made("High", 0.9893)), "98 of 100 patients without coronary disease look less unusual. This is not the chance of disease.");
  assert.match(meaningOf(made("Low", 0.003, { imputed: ["cholesterol"] })), /^Fewer than 1 of 100 patients .* with the same tests not measured look/);
  assert.match(meaningOf(made("Indeterminate", 0.99)), /no risk level/);
});

test("a level is close to those next to it that its interval reaches, at the threshold itself and not below", () => {
  const at = (level, low, high) => closeTo(made(level, (low + high) / 2, { score_interval: { low, high } }));
  assert.equal(at("Low", 0.7, 0.79999), null);
  assert.equal(at("Low", 0.7, 0.8), "close to Medium");
  assert.equal(at("Low", 0.7, 0.97), "close to Medium");
  assert.equal(at("Medium", 0.79, 0.95), "close to Low and High");
  assert.equal(at("High", 0.9499, 0.99), "close to Medium");
  assert.equal(at("Indeterminate", 0.5, 0.99), null);
  assert.equal(closeTo(made("Low", 0.79)), null); // stored before there were intervals
});

test("a score stands in the list and on the scale with its interval, and without where it has none", () => {
  const close = made("Low", 0.7687, { score_interval: { low: 0.7014, high: 0.8255 } });
  assert.equal(scoreInList(close), "0.76 (0.70–0.82)");
  assert.equal(verdictOf(close), "Low risk level, close to Medium");
  assert.match(scaleInWords(close), /^Anomaly score 0.76, 95 % interval 0.70 to 0.82, on a scale .*: Low risk level, close to Medium\. /);
  assert.equal(scoreInList(made("Low", 0.7687)), "0.76");
  assert.equal(scoreInList(made("Indeterminate", 0.9687)), "–");
  assert.equal(verdictOf(made("Indeterminate", 0.9687)), "Not enough measured");
});

test("missing tests say how far they could lead and which would narrow the range most, and nothing where none is missing", () => {
  const outcome = (anomaly_score, risk_level) => ({ anomaly_score, risk_level });
  const missing = { lowest: outcome(0.3129, "Low"), highest: outcome(0.9978, "High"), most_informative: "thallium_scan", is_sampled: false };
  const said = (tests, imputed = ["cholesterol", "thallium_scan"]) => missingInWords(made("Low", 0.5, { missing_tests: tests, imputed }), FIELDS);
  assert.equal(said(missing), "Results could bring the score from 0.31 (Low) to 0.99 (High). Measuring thallium scan would narrow the range most.");
  assert.match(said({ ...missing, is_sampled: true }), /only a sample of the possible results was tried\.$/);
  assert.equal(said({ ...missing, highest: outcome(0.4, "Low") }, ["cholesterol"]), "Whatever the result, the level stays Low (score 0.31 to 0.40).");
  assert.equal(said(null), null);
  assert.equal(said(undefined, []), null);
});

test("a result without a level says what would be enough, and which value is extreme even so", () => {
  const not = (needed, extreme) => notEnoughInWords({ not_enough: { needed, extreme }, record: { cholesterol: 580 }, entered: { cholesterol: { value: 15, unit: "mmol/L" } } }, FIELDS);
  assert.deepEqual(not(["thallium_scan"], []), { needed: "Any one of these would be enough: Thallium scan.", extreme: null });
  assert.deepEqual(not([], ["cholesterol"]), {
    needed: "More than one additional test is needed.",
    extreme: "Serum cholesterol (15 mmol/L (580 mg/dL)). This value alone would make the level High.",
  });
  assert.equal(not([], ["a field that is gone"]).extreme, "a field that is gone. This value alone would make the level High.");
  assert.deepEqual(notEnoughInWords(made("Low", 0.1), FIELDS), { needed: null, extreme: null });
});

test("only a result of High says how many at High have disease", () => {
  const at = { value: 0.912, low: 0.73, high: 1, prevalence: 0.4587 };
  const said = "Of 100 patients marked High, 91 have coronary disease (95 % interval 73 to more than 99), where 46 of 100 have it, as in the training file.";
  assert.equal(predictiveInWords(made("High", 0.99, { predictive_value: at })), said);
  assert.equal(predictiveInWords(made("Medium", 0.9, { predictive_value: at })), null);
  assert.equal(predictiveInWords(made("High", 0.99)), null);
});

test("a contribution says its direction in a word, and its size with a sign", () => {
  assert.deepEqual(effectOf(0.421), { direction: "raises", word: "raises" });
  assert.deepEqual(effectOf(-0.421), { direction: "lowers", word: "lowers" });
  assert.equal(effectOf(-0.001).direction, "none");
  assert.deepEqual([0.421, -0.421, 0].map(signed), ["+0.42", "−0.42", "0.00"]);
});

test("values are decoded and keep their unit; null is not measured and zero is not", () => {
  const slope = { codes: [{ code: 0, word: "none" }, { code: 2, word: "flat" }], unit: "" };
  assert.equal(inWords(slope, 2), "flat");
  assert.equal(inWords(slope, 0), "none");
  assert.equal(inWords(slope, null), "not measured");
  assert.equal(inWords({ codes: [], unit: "mm Hg" }, 130), "130 mm Hg");
  assert.equal(inWords({ codes: [], unit: "mm" }, 0.30000000000000004), "0.3 mm");
  const cholesterol = { name: "cholesterol", codes: [], unit: "mg/dL" };
  const entered = { cholesterol: { value: 5.8, unit: "mmol/L" } };
  assert.equal(enteredInWords(cholesterol, 224.3, entered), "5.8 mmol/L (224.3 mg/dL)");
  for (const none of [{}, undefined]) assert.equal(enteredInWords(cholesterol, 224.3, none), "224.3 mg/dL");
});

test("an explanation is awaited until a language model's text or the reason for none is there", () => {
  const text = { source: "template", reason: null };
  assert.ok(isAwaited({ awaits_explanation: true }, text));
  assert.ok(!isAwaited({ awaits_explanation: false }, text));
  assert.ok(!isAwaited({ awaits_explanation: true }, { ...text, reason: "No answer." }));
  assert.ok(!isAwaited({ awaits_explanation: true }, { source: "llm", reason: null }));
  assert.equal(authorOf({ source: "llm", model: "Llama" }).text, "AI-written · Llama");
});

test("the waiting for a language model ends with its text or without", () => {
  assert.match(endOfWaiting({ source: "template", reason: "No answer." }), /stays as it was/);
  assert.match(endOfWaiting({ source: "llm", reason: null }), /is ready/);
});

test("every state of the link has a label, and every one but up a sentence", () => {
  for (const state of ["up", "connecting", "down", "refused"]) {
    const words = linkInWords({ state, reason: null, waiting: 2 });
    assert.ok(words.label);
    assert.equal(Boolean(words.sentence), state !== "up");
  }
  assert.match(linkInWords({ state: "down", reason: null, waiting: 2 }).sentence, /2 patients wait to be sent/);
});

test("a refused link gives the server's own reason", () => {
  assert.match(linkInWords({ state: "refused", reason: "Update the older one.", waiting: 0 }).sentence, /Update the older one/);
});

test("ages and durations are short", () => {
  const now = Date.parse("2026-01-02T12:00:00Z");
  assert.equal(ago("2026-01-02T11:59:30Z", now), "just now");
  assert.equal(ago("2026-01-02T11:57:30Z", now), "2 minutes ago");
  assert.equal(ago("2026-01-02T12:00:05Z", now), "just now");
  assert.equal(duration(42), "42 s");
  assert.equal(duration(3 * 3600 + 125), "3 h 2 min");
  assert.equal(duration(49 * 3600), "2 d 1 h");
});

test("the token is found in a link, in its fragment, and alone", () => {
  assert.equal(tokenIn(" http://127.0.0.1:5000/sign-in#token=a-b_c "), "a-b_c");
  assert.equal(tokenIn("#token=a%2Db"), "a-b");
  assert.equal(tokenIn("a-b_c"), "a-b_c");
  assert.equal(tokenIn("#token=%E0%A4%A"), "%E0%A4%A");
  assert.equal(tokenIn("  "), "");
});
