/** A run of panel 4: a network on points of the plane, epoch by epoch, and what it says everywhere in the plane. */
import { HEADS, argmax, headOutputs } from "softclass/heads";
import { addPenalty, createMlp, logitsAt, lossOf, startAllWrong, startAtRandom } from "softclass/mlp";
import { BATCH, createOptimizer } from "softclass/optimizers";
import { inUnits } from "softclass/points";
import { generator } from "softclass/random";

/** Epochs after which a run ends. */
export const LAST_EPOCH = 100_000;

/** Share of the training points that must be right for a run to count as arrived. */
export const ARRIVED = 0.95;

/** Epochs after which a comparison of heads gives up. */
export const PATIENCE = 5000;

// Starts and batches are drawn from seeds of their own, so that they do not repeat the numbers the points came from.
const START_SEED = 0x9e3779b9;
const BATCH_SEED = 0x85ebca6b;

/**
 * How a network is trained.
 * @typedef {object} Settings
 * @property {number[]} hidden - units of each hidden layer, none to three layers
 * @property {string} activation - of hidden units, see softclass/mlp
 * @property {string} head - see softclass/heads
 * @property {string} optimizer - see softclass/optimizers
 * @property {number} learningRate
 * @property {number} l2 - strength of the penalty on squared weights
 * @property {number} start - scale of the last layer's start: see `startAllWrong` and `startAtRandom`
 * @property {number} seed
 */

/**
 * One moment of a run.
 * @typedef {object} Moment
 * @property {number} epoch
 * @property {number} loss - mean over the training points, without the penalty
 * @property {number} accuracy
 * @property {number|null} validationLoss - null without validation points
 * @property {number|null} validationAccuracy
 * @property {object} mlp - the network now; it is changed in place
 */

/**
 * Train. Yields the start as epoch 0 and then every epoch; returns "last" at LAST_EPOCH and "diverged" as soon as the
 * loss is no longer a finite number.
 * @returns {Generator<Moment, string>}
 */
export function* train(set, settings) {
  const training = inUnits(set.training, set);
  const validation = set.validation === null ? null : inUnits(set.validation, set);
  const mlp = started(set, settings);
  const gradient = new Float64Array(mlp.parameters.length);
  const optimize = createOptimizer(settings.optimizer, mlp.parameters.length);
  const order = settings.optimizer === "gd" ? null : generator((settings.seed ^ BATCH_SEED) >>> 0);
  const move = () => {
    if (settings.l2 > 0) addPenalty(mlp, settings.l2, gradient);
    optimize(mlp.parameters, gradient, settings.learningRate);
  };
  for (let epoch = 0; ; epoch += 1) {
    // With all points in one step the loss of this epoch and the gradient of the next step are one pass.
    const now = lossOf(mlp, settings.head, training, null, order === null ? gradient : null);
    const check = validation === null ? null : lossOf(mlp, settings.head, validation, null, null);
    if (!Number.isFinite(now.loss)) return "diverged";
    yield {
      epoch,
      loss: now.loss,
      accuracy: now.right / now.n,
      validationLoss: check === null ? null : check.loss,
      validationAccuracy: check === null ? null : check.right / check.n,
      mlp,
    };
    if (epoch === LAST_EPOCH) return "last";
    if (order === null) {
      move();
      continue;
    }
    const rows = order.permutation(training.targets.length);
    for (let from = 0; from < rows.length; from += BATCH) {
      lossOf(mlp, settings.head, training, rows.slice(from, from + BATCH), gradient);
      move();
    }
  }
}

/**
 * The network a run starts from: softmax regression confidently wrong, anything deeper at random.
 * @returns {object} an Mlp
 */
export function started(set, { hidden, activation, start, seed }) {
  const mlp = createMlp([2, ...hidden, set.classes.length], activation);
  if (hidden.length === 0) startAllWrong(mlp, set.middles, start);
  else startAtRandom(mlp, generator((seed ^ START_SEED) >>> 0), start);
  return mlp;
}

/**
 * Epochs until 95 % of the training points are right, for each head with everything else equal.
 *
 * A generator that yields after every epoch, so that it can be run in slices.
 * @param {Settings} settings - its head is left aside
 * @param {number} patience - epochs after which a head counts as not arrived
 * @returns {Generator<{head: string, epoch: number}, {head: string, epochs: number|null}[]>} epochs is null for a head
 *   that did not arrive
 */
export function* compareHeads(set, settings, patience = PATIENCE) {
  const found = [];
  for (const head of HEADS) {
    let epochs = null;
    for (const moment of train(set, { ...settings, head })) {
      if (moment.accuracy >= ARRIVED) epochs = moment.epoch;
      if (epochs !== null || moment.epoch === patience) break;
      yield { head, epoch: moment.epoch };
    }
    found.push({ head, epochs });
  }
  return found;
}

/** Mean over the training points of the largest wrong logit minus the true one; positive: confidently wrong. */
export function meanMargin(set, mlp) {
  const { features, targets } = inUnits(set.training, set);
  let sum = 0;
  for (let row = 0; row < targets.length; row += 1) {
    const logits = logitsAt(mlp, features, row);
    let wrong = -Infinity;
    for (let k = 0; k < logits.length; k += 1) if (k !== targets[row]) wrong = Math.max(wrong, logits[k]);
    sum += wrong - logits[targets[row]];
  }
  return sum / targets.length;
}

/**
 * What the network says on a grid over a box, row by row from the top left; cells are seen at their middle.
 *
 * A generator that yields after every row of cells, so that it can be run in slices.
 * @param {number} side - cells a side
 * @returns {Generator<void, {side: number, classes: Uint8Array, outputs: Float32Array}>} the winning class and the
 *   largest output of each cell
 */
export function* fieldOf(mlp, head, set, box, side) {
  const classes = new Uint8Array(side * side);
  const outputs = new Float32Array(side * side);
  const all = new Float64Array(set.classes.length);
  for (let row = 0, at = 0; row < side; row += 1) {
    for (let column = 0; column < side; column += 1, at += 1) {
      const logits = logitsAt(mlp, cell(set, box, side, row, column), 0);
      headOutputs(head, logits, all);
      classes[at] = argmax(logits);
      outputs[at] = all[classes[at]];
    }
    yield;
  }
  return { side, classes, outputs };
}

/**
 * What every hidden unit gives on a grid over a box.
 * @returns {{layer: number, unit: number, values: Float32Array}[]}
 */
export function unitFields(mlp, set, box, side) {
  const fields = mlp.sizes.slice(1, -1).flatMap((n, layer) =>
    Array.from({ length: n }, (_, unit) => ({ layer, unit, values: new Float32Array(side * side) })),
  );
  for (let row = 0, at = 0; row < side; row += 1) {
    for (let column = 0; column < side; column += 1, at += 1) {
      logitsAt(mlp, cell(set, box, side, row, column), 0);
      for (const { layer, unit, values } of fields) values[at] = mlp.values[layer][unit];
    }
  }
  return fields;
}

const point = new Float64Array(2);

/** The middle of a cell in the units of the network; the same array each time. */
function cell({ shift, scale }, { x, y }, side, row, column) {
  point[0] = (x[0] + ((column + 0.5) / side) * (x[1] - x[0]) - shift[0]) / scale[0];
  point[1] = (y[1] - ((row + 0.5) / side) * (y[1] - y[0]) - shift[1]) / scale[1];
  return point;
}

/**
 * The lines on which two classes of softmax regression tie, (w_i - w_j).x + b_i - b_j = 0, inside a box.
 * @param {object} mlp - without hidden layers
 * @returns {{i: number, j: number, normal: number[], offset: number, line: number[]|null, border: number[]|null}[]}
 *   all in the units of the data: normal.x + offset = 0; `line` is [x1, y1, x2, y2] inside the box, `border` the part
 *   of it where no third class is ahead; null where nothing of it is in the box
 */
export function tieLines(mlp, set, box) {
  const [{ nOut, weight, bias }] = mlp.layers;
  const rule = (k) => {
    const [a, b] = [weight[2 * k] / set.scale[0], weight[2 * k + 1] / set.scale[1]];
    return [a, b, bias[k] - a * set.shift[0] - b * set.shift[1]];
  };
  const rules = Array.from({ length: nOut }, (_, k) => rule(k));
  const ties = [];
  for (let i = 0; i < nOut; i += 1) {
    for (let j = i + 1; j < nOut; j += 1) {
      const [a, b, c] = rules[i].map((value, at) => value - rules[j][at]);
      const inside = [[1, 0, -box.x[0]], [-1, 0, box.x[1]], [0, 1, -box.y[0]], [0, -1, box.y[1]]];
      const ahead = rules
        .filter((_, k) => k !== i && k !== j)
        .map((third) => rules[i].map((value, at) => value - third[at]));
      const reach = Math.hypot(box.x[1] - box.x[0], box.y[1] - box.y[0]);
      const middle = [(box.x[0] + box.x[1]) / 2, (box.y[0] + box.y[1]) / 2];
      const line = clipped([a, b, c], inside, middle, reach);
      const border = clipped([a, b, c], [...inside, ...ahead], middle, reach);
      ties.push({ i, j, normal: [a, b], offset: c, line, border });
    }
  }
  return ties;
}

/** The part of a x + b y + c = 0 where every half plane p x + q y + r >= 0 of a list holds, as [x1, y1, x2, y2]. */
function clipped([a, b, c], halfPlanes, [middleX, middleY], reach) {
  const square = a * a + b * b;
  if (square === 0) return null;
  const away = (a * middleX + b * middleY + c) / square;
  const [x0, y0] = [middleX - a * away, middleY - b * away]; // the point of the line next to the middle
  const length = Math.sqrt(square);
  const [dx, dy] = [-b / length, a / length];
  let [low, high] = [-reach, reach];
  for (const [p, q, r] of halfPlanes) {
    const slope = p * dx + q * dy;
    const value = p * x0 + q * y0 + r;
    if (slope > 0) low = Math.max(low, -value / slope);
    else if (slope < 0) high = Math.min(high, -value / slope);
    else if (value < 0) return null;
  }
  return low < high ? [x0 + low * dx, y0 + low * dy, x0 + high * dx, y0 + high * dy] : null;
}
