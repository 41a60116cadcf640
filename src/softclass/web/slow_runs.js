/** The runs of panel 3: one for each loss that is shown, measured in slices, with what theory says beside them. */
import { escapeTime, isLeading, logitLine, neuronLine, neuronTime, uniformTime } from "softclass/escape_time";
import { bestRate, createTrace, logits, neuron, plane } from "softclass/slow_learning";

/** The losses that an experiment knows, in the order in which they are shown. */
export const LOSSES_OF = {
  neuron: ["ce", "se"],
  logits: ["ce", "se", "eps", "clip"],
  plane: ["ce", "se", "sigmoid_ce", "sigmoid_se"],
  network: ["ce", "se", "sigmoid_ce", "sigmoid_se"],
};

const STEPS_AT_ONCE = { neuron: 1000, logits: 500, plane: 5 }; // steps between two looks at the clock
const BEYOND = 1.25; // runs go on a little after the last mark
const LEAST = 30;
const SIX = 6; // the mean of a (1 - a) over a in [0, 1] is 1/6

/** The chosen losses that the experiment has; all of them where none of them was chosen. */
export function shownLosses(run, chosen) {
  const known = LOSSES_OF[run].filter((loss) => chosen.includes(loss));
  return known.length > 0 ? known : LOSSES_OF[run].slice(0, 2);
}

const MAKE = {
  neuron: ({ m }, loss, eta) => neuron({ loss, margin: m, eta }),
  logits: ({ m, K }, loss, eta) => logits({ loss, margin: m, classes: K, eta }),
  plane: ({ s, seed }, loss, eta) => plane({ loss, scale: s, eta, seed }),
};

const FEWEST = 3; // steps; below, a step is too long for the flow of theory

/** Steps that theory gives to each mark; null where it says nothing. */
function theoryOf(given, loss, eta) {
  return flowTimes(given, loss, eta).map((time) => (time !== null && time >= FEWEST ? time : null));
}

function flowTimes({ run, m, K }, loss, eta) {
  if (run === "neuron") return [0, Math.log(0.1 / 0.9)].map((end) => (m > end ? neuronTime(loss, m, end, eta) : null));
  if (run === "plane") return [null];
  if (isLeading(K, m)) return [escapeTime(loss, K, m, { eta }), null];
  return [m === 0 && (loss === "ce" || loss === "se") ? uniformTime(loss, K, eta) : null, null];
}

function lineOf({ run, m, K }, loss, eta) {
  if (run === "neuron") return neuronLine(loss, m, eta);
  return run === "logits" ? logitLine(loss, K, m, eta) : [];
}

/** The push at a margin, one wrong class ahead and the others level: the line of the second figure. */
export function pushAt({ run, K }, loss, margin) {
  const experiment = MAKE[run]({ m: margin, K }, loss, 1);
  return experiment.look(experiment.start()).push;
}

/**
 * Runs for one setting of the panel.
 * @param {{run: string, m: number, K: number, eta: number, loss: string[], rate: string, s: number,
 *   seed: number}} given
 * @returns {{given: object, items: object[], end: number, isDone: boolean, work: function(): Generator,
 *   at: function(number): object[]}} an item is `{loss, eta, found, trace, theory, line}`; `work` measures everything
 *   and yields often; `end` is the last step that is shown; `at(step)` measures all items at a step
 */
export function createRuns(given) {
  const { run, eta, rate } = given;
  const ready = (loss, ownEta) => ({
    loss,
    eta: ownEta,
    trace: createTrace(MAKE[run](given, loss, ownEta)),
    theory: theoryOf(given, loss, ownEta),
    line: theoryOf(given, loss, ownEta)[0] === null ? [] : lineOf(given, loss, ownEta),
  });
  const own = (loss) => (rate === "six" && loss.endsWith("se") ? SIX * eta : eta);
  const runs = { given, items: [], end: LEAST, isDone: false };
  runs.items = shownLosses(run, given.loss).map((loss) => ({ ...ready(loss, own(loss)), found: undefined }));

  runs.work = function* work() {
    for (const [i, { loss }] of runs.items.entries()) {
      if (rate !== "best") continue;
      const found = yield* bestRate((trial) => MAKE[run](given, loss, trial));
      runs.items[i] = { ...ready(loss, found?.eta ?? eta), found };
    }
    for (const { trace } of runs.items) {
      while (trace.reached.includes(null) && !trace.isOver) {
        trace.advance(STEPS_AT_ONCE[run]);
        yield;
      }
    }
    const last = runs.items.map(({ trace }) =>
      !trace.reached.includes(null) ? Math.max(...trace.reached) : trace.isStuck ? 0 : trace.cap,
    );
    runs.end = Math.min(Math.ceil(Math.max(...last, LEAST) * BEYOND), runs.items[0].trace.cap);
    for (const { trace } of runs.items) {
      while (trace.steps < runs.end && !trace.isOver) {
        trace.advance(Math.min(STEPS_AT_ONCE[run], runs.end - trace.steps));
        yield;
      }
    }
    runs.isDone = true;
  };
  runs.at = (step) => runs.items.map(({ trace }) => trace.at(Math.min(step, trace.isStuck ? step : trace.steps)));
  return runs;
}
