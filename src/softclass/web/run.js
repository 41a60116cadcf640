/** Long work in small slices: a generator is driven a few milliseconds a frame. */
/** Milliseconds of work in a frame. */
export const WORK = 8;
/** Milliseconds between two redraws while something runs. */
export const REDRAW = 100;

/**
 * Prepare a run.
 * @param {function(): Generator} start makes the generator; it yields after each step or epoch
 * @param {{each?: function(*): void, redraw?: function(*): void, done?: function(*): void, pace?: function(number):
 *   number}} tell `each` after every step with what was yielded, `redraw` with the latest at most ten times a second
 *   and when the run stops, `done` with what the generator returned; `pace(steps)` is how many steps a second people
 *   can follow after so many, absent as many as there is time for
 * @param {{frame?: function, cancel?: function, now?: function, still?: function(): boolean}} [clock] for tests;
 *   `still` says that nothing may move: then `play` makes one step
 * @returns {{play: function, pause: function, step: function(number=), reset: function, running: boolean,
 *   finished: boolean, steps: number, onchange: ?function}}
 */
export function createRun(start, { each, redraw, done, pace } = {}, clock = {}) {
  const frame = clock.frame ?? ((task) => requestAnimationFrame(task));
  const cancel = clock.cancel ?? ((id) => cancelAnimationFrame(id));
  const now = clock.now ?? (() => performance.now());
  const still = clock.still ?? (() => matchMedia("(prefers-reduced-motion: reduce)").matches);
  let steps = start();
  let pending = null;
  let drawn = -Infinity;
  let latest;
  let [owed, before] = [0, 0]; // steps that the pace allows by now, and when that was reckoned

  function advance() {
    const { value, done: over } = steps.next();
    if (over) {
      run.finished = true;
      run.value = value;
      return false;
    }
    run.steps += 1;
    latest = value;
    each?.(value);
    return true;
  }
  function settle() {
    if (latest !== undefined) redraw?.(latest);
    if (run.finished) done?.(run.value);
    run.onchange?.();
  }
  function slice() {
    const begin = now();
    if (pace) owed += (pace(run.steps) * (begin - before)) / 1000;
    before = begin;
    while ((!pace || owed >= 1) && advance()) {
      owed -= 1;
      if (now() - begin < WORK) continue;
      owed = 0; // what there was no time for is not made up later
      break;
    }
    if (run.finished) {
      pending = null;
      settle();
      return;
    }
    if (latest !== undefined && begin - drawn >= REDRAW) {
      drawn = begin;
      redraw?.(latest);
    }
    pending = frame(slice);
  }

  const run = {
    steps: 0,
    finished: false,
    /** Called when the run starts, stops, ends or is reset. */
    onchange: null,
    get running() {
      return pending !== null;
    },
    play() {
      if (run.finished || pending !== null) return;
      if (still()) {
        run.step();
        return;
      }
      [owed, before] = [1, now()];
      pending = frame(slice);
      run.onchange?.();
    },
    pause() {
      if (pending === null) return;
      cancel(pending);
      pending = null;
      settle();
    },
    /** Make `count` steps now. */
    step(count = 1) {
      if (run.finished) return;
      for (let made = 0; made < count && advance(); made += 1);
      settle();
    },
    /** Back to the start. */
    reset() {
      if (pending !== null) cancel(pending);
      pending = null;
      steps = start();
      run.steps = 0;
      run.finished = false;
      latest = undefined;
      run.onchange?.();
    },
  };
  return run;
}
