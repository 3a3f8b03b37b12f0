import assert from "node:assert/strict";
import { test } from "node:test";
import { Drafts } from "../../../common/ui/drafts.js";

const sentence = (id, text, attempt = 1) => ({ prediction_id: id, text, attempt });
const texts = (drafts, id) => drafts.of(id).map(({ text }) => text);

test("the sentences of each prediction are kept in order until its explanation is final", () => {
  const drafts = new Drafts();
  drafts.add(sentence("a", "One."));
  drafts.add(sentence("b", "Other."));
  drafts.add(sentence("a", "Two."));
  assert.deepEqual(texts(drafts, "a"), ["One.", "Two."]);
  assert.deepEqual(texts(drafts, "b"), ["Other."]);
  drafts.forget("a");
  assert.deepEqual(texts(drafts, "a"), []);
});

test("a later attempt makes the sentences of the earlier one void", () => {
  const drafts = new Drafts();
  drafts.add(sentence("a", "One."));
  drafts.add(sentence("a", "New.", 2));
  assert.deepEqual(texts(drafts, "a"), ["New."]);
});

test("those that were added to longest ago are dropped first", () => {
  const drafts = new Drafts();
  for (let number = 0; number <= 100; number += 1) drafts.add(sentence(`p${number}`, "One."));
  assert.deepEqual([texts(drafts, "p0"), texts(drafts, "p1")], [[], ["One."]]);
});
