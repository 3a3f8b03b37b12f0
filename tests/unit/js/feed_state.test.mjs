import assert from "node:assert/strict";
import { test } from "node:test";
import { FeedState } from "../../../server/static/feed_state.js";

function followed() {
  const shown = [];
  return { shown, feed: new FeedState((state) => shown.push(state)) };
}

test("a failed request is forgotten when a later one succeeds while the socket is connected", () => {
  const { shown, feed } = followed();
  feed.socketIs("up");
  feed.requestFailed("No answer.");
  feed.requestsSucceeded();
  assert.deepEqual(shown, ["up", "failed", "up"]);
});

test("requests that succeed without the socket do not make the page live", () => {
  const { shown, feed } = followed();
  feed.requestsSucceeded();
  feed.requestFailed("No answer.");
  feed.requestsSucceeded();
  assert.deepEqual(shown, ["failed", "lost"]);
});

test("a lost connection stays lost when an answer to an earlier request comes in", () => {
  const { shown, feed } = followed();
  feed.socketIs("up");
  feed.socketIs("lost");
  feed.requestsSucceeded();
  assert.deepEqual(shown, ["up", "lost"]);
});

test("a failure is said with its sentence", () => {
  let said = null;
  new FeedState((state, sentence) => (said = sentence)).requestFailed("No answer.");
  assert.equal(said, "No answer.");
});
