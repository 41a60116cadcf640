/** Softmax as a short number type computes it, operation by operation, with and without the shift by the maximum. */
import { round } from "softclass/precision";

/** e^{z_k} over their sum, each operation rounded, from the left to the right. */
function quotients(exponents, precision) {
  const powers = exponents.map((exponent) => round(Math.exp(exponent), precision));
  const total = powers.reduce((sum, power) => round(sum + power, precision), 0);
  return powers.map((power) => round(power / total, precision));
}

/**
 * Softmax as it is printed in textbooks: e^z overflows for large z, and infinity over infinity is NaN.
 * @param {number[]} logits already divided by the temperature
 * @param {"f64"|"f32"|"bf16"|"f16"} precision
 */
export function naiveSoftmax(logits, precision) {
  return quotients(logits.map((z) => round(z, precision)), precision);
}

/** The same after the largest logit is taken from all: the largest exponent is 0, so nothing overflows. */
export function shiftedSoftmax(logits, precision) {
  const rounded = logits.map((z) => round(z, precision));
  const largest = Math.max(...rounded);
  return quotients(rounded.map((z) => round(z - largest, precision)), precision);
}
