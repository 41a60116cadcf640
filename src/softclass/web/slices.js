/** Generators at once, or a few milliseconds a frame. */
import { WORK } from "softclass/run";

/**
 * Run a generator to its end.
 * @param {Generator} steps
 * @returns {*} what it returned
 */
export function finished(steps) {
  for (;;) {
    const { value, done } = steps.next();
    if (done) return value;
  }
}

/**
 * Drive a generator in slices.
 * @param {Generator} steps
 * @param {{each?: function(*): void, done: function(*): void}} tell - `each` hears the latest value once a frame
 * @returns {function(): void} stops it
 */
export function inSlices(steps, { each, done }) {
  let frame = requestAnimationFrame(slice);
  function slice() {
    const begin = performance.now();
    let latest;
    do {
      const { value, done: over } = steps.next();
      if (over) {
        done(value);
        return;
      }
      latest = value;
    } while (performance.now() - begin < WORK);
    each?.(latest);
    frame = requestAnimationFrame(slice);
  }
  return () => cancelAnimationFrame(frame);
}
