/**
 * Are the probabilities true? Mistakes, reliability and temperature from logits and targets: the twin of
 * softclass.trust.
 *
 * A table of rows holds `width` entries a row. Usually an entry is a class. Where there were too many numbers, a row
 * has its largest logits, the logit of its own class, and one entry that stands for all other classes, as if they were
 * equal: then everything is exact at T = 1 but for what asks about those classes one by one.
 */
import { generator } from "softclass/random";

/** Bins that a calibration error has where nothing else is said; that of softclass.trust. */
const ECE_BINS = 15;
const [LOWEST_BETA, HIGHEST_BETA] = [0.01, 100];
const MAX_EVALUATIONS = 60;

/**
 * Rows of logits with the class that was right.
 * @typedef {object} Rows
 * @property {number} n - rows
 * @property {number} classes - K
 * @property {number} width - entries a row
 * @property {Float64Array} logits - n x width
 * @property {?Int32Array} columns - class of each entry, -1 for the rest; null: entry k is class k
 * @property {?Float64Array} times - how many classes an entry stands for; null: one each
 * @property {Int32Array} targets - class, -1 for one that the model does not know
 * @property {Int32Array} own - the entry of that class in its row, -1 if unknown
 * @property {Int32Array} index - which row of the evaluation it is
 * @property {Float64Array} u - a number in [0, 1) a row, for randomised scores
 */

/**
 * The rows of an evaluation, or some of them.
 * @param {object} evaluation - `n`, `classes`, `logits` {data, shape}, `targets`, `u`; with `top` {columns, lse, own}
 *   the logits are only the largest of each row, falling
 * @param {ArrayLike<number>} [index] - which rows; all of them if absent
 */
export function rowsOf(evaluation, index = Int32Array.from({ length: evaluation.n }, (_, i) => i)) {
  const { logits, targets, top } = evaluation;
  const [n, classes, given] = [index.length, evaluation.classes.length, logits.shape[1]];
  const width = top ? given + 2 : given;
  const rows = {
    n, classes, width, logits: new Float64Array(n * width), columns: top ? new Int32Array(n * width) : null,
    times: top ? new Float64Array(n * width) : null, targets: Int32Array.from(index, (i) => targets[i]),
    own: new Int32Array(n), index: Int32Array.from(index), u: new Float64Array(n),
  };
  const random = evaluation.u ? null : generator(0);
  const u = evaluation.u ?? Float64Array.from({ length: evaluation.n }, () => random.next());
  for (let i = 0; i < n; i += 1) {
    const [from, to, target] = [index[i] * given, i * width, rows.targets[i]];
    for (let k = 0; k < given; k += 1) rows.logits[to + k] = logits.data[from + k];
    rows.u[i] = u[index[i]];
    rows.own[i] = target;
    if (top) rows.own[i] = complete(rows, i, top, index[i], from, given);
  }
  return rows;
}

/** Fill in the classes of a row that has only its largest logits; returns the entry of the row's own class. */
function complete(rows, i, top, source, from, given) {
  const [to, target] = [i * rows.width, rows.targets[i]];
  const mass = top.lse[source];
  let [own, named, left] = [-1, given, 1];
  for (let k = 0; k < given; k += 1) {
    rows.columns[to + k] = top.columns[from + k];
    rows.times[to + k] = 1;
    left -= Math.exp(rows.logits[to + k] - mass);
    if (rows.columns[to + k] === target) own = k;
  }
  const outside = target >= 0 && own < 0;
  rows.columns[to + given] = outside ? target : -1;
  rows.logits[to + given] = outside ? top.own[source] : -Infinity;
  rows.times[to + given] = outside ? 1 : 0;
  if (outside) [own, named, left] = [given, given + 1, left - Math.exp(top.own[source] - mass)];
  const rest = rows.classes - named;
  rows.columns[to + given + 1] = -1;
  rows.times[to + given + 1] = rest;
  rows.logits[to + given + 1] = rest > 0 && left > 0 ? mass + Math.log(left / rest) : -Infinity;
  return own;
}

/**
 * Which rows a calibration learns from, and which ones it is judged by.
 * @param {object} evaluation - `n` and `role` (0 test, 1 calibration)
 * @param {"role"|number} by - the roles of the rows, or the seed of an order whose first half calibrates
 * @returns {{calibration: Int32Array, test: Int32Array}}
 */
export function split({ n, role }, by) {
  if (by !== "role") {
    const order = generator(by).permutation(n);
    const half = Math.floor(n / 2);
    return {
      calibration: Int32Array.from(order.slice(0, half)).sort(),
      test: Int32Array.from(order.slice(half)).sort(),
    };
  }
  const all = Array.from({ length: n }, (_, i) => i);
  return {
    calibration: Int32Array.from(all.filter((i) => role[i] === 1)),
    test: Int32Array.from(all.filter((i) => role[i] !== 1)),
  };
}

/**
 * What each row says at a temperature.
 * @param {number} [T] - logits are divided by it
 * @returns {{p: Float64Array, loss: Float64Array, brier: Float64Array, confidence: Float64Array,
 *   predicted: Int32Array}}
 *   p of one class of each entry (n x width); log loss in nats, infinite for an unknown class; Brier score summed over
 *   classes; the largest p and its class, the first one of equals
 */
export function atTemperature(rows, T = 1) {
  const { n, width, logits, times, columns, own } = rows;
  const p = new Float64Array(n * width);
  const [loss, brier, confidence] = [new Float64Array(n), new Float64Array(n), new Float64Array(n)];
  const predicted = new Int32Array(n);
  for (let i = 0; i < n; i += 1) {
    const at = i * width;
    let best = 0;
    for (let k = 1; k < width; k += 1) if (logits[at + k] > logits[at + best]) best = k;
    const largest = logits[at + best];
    let others = 0;
    for (let k = 0; k < width; k += 1) {
      const power = k === best ? 1 : Math.exp((logits[at + k] - largest) / T);
      p[at + k] = power;
      if (k !== best) others += times === null ? power : times[at + k] * power;
    }
    const sum = 1 + others;
    let squares = 0;
    for (let k = 0; k < width; k += 1) {
      p[at + k] /= sum;
      squares += (times === null ? 1 : times[at + k]) * p[at + k] * p[at + k];
    }
    const mine = own[i] < 0 ? 0 : p[at + own[i]];
    loss[i] = own[i] < 0 ? Infinity : Math.abs((largest - logits[at + own[i]]) / T + Math.log1p(others));
    brier[i] = Math.max(squares - mine * mine, 0) + (1 - mine) * (1 - mine);
    confidence[i] = Math.min(p[at + best], 1);
    predicted[i] = columns === null ? best : columns[at + best];
  }
  return { p, loss, brier, confidence, predicted };
}

/** p of one class in every row; where it is not among the largest of a row, that of its rest. */
export function ofClass(rows, { p }, k) {
  const { n, width, columns } = rows;
  return Float64Array.from({ length: n }, (_, i) => {
    const at = i * width;
    if (columns === null) return p[at + k];
    for (let entry = 0; entry < width; entry += 1) if (columns[at + entry] === k) return p[at + entry];
    return p[at + width - 1];
  });
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Mean log loss in nats: over all rows, infinite with a class that the model does not know; and over the others. */
export function logLoss({ loss }) {
  const known = loss.filter((value) => value < Infinity);
  return { value: mean(loss), knownRows: mean(known), unknown: loss.length - known.length };
}

/** Mean Brier score, summed over classes, in [0, 2]. */
export const brier = (found) => mean(found.brier);

/**
 * Rows of each true class that were predicted as each class; only those that occur.
 * @param {ArrayLike<number>} targets - -1: unknown to the model, counted apart
 * @returns {{count: function(number, number): number, cells: {truth: number, predicted: number, rows: number[]}[],
 *   truths: Int32Array, answers: Int32Array, hits: Int32Array, unknown: number}} `rows` of a cell are positions;
 *   `answers` are the predictions of each class, with those on rows of unknown classes
 */
export function confusion(targets, predicted, classes) {
  const cells = new Map();
  const [truths, answers, hits] = [new Int32Array(classes), new Int32Array(classes), new Int32Array(classes)];
  let unknown = 0;
  for (let i = 0; i < targets.length; i += 1) {
    answers[predicted[i]] += 1;
    if (targets[i] < 0) {
      unknown += 1;
      continue;
    }
    truths[targets[i]] += 1;
    if (targets[i] === predicted[i]) hits[targets[i]] += 1;
    const name = targets[i] * classes + predicted[i];
    if (!cells.has(name)) cells.set(name, { truth: targets[i], predicted: predicted[i], rows: [] });
    cells.get(name).rows.push(i);
  }
  const count = (truth, answer) => cells.get(truth * classes + answer)?.rows.length ?? 0;
  return { count, cells: [...cells.values()], truths, answers, hits, unknown };
}

/** The pairs of classes that are taken for each other most often: cells off the diagonal, most rows first. */
export function topPairs({ cells }, most = 10) {
  const wrong = cells.filter((cell) => cell.truth !== cell.predicted);
  wrong.sort((a, b) => b.rows.length - a.rows.length || a.truth - b.truth || a.predicted - b.predicted);
  return wrong.slice(0, most);
}

/** Precision and recall of class k; null where nothing is there to divide by. */
export function perClass({ truths, answers, hits }, k) {
  return {
    n: truths[k],
    precision: answers[k] ? hits[k] / answers[k] : null,
    recall: truths[k] ? hits[k] / truths[k] : null,
  };
}

/**
 * Bins of a reliability diagram.
 * @param {Float64Array} confidence - promised probabilities
 * @param {ArrayLike<boolean|number>} right - whether that came true
 * @param {{number?: number, by?: "width"|"mass"}} [how] - equal width (low, high] on [0, 1], 0 in the first bin; or
 *   about equal rows, equal confidences together
 * @returns {{low: number, high: number, n: number, confidence: number, share: number, gap: number}[]} bins that hold
 *   rows; mean confidence, share that came true, and share minus confidence
 */
export function bins(confidence, right, { number = ECE_BINS, by = "width" } = {}) {
  const { bin, edges } = by === "mass" ? equalMass(confidence, number) : equalWidth(confidence, number);
  const found = edges.slice(1).map((high, b) => ({ low: edges[b], high, n: 0, confidence: 0, hits: 0, excess: 0 }));
  for (let i = 0; i < confidence.length; i += 1) {
    const one = found[bin[i]];
    const came = right[i] ? 1 : 0;
    one.n += 1;
    one.confidence += confidence[i];
    one.hits += came;
    one.excess += confidence[i] - came;
  }
  return found
    .filter(({ n }) => n > 0)
    .map(({ low, high, n, confidence: sum, hits, excess }) => ({
      low, high, n, confidence: sum / n, share: hits / n, gap: -excess / n,
    }));
}

function equalWidth(confidence, number) {
  const edges = Array.from({ length: number + 1 }, (_, b) => (b === number ? 1 : b * (1 / number)));
  const bin = new Int32Array(confidence.length);
  for (let i = 0; i < confidence.length; i += 1) {
    // The product may land one bin off where a confidence lies on an edge.
    let b = Math.min(Math.max(Math.ceil(confidence[i] * number) - 1, 0), number - 1);
    while (b > 0 && confidence[i] <= edges[b]) b -= 1;
    while (b < number - 1 && confidence[i] > edges[b + 1]) b += 1;
    bin[i] = b;
  }
  return { bin, edges };
}

function equalMass(confidence, number) {
  const n = confidence.length;
  const sorted = Float64Array.from(confidence).sort();
  const starts = [0];
  for (let b = 1; b < number; b += 1) {
    let start = Math.floor((b * n) / number);
    while (start > 0 && sorted[start - 1] === sorted[start]) start -= 1;
    if (start > starts.at(-1)) starts.push(start);
  }
  const cuts = starts.slice(1).map((start) => sorted[start]);
  const bin = Int32Array.from(confidence, (value) => {
    let b = 0;
    while (b < cuts.length && value >= cuts[b]) b += 1;
    return b;
  });
  return { bin, edges: [sorted[0], ...cuts, sorted[n - 1]] };
}

/** Expected calibration error of bins: the mean over rows of the distance between confidence and share. */
export function ece(found) {
  const rows = found.reduce((sum, { n }) => sum + n, 0);
  return found.reduce((sum, { n, gap }) => sum + n * Math.abs(gap), 0) / rows;
}

/**
 * The calibration error that luck alone shows: rows are right with the probability that was promised, again and again.
 * @param {{number?: number, by?: string}} how - as in `bins`
 * @param {{draws?: number, seed?: number}} [chance]
 * @returns {{mean: number, high: number}} mean and 95 % quantile
 */
export function nullBand(confidence, how, { draws = 1000, seed = 0 } = {}) {
  const n = confidence.length;
  const { bin, edges } = how.by === "mass" ? equalMass(confidence, how.number) : equalWidth(confidence, how.number);
  const { next } = generator(seed);
  const promised = new Float64Array(edges.length - 1);
  for (let i = 0; i < n; i += 1) promised[bin[i]] += confidence[i];
  const found = new Float64Array(draws);
  const hits = new Float64Array(promised.length);
  for (let draw = 0; draw < draws; draw += 1) {
    hits.fill(0);
    for (let i = 0; i < n; i += 1) if (next() < confidence[i]) hits[bin[i]] += 1;
    for (let b = 0; b < hits.length; b += 1) found[draw] += Math.abs(hits[b] - promised[b]) / n;
  }
  found.sort();
  const place = 0.95 * (draws - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, draws - 1);
  return { mean: mean(found), high: found[below] + (place - below) * (found[above] - found[below]) };
}

/**
 * Mean log loss as a function of the inverse temperature, its slope and curvature; without rows of unknown classes.
 * @param {{smooth?: boolean}} [how] - with half a row of doubt spread over the classes, as training takes it
 * @returns {{size: number, at: function(number): {loss: number, slope: number, curvature: number}}} `size` is the
 *   largest distance of a logit from the mean of its row
 */
export function lossOfBeta({ n, width, logits, times, classes, own }, { smooth = false } = {}) {
  const known = own.reduce((sum, entry) => sum + (entry < 0 ? 0 : 1), 0);
  const centred = new Float64Array(known * width);
  const weights = times === null ? null : new Float64Array(known * width);
  let [row, aimed, size] = [0, 0, 0];
  for (let i = 0; i < n; i += 1) {
    if (own[i] < 0) continue;
    const [from, to] = [i * width, row * width];
    let sum = 0;
    // An entry that stands for no class must not make the mean infinite.
    for (let k = 0; k < width; k += 1)
      if (times === null || times[from + k] > 0) sum += (times === null ? 1 : times[from + k]) * logits[from + k];
    for (let k = 0; k < width; k += 1) {
      const counts = times === null ? 1 : times[from + k];
      centred[to + k] = counts > 0 ? logits[from + k] - sum / classes : 0;
      if (weights) weights[to + k] = counts;
      size = Math.max(size, Math.abs(centred[to + k]));
    }
    aimed += centred[to + own[i]];
    row += 1;
  }
  aimed *= (smooth ? 1 - 1 / (2 * (known + 1)) : 1) / known;
  const at = (beta) => {
    let [loss, slope, curvature] = [0, 0, 0];
    for (let i = 0; i < known; i += 1) {
      const from = i * width;
      let largest = centred[from];
      for (let k = 1; k < width; k += 1) if (centred[from + k] > largest) largest = centred[from + k];
      let [sum, first, second] = [0, 0, 0];
      for (let k = 0; k < width; k += 1) {
        const z = centred[from + k];
        const power = Math.exp(beta * (z - largest)) * (weights ? weights[from + k] : 1);
        sum += power;
        first += power * (z - largest);
        second += power * (z - largest) * (z - largest);
      }
      const average = first / sum;
      loss += beta * largest + Math.log(sum);
      slope += largest + average;
      curvature += Math.max(second / sum - average * average, 0);
    }
    return { loss: loss / known - beta * aimed, slope: slope / known - aimed, curvature: curvature / known };
  };
  return { size, at };
}

/**
 * The temperature of least log loss: Newton's method on the slope over beta = 1/T, inside a shrinking bracket.
 * @param {{smooth?: boolean}} [how] - see lossOfBeta
 * @returns {number} T in [0.01, 100]
 */
export function fitTemperature(rows, how) {
  const { size, at } = lossOfBeta(rows, how);
  let [low, high, beta] = [LOWEST_BETA, HIGHEST_BETA, 1];
  for (let evaluation = 0; evaluation < MAX_EVALUATIONS; evaluation += 1) {
    const { slope, curvature } = at(beta);
    if (Math.abs(slope) <= 1e-10 * size) break;
    if (slope < 0) low = beta;
    else high = beta;
    let step = curvature > 0 ? beta - slope / curvature : high;
    if (!(low < step && step < high)) {
      step = Math.sqrt(low * high);
      if (step === low || step === high) break;
      // A bracket that never moved off a bound: is the minimum there?
      if (low === LOWEST_BETA && at(low).slope >= 0) return 1 / low;
      if (high === HIGHEST_BETA && at(high).slope <= 0) return 1 / high;
    }
    beta = step;
  }
  return 1 / beta;
}
