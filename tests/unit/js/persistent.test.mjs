import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as settled } from "node:timers/promises";
import "./page_addresses.mjs";

const { RequestError } = await import("../../../common/ui/http.js");
const { Persistent } = await import("../../../common/ui/persistent.js");

/** Run what fails as often as given; `said` is what became of it. */
function failing(times) {
  const said = [];
  const work = async () => {
    said.push("run");
    if (times-- > 0) throw new RequestError("No answer.");
  };
  return { said, asked: new Persistent(work, { onDone: () => said.push("done"), onFailed: (sentence) => said.push(sentence) }) };
}

test("what failed is tried again by itself until it succeeds", async ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { said, asked } = failing(2);
  await asked.run();
  assert.ok(asked.isWaiting);
  mock.timers.tick(3_000);
  await settled();
  mock.timers.tick(3_000);
  await settled();
  assert.deepEqual(said, ["run", "No answer.", "run", "No answer.", "run", "done"]);
  assert.ok(!asked.isWaiting);
});

test("a run that is asked for takes the place of the one that waits", async ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { said, asked } = failing(1);
  await asked.run();
  await asked.run();
  mock.timers.tick(3_000);
  await settled();
  assert.deepEqual(said, ["run", "No answer.", "run", "done"]);
});

test("whoever asks while it runs gets one more run", async () => {
  const { said, asked } = failing(0);
  await Promise.all([asked.run(), asked.run(), asked.run()]);
  assert.deepEqual(said, ["run", "run", "done"]);
});
