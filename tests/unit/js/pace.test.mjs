import assert from "node:assert/strict";
import { mock, test } from "node:test";

const { paced } = await import("../../../common/ui/pace.js");

/** A clock of timers and frames; a frame comes every 16 ms. */
function withClock(run) {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const now = mock.method(performance, "now", () => Date.now());
  globalThis.requestAnimationFrame = (callback) => setTimeout(callback, 16);
  try {
    run((ms) => mock.timers.tick(ms));
  } finally {
    delete globalThis.requestAnimationFrame;
    now.mock.restore();
    mock.timers.reset();
  }
}

test("the first call is drawn in the next frame", () => {
  withClock((pass) => {
    let drawn = 0;
    const soon = paced(() => drawn++, 100);
    soon();
    assert.equal(drawn, 0);
    pass(16);
    assert.equal(drawn, 1);
  });
});

test("many calls are drawn together, a pause apart, and the last of them is never left out", () => {
  withClock((pass) => {
    const seen = [];
    let news = 0;
    const soon = paced(() => seen.push(news), 100);
    for (; news < 50; pass(10)) {
      news++;
      soon();
    }
    pass(200);
    assert.equal(seen.at(-1), 50);
    assert.ok(seen.length <= 6, `${seen.length} drawings in half a second`);
    assert.ok(seen.length >= 4, `${seen.length} drawings in half a second`);
  });
});
