/** Four rules that turn gradients into steps. */

/** Points in a batch of `sgd`, `momentum` and `adam`. */
export const BATCH = 10;

const KEPT = 0.9; // momentum: share of the last step that goes on
const FIRST = 0.9; // Adam: memory of the mean of the gradient
const SECOND = 0.999; // Adam: memory of the mean of its square
const FLOOR = 1e-8; // Adam: added to the root

/**
 * A rule with its memory.
 * @param {string} name - gd, which reads all points a step; or sgd, momentum, adam, which read batches in an order
 *   that is drawn again every epoch
 * @param {number} n - number of parameters
 * @returns {(parameters: Float64Array, gradient: Float64Array, learningRate: number) => void} changes `parameters`
 */
export function createOptimizer(name, n) {
  if (name === "momentum") return momentum(n);
  if (name === "adam") return adam(n);
  return descend;
}

/** p - eta g. */
function descend(parameters, gradient, learningRate) {
  for (let i = 0; i < parameters.length; i += 1) parameters[i] -= learningRate * gradient[i];
}

/** v = 0.9 v + g; p - eta v. */
function momentum(n) {
  const speed = new Float64Array(n);
  return (parameters, gradient, learningRate) => {
    for (let i = 0; i < n; i += 1) {
      speed[i] = KEPT * speed[i] + gradient[i];
      parameters[i] -= learningRate * speed[i];
    }
  };
}

/** Adam (Kingma and Ba, 2015) with both corrections of the start. */
function adam(n) {
  const mean = new Float64Array(n);
  const square = new Float64Array(n);
  let steps = 0;
  return (parameters, gradient, learningRate) => {
    steps += 1;
    const whole = 1 - FIRST ** steps;
    const wholeSquare = 1 - SECOND ** steps;
    for (let i = 0; i < n; i += 1) {
      mean[i] = FIRST * mean[i] + (1 - FIRST) * gradient[i];
      square[i] = SECOND * square[i] + (1 - SECOND) * gradient[i] * gradient[i];
      parameters[i] -= (learningRate * (mean[i] / whole)) / (Math.sqrt(square[i] / wholeSquare) + FLOOR);
    }
  };
}
