/**
 * Fully connected networks on two numbers a point: none to three hidden layers, forward and backward, in float64.
 *
 * All weights and biases stand in one flat array, layer by layer: the weight [out, in] row by row, then the bias. So an
 * optimiser sees one vector, and a run can be copied by copying it. Without a hidden layer this is softmax regression.
 */
import { argmax, headLoss } from "softclass/heads";

/** Value of a unit, and its derivative written with that value. */
const RULES = {
  tanh: { value: Math.tanh, slope: (a) => 1 - a * a, variance: 1 },
  relu: { value: (z) => (z > 0 ? z : 0), slope: (a) => (a > 0 ? 1 : 0), variance: 2 },
  sigmoid: { value: (z) => 1 / (1 + Math.exp(-z)), slope: (a) => a * (1 - a), variance: 1 },
};

/**
 * A network with all weights 0.
 * @typedef {object} Mlp
 * @property {number[]} sizes - inputs, hidden units of each layer, classes
 * @property {string} activation
 * @property {Float64Array} parameters
 * @property {{nIn: number, nOut: number, weight: Float64Array, bias: Float64Array}[]} layers - views of `parameters`
 * @property {Float64Array[]} values - what the layers gave for the point seen last; the last one holds the logits
 * @param {string} activation - tanh, relu or sigmoid
 */
export function createMlp(sizes, activation) {
  const parameters = new Float64Array(countParameters(sizes));
  const layers = [];
  let start = 0;
  for (let l = 1; l < sizes.length; l += 1) {
    const [nIn, nOut] = [sizes[l - 1], sizes[l]];
    const weight = parameters.subarray(start, start + nIn * nOut);
    start += nIn * nOut;
    layers.push({ nIn, nOut, weight, bias: parameters.subarray(start, start + nOut) });
    start += nOut;
  }
  const values = layers.map((layer) => new Float64Array(layer.nOut));
  const pushes = layers.map((layer) => new Float64Array(layer.nOut));
  return { sizes: [...sizes], activation, parameters, layers, values, pushes };
}

/** Number of weights and biases. */
function countParameters(sizes) {
  let count = 0;
  for (let l = 1; l < sizes.length; l += 1) count += (sizes[l - 1] + 1) * sizes[l];
  return count;
}

/**
 * Start a network: biases 0, hidden weights normal with variance 1 / inputs (2 / inputs for ReLU), the last layer's
 * normal with variance 1 / inputs and multiplied by `scale`, so that a large scale starts confident and at random.
 * @param {number} scale - of the last layer, 0 or more
 */
export function startAtRandom(mlp, random, scale) {
  mlp.layers.forEach((layer, l) => {
    const isLast = l === mlp.layers.length - 1;
    const spread = isLast ? scale / Math.sqrt(layer.nIn) : Math.sqrt(RULES[mlp.activation].variance / layer.nIn);
    for (let at = 0; at < layer.weight.length; at += 1) layer.weight[at] = random.normal() * spread;
    layer.bias.fill(0);
  });
}

/**
 * Start softmax regression confidently wrong: row k of the weight is `scale` times the middle of class k + 1.
 * @param {Mlp} mlp - without hidden layers
 * @param {number[][]} middles - one [x, y] a class
 */
export function startAllWrong(mlp, middles, scale) {
  const [layer] = mlp.layers;
  for (let k = 0; k < layer.nOut; k += 1) {
    const middle = middles[(k + 1) % layer.nOut];
    for (let d = 0; d < layer.nIn; d += 1) layer.weight[k * layer.nIn + d] = scale * middle[d];
  }
  layer.bias.fill(0);
}

/**
 * Pass one point through; `mlp.values` then holds what every unit gave.
 * @param {Float64Array} features - of all points, one after the other
 * @param {number} row - which point
 * @returns {Float64Array} the logits; the same array each time
 */
export function logitsAt(mlp, features, row) {
  const rule = RULES[mlp.activation].value;
  let input = features;
  let from = row * mlp.sizes[0];
  for (let l = 0; l < mlp.layers.length; l += 1) {
    const { nIn, nOut, weight, bias } = mlp.layers[l];
    const out = mlp.values[l];
    const isLast = l === mlp.layers.length - 1;
    for (let unit = 0, at = 0; unit < nOut; unit += 1) {
      let sum = bias[unit];
      for (let i = 0; i < nIn; i += 1, at += 1) sum += weight[at] * input[from + i];
      out[unit] = isLast ? sum : rule(sum);
    }
    input = out;
    from = 0;
  }
  return input;
}

/**
 * Mean loss over points, how many are right, and, where asked, the gradient of that mean by all parameters.
 * @param {string} head - one of HEADS of softclass/heads
 * @param {{features: Float64Array, targets: ArrayLike<number>}} points
 * @param {ArrayLike<number> | null} rows - which points; null for all
 * @param {Float64Array | null} gradient - is overwritten, as long as `mlp.parameters`
 * @returns {{loss: number, right: number, n: number}} a tie counts for the class that comes first
 */
export function lossOf(mlp, head, points, rows, gradient) {
  const n = rows === null ? points.targets.length : rows.length;
  const push = mlp.pushes[mlp.pushes.length - 1];
  let loss = 0;
  let right = 0;
  if (gradient !== null) gradient.fill(0);
  for (let i = 0; i < n; i += 1) {
    const row = rows === null ? i : rows[i];
    const target = points.targets[row];
    const logits = logitsAt(mlp, points.features, row);
    if (argmax(logits) === target) right += 1;
    loss += headLoss(head, logits, target, push);
    if (gradient !== null) addGradient(mlp, points.features, row, gradient);
  }
  if (gradient !== null) for (let at = 0; at < gradient.length; at += 1) gradient[at] /= n;
  return { loss: loss / n, right, n };
}

/** Add the gradient of one point, whose push on the logits stands in the last of `mlp.pushes`. */
function addGradient(mlp, features, row, gradient) {
  const slope = RULES[mlp.activation].slope;
  let end = gradient.length;
  for (let l = mlp.layers.length - 1; l >= 0; l -= 1) {
    const { nIn, nOut, weight } = mlp.layers[l];
    const push = mlp.pushes[l];
    const input = l === 0 ? features : mlp.values[l - 1];
    const from = l === 0 ? row * nIn : 0;
    const biasAt = end - nOut;
    const weightAt = biasAt - nIn * nOut;
    for (let unit = 0, at = weightAt; unit < nOut; unit += 1) {
      gradient[biasAt + unit] += push[unit];
      for (let i = 0; i < nIn; i += 1, at += 1) gradient[at] += push[unit] * input[from + i];
    }
    end = weightAt;
    if (l === 0) continue;
    const below = mlp.pushes[l - 1];
    below.fill(0);
    for (let unit = 0, at = 0; unit < nOut; unit += 1) {
      for (let i = 0; i < nIn; i += 1, at += 1) below[i] += weight[at] * push[unit];
    }
    for (let i = 0; i < nIn; i += 1) below[i] *= slope(input[i]);
  }
}

/** Add the gradient of the penalty strength / 2 times the sum of the squared weights; biases are free. */
export function addPenalty(mlp, strength, gradient) {
  let at = 0;
  for (const { weight, nOut } of mlp.layers) {
    for (let i = 0; i < weight.length; i += 1) gradient[at + i] += strength * weight[i];
    at += weight.length + nOut;
  }
}
