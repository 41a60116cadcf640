/**
 * Losses of one row of logits and their gradients at the logits, in nats; formulas as in softclass.functions.
 *
 * A target is a class index or a distribution, an array with sum 1. The cross-entropy gradient is p - y, the one of
 * squared error is the Jacobian of the softmax times p - y.
 */
import { complements, fromMaximum, others, softmax } from "softclass/softmax";
import { round } from "softclass/precision";

/** The five ways to write the cross-entropy that `lossVariant` knows. */
export const VARIANTS = ["naive", "shift", "eps", "clip", "logsumexp"];

/** What is added inside the logarithm by `eps`, and where `clip` cuts the probabilities off. */
export const ADDED = 1e-9;
export const CUT = 1e-7;

/**
 * A target as a distribution.
 * @param {number} [smoothing] - the share spread evenly over all classes
 */
export function distribution(target, nClasses, smoothing = 0) {
  const isIndex = typeof target === "number";
  if (isIndex && !(Number.isInteger(target) && target >= 0 && target < nClasses)) {
    throw new RangeError(`target ${target} is no class of ${nClasses}`);
  }
  if (!isIndex && target.length !== nClasses)
    throw new RangeError(`a target of ${target.length} of ${nClasses} classes`);
  return Array.from({ length: nClasses }, (_, k) => {
    const share = isIndex ? Number(k === target) : target[k];
    return (1 - smoothing) * share + smoothing / nClasses;
  });
}

/**
 * p - y, entry by entry p_k (1 - y_k) - (1 - p_k) y_k: the true class of a sure answer keeps its digits.
 * @param {number[]} shares - the target as a distribution
 */
function residual(logits, shares) {
  const missing = complements(logits);
  return softmax(logits).map((p, k) => p * (1 - shares[k]) - missing[k] * shares[k]);
}

/**
 * Cross-entropy: -sum_k y_k ln p_k, gradient p - y.
 * @returns {{loss: number, gradient: number[]}}
 */
export function crossEntropy(logits, target) {
  const shares = distribution(target, logits.length);
  const { distances, rest } = fromMaximum(logits);
  const sum = Math.log1p(rest);
  let loss = 0;
  shares.forEach((share, k) => {
    if (share !== 0) loss += share * (sum - distances[k]);
  });
  return { loss, gradient: residual(logits, shares) };
}

/**
 * Squared error after the softmax: 1/2 ||p - y||^2, gradient J (p - y).
 * @returns {{loss: number, gradient: number[]}}
 */
export function squaredError(logits, target) {
  const difference = residual(logits, distribution(target, logits.length));
  const loss = difference.reduce((sum, r) => sum + (r * r) / 2, 0);
  return { loss, gradient: jacobianProduct(softmax(logits), difference) };
}

/** Jacobian of the softmax from its value, dp_i / dz_j = p_i (delta_ij - p_j); symmetric, every row sums to 0. */
export function jacobian(probabilities) {
  return Array.from(probabilities, (p, i) =>
    Array.from(probabilities, (q, j) => (i === j ? p * others(probabilities, i) : -p * q)),
  );
}

/**
 * The Jacobian times a vector, (J v)_j = p_j sum_i p_i (v_j - v_i).
 *
 * Pair by pair: p_j (v_j - p.v) loses all digits of a small product once the answer is sure.
 */
export function jacobianProduct(probabilities, vector) {
  return Array.from(probabilities, (p, j) => {
    let sum = 0;
    for (let i = 0; i < probabilities.length; i += 1) sum += probabilities[i] * (vector[j] - vector[i]);
    return p * sum;
  });
}

/** The sigmoid 1 / (1 + e^{-z}). */
export function sigmoid(z) {
  if (z >= 0) return 1 / (1 + Math.exp(-z));
  const power = Math.exp(z);
  return power / (1 + power);
}

/**
 * Cross-entropy the way automatic differentiation computes one of its spellings, operation by operation.
 *
 * Every operation is rounded to the precision and sums run from left to right. `naive` is e^z / sum, then the
 * logarithm; `shift` subtracts the maximum first; `eps` adds 1e-9 inside the logarithm; `clip` cuts the probabilities
 * off at 1e-7; `logsumexp` never forms a probability for the loss and takes p - y as gradient.
 * @param {"naive"|"shift"|"eps"|"clip"|"logsumexp"} name
 * @param {number} target - a class index
 * @param {"f64"|"f32"|"bf16"|"f16"} [precision]
 * @returns {{loss: number, gradient: number[]}} NaN and Infinity where the spelling makes them
 */
export function lossVariant(name, logits, target, precision = "f64") {
  const r = (x) => round(x, precision);
  const z = Array.from(logits, r);
  if (name === "naive") return naiveLoss(z, target, r);
  if (name === "logsumexp") return logsumexpLoss(z, target, r);
  if (name === "shift" || name === "eps" || name === "clip") return shiftedLoss(name, z, target, r);
  throw new RangeError(`no way to write the loss is called ${name}`);
}

function total(values, r) {
  return values.reduce((sum, value) => r(sum + value), 0);
}

function naiveLoss(z, target, r) {
  const powers = z.map((x) => r(Math.exp(x)));
  const sum = total(powers, r);
  const p = r(powers[target] / sum);
  const loss = r(-Math.log(p));
  const back = r(1 / p);
  const atSum = r(back * r(p / sum));
  const atTarget = r(atSum - r(back / sum));
  const gradient = powers.map((power, k) => r((k === target ? atTarget : atSum) * power));
  return { loss, gradient };
}

function shiftedLoss(name, z, target, r) {
  const maximum = Math.max(...z);
  const powers = z.map((x) => r(Math.exp(r(x - maximum))));
  const sum = total(powers, r);
  const probabilities = powers.map((power) => r(power / sum));
  let inside = probabilities[target];
  let isCut = false;
  if (name === "eps") inside = r(inside + r(ADDED));
  if (name === "clip") {
    const [low, high] = [r(CUT), r(1 - r(CUT))];
    isCut = inside < low || inside > high;
    inside = Math.min(Math.max(inside, low), high);
  }
  const atTarget = isCut ? 0 : r(-1 / inside);
  const weighted = r(atTarget * probabilities[target]);
  const gradient = probabilities.map((p, k) => r(p * r((k === target ? atTarget : 0) - weighted)));
  return { loss: r(-Math.log(inside)), gradient };
}

function logsumexpLoss(z, target, r) {
  const maximum = Math.max(...z);
  const powers = z.map((x) => r(Math.exp(r(x - maximum))));
  const sum = total(powers, r);
  const gradient = powers.map((power) => r(power / sum));
  const wrong = gradient.filter((_, k) => k !== target);
  gradient[target] = -total(wrong, r);
  return { loss: r(r(Math.log(sum)) + r(maximum - z[target])), gradient };
}
