import assert from "node:assert/strict";
import { test } from "node:test";
import "./page_addresses.mjs";

const { factsInWords, lossInWords, troubleInWords } = await import("../../../server/static/server_words.js");

const server = (rest = {}) => ({ answers: true, connections: 1, behind: 0, leads: false, model: "a", ...rest });

test("a server says what is connected and how far it has read", () => {
  assert.deepEqual(factsInWords(server()), ["1 connection", "up to date"]);
  assert.deepEqual(factsInWords(server({ connections: 1200, behind: 1, leads: true })), ["1,200 connections", "1 entry behind", "leads"]);
  assert.match(factsInWords(server({ answers: false }))[0], /^No heartbeat/);
});

test("different models are a trouble while both score", () => {
  assert.deepEqual(troubleInWords([]), []);
  assert.deepEqual(troubleInWords([server(), server(), server({ model: "b", answers: false })]), []);
  assert.match(troubleInWords([server({ model: "b" }), server()])[0], /different models \(a, b\)/);
});

test("what a failover took is told, and what of it came again", () => {
  const lost = { noticed_at: "2026-03-04T14:02:00Z", entries: 12, predictions: 0, stored_again: 0 };
  assert.match(lossInWords(lost), /failed over or was restored at .*: at least 12 log entries were lost\.$/);
  assert.match(lossInWords({ ...lost, predictions: 10, stored_again: 9 }), /lost\. Of the 10 predictions known .* sent 9 again\.$/);
});
