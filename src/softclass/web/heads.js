/**
 * The four ways to end a network: softmax or one sigmoid a class, with cross-entropy or squared error.
 *
 * Each gives the loss of one row and its gradient by the logits, in the forms that keep their digits: the gradient on
 * the true class as minus the sum of the others, squared error behind a softmax as a sum over pairs. The arrays are
 * filled in place, because a run calls this once a row and an epoch; softclass/loss says the same of a single row.
 */
import { sigmoid } from "softclass/loss";

/** Names of the heads, in the order in which they are offered. */
export const HEADS = ["softmax_ce", "softmax_se", "sigmoid_ce", "sigmoid_se"];

/**
 * Loss of one row in nats (or half squared units), and its gradient.
 * @param {string} head - one of HEADS
 * @param {Float64Array} logits - one a class, finite
 * @param {number} target - index of the true class
 * @param {Float64Array} gradient - is overwritten: derivative of the loss by each logit
 */
export function headLoss(head, logits, target, gradient) {
  return LOSS_OF[head](logits, target, gradient);
}

/**
 * What a head shows as its outputs: the softmax of the logits, or the sigmoid of each of them.
 * @param {string} head - one of HEADS
 * @param {Float64Array} outputs - is overwritten, each in [0, 1]
 */
export function headOutputs(head, logits, outputs) {
  if (head.startsWith("sigmoid")) {
    for (let k = 0; k < logits.length; k += 1) outputs[k] = sigmoid(logits[k]);
    return;
  }
  const sum = powers(logits, largest(logits), outputs);
  for (let k = 0; k < logits.length; k += 1) outputs[k] /= sum;
}

/** Index of the largest value; of several the first. */
export function argmax(values) {
  let best = 0;
  for (let k = 1; k < values.length; k += 1) if (values[k] > values[best]) best = k;
  return best;
}

const LOSS_OF = {
  softmax_ce: softmaxCrossEntropy, softmax_se: softmaxSquaredError, sigmoid_ce: sigmoidCrossEntropy,
  sigmoid_se: sigmoidSquaredError,
};

function largest(logits) {
  let most = logits[0];
  for (let k = 1; k < logits.length; k += 1) if (logits[k] > most) most = logits[k];
  return most;
}

/** Fill `filled` with e^(z - most) and return the sum. */
function powers(logits, most, filled) {
  let sum = 0;
  for (let k = 0; k < logits.length; k += 1) {
    filled[k] = Math.exp(logits[k] - most);
    sum += filled[k];
  }
  return sum;
}

/** L = ln sum e^z - z_t; dL/dz = p - y, where p_t - 1 is formed as minus the sum of the other p. */
function softmaxCrossEntropy(logits, target, gradient) {
  const most = largest(logits);
  const sum = powers(logits, most, gradient);
  let others = 0;
  for (let k = 0; k < logits.length; k += 1) {
    gradient[k] /= sum;
    if (k !== target) others += gradient[k];
  }
  gradient[target] = -others;
  return Math.log(sum) + (most - logits[target]);
}

/** L = |p - y|^2 / 2; dL/dz_j = p_j sum_i p_i (r_j - r_i) with r = p - y: the softmax Jacobian times r. */
function softmaxSquaredError(logits, target, gradient) {
  const n = logits.length;
  const sum = powers(logits, largest(logits), gradient);
  const p = new Float64Array(n);
  const r = new Float64Array(n);
  let others = 0;
  for (let k = 0; k < n; k += 1) {
    p[k] = gradient[k] / sum;
    r[k] = p[k];
    if (k !== target) others += p[k];
  }
  r[target] = -others;
  let loss = 0;
  for (let j = 0; j < n; j += 1) {
    let push = 0;
    for (let i = 0; i < n; i += 1) push += p[i] * (r[j] - r[i]);
    gradient[j] = p[j] * push;
    loss += r[j] * r[j];
  }
  return loss / 2;
}

/** Sum over the outputs a = sigmoid(z) of -y ln a - (1 - y) ln(1 - a); dL/dz = a - y. */
function sigmoidCrossEntropy(logits, target, gradient) {
  let loss = 0;
  for (let k = 0; k < logits.length; k += 1) {
    const wrong = k === target ? -logits[k] : logits[k]; // -ln of the output asked for is ln(1 + e^wrong)
    const miss = sigmoid(wrong);
    gradient[k] = k === target ? -miss : miss;
    loss += Math.max(wrong, 0) + Math.log1p(Math.exp(-Math.abs(wrong)));
  }
  return loss;
}

/** Sum over the outputs of (a - y)^2 / 2; dL/dz = (a - y) a (1 - a). */
function sigmoidSquaredError(logits, target, gradient) {
  let loss = 0;
  for (let k = 0; k < logits.length; k += 1) {
    const miss = sigmoid(k === target ? -logits[k] : logits[k]); // |a - y|
    const error = k === target ? -miss : miss;
    gradient[k] = error * sigmoid(logits[k]) * sigmoid(-logits[k]);
    loss += (error * error) / 2;
  }
  return loss;
}
