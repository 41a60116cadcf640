/**
 * Logits to probabilities: the functions of softclass.functions.softmax, for one row of float64 numbers.
 *
 * Everything is measured from the largest logit, and the sum of all the other classes (`rest`) is kept apart from its
 * own 1: so 1 - p of the leading class keeps its digits when p is next to 1.
 */

/**
 * A row of logits seen from its maximum.
 * @typedef {object} Row
 * @property {number} maximum - the largest logit; NaN if there is a NaN, -Infinity for an empty row
 * @property {number} first - its first index, -1 for an empty row
 * @property {number[]} distances - (z - maximum) / T, at most 0
 * @property {number[]} powers - e to these distances
 * @property {number} rest - the sum of the powers of all classes but `first`
 */

/**
 * Look at a row from its maximum.
 * @returns {Row}
 */
export function fromMaximum(logits, temperature = 1) {
  let maximum = -Infinity;
  let first = logits.length > 0 ? 0 : -1;
  for (let k = 0; k < logits.length; k += 1) {
    if (Number.isNaN(logits[k])) {
      maximum = NaN;
      break;
    }
    if (logits[k] > maximum) {
      maximum = logits[k];
      first = k;
    }
  }
  const distances = [];
  const powers = [];
  let rest = 0;
  for (let k = 0; k < logits.length; k += 1) {
    // A row of -Infinity only, or with +Infinity twice, has no limit: the difference makes it NaN.
    const distance = k === first && maximum > -Infinity ? 0 : logits[k] - maximum;
    const power = Math.exp(distance / temperature);
    distances.push(distance / temperature);
    powers.push(power);
    if (k !== first) rest += power;
  }
  return { maximum, first, distances, powers, rest };
}

/**
 * Logarithm of the sum of the exponentials, in nats: ln sum_k e^{z_k}.
 * @returns {number} -Infinity for an empty row or one of -Infinity only, NaN for a row with NaN
 */
export function logsumexp(logits) {
  const { maximum, rest } = fromMaximum(logits);
  return Math.abs(maximum) === Infinity ? maximum : maximum + Math.log1p(rest);
}

/**
 * Softmax: p_k = e^{z_k / T} / sum_j e^{z_j / T}.
 * @param {number} [temperature] - finite, above 0
 * @returns {number[]} sums to 1; all NaN where no limit exists
 */
export function softmax(logits, temperature = 1) {
  const { powers, rest } = fromMaximum(logits, temperature);
  return powers.map((power) => power / (1 + rest));
}

/**
 * Logarithm of the softmax, in nats: also where the probabilities underflow.
 * @param {number} [temperature] - finite, above 0
 */
export function logSoftmax(logits, temperature = 1) {
  const { distances, rest } = fromMaximum(logits, temperature);
  const sum = Math.log1p(rest);
  return distances.map((distance) => distance - sum);
}

/** What is missing to 1 in every probability, 1 - p_k, without the cancellation at p_k next to 1. */
export function complements(logits) {
  const { first, powers, rest } = fromMaximum(logits);
  return powers.map((power, k) => (k === first ? rest / (1 + rest) : 1 - power / (1 + rest)));
}

/**
 * Entropy of a distribution in nats, -sum_k p_k ln p_k; a probability of 0 adds 0.
 *
 * Next to 1 the logarithm is taken of what the other classes leave over: ln(1 - q) keeps the digits of a small q.
 */
export function entropy(probabilities) {
  let sum = 0;
  for (let k = 0; k < probabilities.length; k += 1) {
    const p = probabilities[k];
    if (p > 0.5) sum -= p * Math.log1p(-others(probabilities, k));
    else if (p !== 0) sum -= p * Math.log(p);
  }
  return sum;
}

/** The sum of all probabilities but one. */
export function others(probabilities, index) {
  let sum = 0;
  for (let k = 0; k < probabilities.length; k += 1) if (k !== index) sum += probabilities[k];
  return sum;
}
