/**
 * Prediction sets with a guaranteed coverage from the rows of trust.js: the twin of softclass.trust.prediction_sets.
 *
 * A set holds each class whose score is at most the k-th smallest score of the true classes of n calibration rows. For
 * rows exchangeable with those it contains the true class with at least the probability that was asked for.
 */

/**
 * How untypical each entry of each row is; low is typical.
 * @param {Float64Array} p - of one class of each entry, at the temperature
 * @param {"lac"|"aps"|"raps"} method
 * @param {{penalty?: number, free?: number}} [constants] - of "raps"
 * @returns {Float64Array} n x width. "lac": the log loss if that class were true. "aps": p of all classes before it,
 *   and its own times the u of the row. "raps": plus `penalty` for each place behind the first `free`
 */
export function setScores(rows, p, T, method, { penalty = 0.01, free = 1 } = {}) {
  const { n, width, logits, times, u } = rows;
  const scores = new Float64Array(n * width);
  const order = new Int32Array(width);
  for (let i = 0; i < n; i += 1) {
    const at = i * width;
    if (method === "lac") {
      lacScores(scores, logits, times, at, width, T);
      continue;
    }
    for (let k = 0; k < width; k += 1) order[k] = k;
    order.sort((a, b) => logits[at + b] - logits[at + a] || a - b);
    let [before, place] = [0, 0];
    for (const k of order) {
      const count = times === null ? 1 : times[at + k];
      scores[at + k] = before + u[i] * count * p[at + k];
      // An entry that stands for several classes is ranked at their middle.
      if (method === "raps") scores[at + k] += penalty * Math.max(0, place + (count + 1) / 2 - free);
      before += count * p[at + k];
      place += count;
    }
  }
  return scores;
}

function lacScores(scores, logits, times, at, width, T) {
  let best = 0;
  for (let k = 1; k < width; k += 1) if (logits[at + k] > logits[at + best]) best = k;
  let others = 0;
  for (let k = 0; k < width; k += 1) {
    scores[at + k] = (logits[at + best] - logits[at + k]) / T;
    if (k !== best) others += Math.exp(-scores[at + k]) * (times === null ? 1 : times[at + k]);
  }
  const rest = Math.log1p(others);
  for (let k = 0; k < width; k += 1) scores[at + k] += rest;
}

/** Scores of the true classes, ascending; infinite for a class that the model does not know. */
export function ownScores({ n, width, own }, scores) {
  return Float64Array.from({ length: n }, (_, i) => (own[i] < 0 ? Infinity : scores[i * width + own[i]])).sort();
}

/** Which of n sorted scores is the limit for alpha percent: ceil((n + 1)(100 - alpha) / 100), in integers. */
export const rank = (n, alpha) => Math.floor(((n + 1) * (100 - alpha) + 99) / 100);

/** The largest score that a class of a set may have; infinite, so that sets are full, if n rows cannot promise it. */
export function quantile(sorted, alpha) {
  const k = rank(sorted.length, alpha);
  return k <= sorted.length ? sorted[k - 1] : Infinity;
}

/**
 * The sets of rows and what they did.
 * @param {Float64Array} scores - of setScores
 * @param {number} limit - of quantile
 * @returns {{n: number, covered: number, empty: number, meanSize: number, sizes: Int32Array, histogram: number[],
 *   contains: Uint8Array, byClass: {n: number, covered: number, size: number}[]}} `sizes` and `contains` (whether the
 *   true class is in) a row; `histogram[s]` rows with s classes; `size` of a class summed over its rows
 */
export function sets({ n, width, classes, times, own, targets }, scores, limit) {
  const [sizes, contains] = [new Int32Array(n), new Uint8Array(n)];
  const byClass = Array.from({ length: classes }, () => ({ n: 0, covered: 0, size: 0 }));
  const histogram = [];
  let [covered, empty, total] = [0, 0, 0];
  for (let i = 0; i < n; i += 1) {
    const at = i * width;
    let size = 0;
    for (let k = 0; k < width; k += 1) if (scores[at + k] <= limit) size += times === null ? 1 : times[at + k];
    sizes[i] = size;
    contains[i] = own[i] >= 0 && scores[at + own[i]] <= limit ? 1 : 0;
    histogram[size] = (histogram[size] ?? 0) + 1;
    covered += contains[i];
    empty += size === 0 ? 1 : 0;
    total += size;
    if (targets[i] < 0) continue;
    const mine = byClass[targets[i]];
    mine.n += 1;
    mine.covered += contains[i];
    mine.size += size;
  }
  const filled = Array.from(histogram, (count) => count ?? 0);
  return { n, covered, empty, meanSize: total / n, sizes, histogram: filled, contains, byClass };
}

/** The classes in the set of row i, most typical first; -1 stands for all classes that are not named one by one. */
export function members({ width, columns, times }, scores, limit, i) {
  const entries = Array.from({ length: width }, (_, k) => k).filter((k) => scores[i * width + k] <= limit);
  entries.sort((a, b) => scores[i * width + a] - scores[i * width + b] || a - b);
  return entries
    .filter((k) => times === null || times[i * width + k] > 0)
    .map((k) => (columns === null ? k : columns[i * width + k]));
}

/**
 * Where the true coverage of one model lies in 90 of 100 draws of its calibration rows: 5 % and 95 % quantile of
 * Beta(n + 1 - l, l) with l = floor((n + 1) alpha / 100).
 * @param {number} n - calibration rows
 * @param {number} alpha - in percent
 * @returns {number[]} both ends; 1 and 1 if the sets are full
 */
export function coverageBand(n, alpha) {
  const k = rank(n, alpha);
  return k > n ? [1, 1] : [betaQuantile(0.05, k, n + 1 - k), betaQuantile(0.95, k, n + 1 - k)];
}

/** The number that a draw from Beta(a, b) stays below with this probability; a and b at least 1. */
function betaQuantile(share, a, b) {
  const scale = logGammaRatio(a, b);
  let [low, high, x] = [0, 1, a / (a + b)];
  for (let turn = 0; turn < 200; turn += 1) {
    const error = betaCumulative(x, a, b) - share;
    if (error > 0) high = x;
    else low = x;
    const density = Math.exp(scale + (a - 1) * Math.log(x) + (b - 1) * Math.log1p(-x));
    let step = density > 0 ? x - error / density : low;
    if (!(low < step && step < high)) step = (low + high) / 2;
    if (Math.abs(step - x) <= 1e-16 + 1e-15 * x) return step;
    x = step;
  }
  return x;
}

/** The regularised incomplete beta function by its continued fraction (DLMF 8.17.22). */
export function betaCumulative(x, a, b) {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  const front = Math.exp(logGammaRatio(a, b) + a * Math.log(x) + b * Math.log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return (front * continuedFraction(x, a, b)) / a;
  return 1 - (front * continuedFraction(1 - x, b, a)) / b;
}

/** Log of Gamma(a + b) / (Gamma(a) Gamma(b)); large parts cancel before they are added up. */
function logGammaRatio(a, b) {
  const [small, large] = [Math.min(a, b), Math.max(a, b)];
  const total = small + large;
  let ratio = (large - 0.5) * Math.log1p(small / large) + small * Math.log(total) - small;
  ratio += stirlingRest(total) - stirlingRest(large);
  return ratio - logGamma(small);
}

const logGamma = (x) => (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + stirlingRest(x);

/** Log Gamma(x) less its Stirling formula (DLMF 5.11.1), from above 20 downwards by Gamma(x + 1) = x Gamma(x). */
function stirlingRest(x) {
  if (x < 20) return stirlingRest(x + 1) + (x + 0.5) * Math.log1p(1 / x) - 1;
  const s = 1 / (x * x);
  return (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188)))) / x;
}

function continuedFraction(x, a, b) {
  const away = (value) => (Math.abs(value) > 1e-300 ? value : 1e-300);
  let c = 1;
  let d = 1 / away(1 - ((a + b) * x) / (a + 1));
  let value = d;
  for (let m = 1; m < 10_000; m += 1) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    for (const term of [even, odd]) {
      d = 1 / away(1 + term * d);
      c = away(1 + term / c);
      value *= d * c;
    }
    if (Math.abs(d * c - 1) < 1e-16) break;
  }
  return value;
}
