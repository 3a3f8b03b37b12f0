import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ago, duration, percent, score, signed, threshold } from "../../../common/ui/format.js";
import { tokenIn } from "../../../common/ui/sign_in_token.js";
import { authorOf, effectOf, endOfWaiting, inWords, isAwaited, linkInWords, meaningOf } from "../../../common/ui/wording.js";

const SPACE = "\u202f";
const SHARES = JSON.parse(readFileSync(new URL("../shares_in_words.json", import.meta.url), "utf8"));

test("a score is cut, not rounded, so that it never reads as the threshold it is below", () => {
  assert.equal(score(0.9499999), "0.949");
  assert.equal(score(0.9499999999999), "0.949");
  assert.equal(score(0.57), "0.570");
  assert.equal(score(0.95), "0.950");
  assert.equal(score(0.9999), "0.999");
  assert.equal(threshold(0.8), "0.80");
  assert.equal(threshold(0.975), "0.975");
});

test("a share of patients is said as the server's own text says it", () => {
  for (const [share, said] of SHARES) assert.equal(percent(share), said.replace(" %", `${SPACE}%`));
});

test("the meaning of a score is a comparison with disease-free patients", () => {
  assert.equal(meaningOf({ anomaly_score: 0.97, imputed: [] }), `More unusual than 97${SPACE}% of disease-free patients.`);
  assert.equal(meaningOf({ anomaly_score: 0.003, imputed: ["cholesterol"] }), `More unusual than less than 1${SPACE}% of disease-free patients with the same fields not measured.`);
});

test("a contribution says its direction in a word and in its sign", () => {
  assert.deepEqual(effectOf(0.421), { direction: "raises", word: "raises", size: "+0.42" });
  assert.deepEqual(effectOf(-0.421), { direction: "lowers", word: "lowers", size: "−0.42" });
  assert.equal(effectOf(-0.001).direction, "none");
  assert.equal(signed(0), "0.00");
});

test("values are decoded and keep their unit; null is not measured and zero is not", () => {
  const slope = { codes: [{ code: 0, word: "none" }, { code: 2, word: "flat" }], unit: "" };
  assert.equal(inWords(slope, 2), "flat");
  assert.equal(inWords(slope, 0), "none");
  assert.equal(inWords(slope, null), "not measured");
  assert.equal(inWords({ codes: [], unit: "mm Hg" }, 130), "130 mm Hg");
  assert.equal(inWords({ codes: [], unit: "mm" }, 0.30000000000000004), "0.3 mm");
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
