/** Drawing no more often than anybody can see, however fast the news come. */

/** Return a function that has `draw` called in the next frame, and calls of `draw` at least `pauseMs` apart. */
export function paced(draw, pauseMs = 0) {
  let last = -Infinity;
  let isDue = false;
  const now = () => {
    isDue = false;
    last = performance.now();
    draw();
  };
  return () => {
    if (isDue) return;
    isDue = true;
    const wait = last + pauseMs - performance.now();
    if (wait > 0) setTimeout(() => requestAnimationFrame(now), wait);
    else requestAnimationFrame(now);
  };
}
