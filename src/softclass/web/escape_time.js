/**
 * How long gradient descent takes to leave a confident mistake, from the gradient flow dz = -eta s g dt on one sample.
 *
 * One step of size eta counts as eta of time; s = ||x||^2 + 1 is how far one step moves a logit, 1 for a bias alone.
 * Two classes and one neuron are exact; more classes are leading terms, good while e^margin is far above their number.
 * docs/concepts/slow-learning.md derives them.
 */
import { ADDED, CUT, sigmoid } from "softclass/loss";

/** Whose derivative is 1 / (a^2 (1 - a)), a the sigmoid: what squared error takes. */
const slow = (u) => Math.exp(u) + 3 * u - 3 * Math.exp(-u) - Math.exp(-2 * u) / 2;

/** Whose derivative is 1 / a: what cross-entropy takes. */
const fast = (u) => u - Math.exp(-u);

/** c_K of T = c_K e^m / (s eta), the time of squared error after the softmax. */
export const escapeConstant = (classes) => (classes - 2 + 2 ** (1 - classes)) / (classes * (classes - 1));

/** p of the true class while one wrong class leads by u and the others are level with the true one. */
const trailing = (u, classes) => 1 / (classes - 1 + Math.exp(u));

/**
 * Steps until the true class has half, K logits, one wrong class ahead by the margin and the others level.
 * @param {"ce"|"se"|"eps"|"clip"} loss
 * @param {{eta: number, squaredNorm?: number}} options - squaredNorm is ||x||^2
 * @returns {number} Infinity for a clipped loss that gives no gradient
 */
export function escapeTime(loss, classes, margin, { eta, squaredNorm = 0 }) {
  const speed = eta * (1 + squaredNorm);
  if (loss === "se") {
    if (classes === 2) return (slow(margin) - slow(0)) / (4 * speed);
    return (escapeConstant(classes) * Math.exp(margin)) / speed;
  }
  if (loss === "clip" && trailing(margin, classes) < CUT) return Infinity;
  const added = loss === "eps" ? ADDED : 0;
  if (classes === 2) return wayDown(added, classes, margin, 0) / speed;
  return (margin + added * Math.exp(margin)) / (2 * speed);
}

/** Time of the cross-entropy with `added` inside the logarithm, from margin `from` to margin `to`. */
function wayDown(added, classes, from, to) {
  if (classes === 2) return (fast(from) - fast(to)) / 2 + added * (from - to + Math.sinh(from) - Math.sinh(to));
  return (from - to + added * (Math.exp(from) - Math.exp(to))) / 2;
}

/**
 * Steps until the true class has half, from equal logits.
 * @param {"ce"|"se"} loss
 */
export function uniformTime(loss, classes, eta) {
  const log = Math.log(classes);
  return (loss === "ce" ? log + 1 : classes + 3 * log) / eta;
}

/**
 * Steps of one sigmoid neuron with target 0 until its logit falls from one value to another.
 * @param {"ce"|"se"} loss
 */
export function neuronTime(loss, from, to, eta) {
  const way = loss === "ce" ? fast : slow;
  return (way(from) - way(to)) / (2 * eta); // s = 2: input 1 and the bias
}

/** Whether the leading terms for K classes say something about this margin. */
export const isLeading = (classes, margin) => classes === 2 || Math.exp(margin) >= 4 * classes;

const POINTS = 120;
const END = -2; // the margin at which the line of theory ends

/** How far the margin has fallen, from next to nothing to everything, evenly on a logarithmic axis. */
function falls(margin) {
  const [first, last] = [Math.log(1e-12), Math.log(margin - END)];
  return Array.from({ length: POINTS }, (_, i) => Math.exp(first + ((last - first) * i) / (POINTS - 1)));
}

/**
 * The line of theory: loss against steps, one neuron.
 * @param {"ce"|"se"} loss
 * @returns {{step: number, loss: number}[]}
 */
export function neuronLine(loss, margin, eta) {
  return falls(margin).map((fall) => {
    const z = margin - fall;
    const value = loss === "ce" ? Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) : sigmoid(z) ** 2 / 2;
    return { step: neuronTime(loss, margin, z, eta), loss: value };
  });
}

/**
 * The line of theory: loss against steps, K logits; empty where the leading terms say nothing.
 * @param {"ce"|"se"|"eps"|"clip"} loss
 * @returns {{step: number, loss: number}[]} two points for a clipped loss that stands still
 */
export function logitLine(loss, classes, margin, eta) {
  if (!isLeading(classes, margin)) return [];
  if (loss === "se") return classes === 2 ? exactLine(margin, eta) : leadingLine(classes, margin, eta);
  if (loss === "clip" && trailing(margin, classes) < CUT) {
    return [0, Infinity].map((step) => ({ step, loss: -Math.log(CUT) }));
  }
  const added = loss === "eps" ? ADDED : 0;
  return falls(margin).map((fall) => {
    const u = margin - fall;
    // The true logit has risen by half of what the margin fell; the other classes have hardly moved.
    const p = 1 / (1 + Math.exp(u) + (classes - 2) * Math.exp(-fall / 2));
    return { step: wayDown(added, classes, margin, u) / eta, loss: -Math.log(p + added) };
  });
}

function exactLine(margin, eta) {
  return falls(margin).map((fall) => {
    const u = margin - fall;
    return { step: (slow(margin) - slow(u)) / (4 * eta), loss: sigmoid(u) ** 2 };
  });
}

/**
 * Squared error, K classes, while the leading wrong class has nearly all: with r = p_rest / p_true the margin has
 * fallen by K ln(2 - r) - 2 ln r after e^m / eta times the integral of r (2 - r)^(-K-1) from r to 1.
 */
function leadingLine(classes, margin, eta) {
  const line = [];
  for (const fall of falls(margin)) {
    const ratio = ratioAt(fall, classes);
    const u = margin - fall;
    if (u < 0) break;
    const w = 1 - ratio;
    const time = integral(w, classes);
    const [lead, rest] = [Math.exp(u), (classes - 2) * ratio];
    const sum = 1 + lead + rest;
    const square = ((lead + rest) / sum) ** 2 + (lead / sum) ** 2 + rest * (ratio / sum ** 2);
    line.push({ step: (Math.exp(margin) * time) / eta, loss: square / 2 });
  }
  return line;
}

/** The integral of r (2 - r)^(-K-1) from 1 - w to 1, without cancellation for small w. */
function integral(w, classes) {
  const rest = (power) => -Math.expm1(-power * Math.log1p(w)); // 1 - (1 + w)^-power
  if (w < 1e-9) return w;
  return (2 / classes) * rest(classes) - rest(classes - 1) / (classes - 1);
}

/** The r at which K ln(2 - r) - 2 ln r has a value, by halving. */
function ratioAt(fall, classes) {
  let [low, high] = [-60, 0]; // ln r
  for (let i = 0; i < 60; i += 1) {
    const middle = (low + high) / 2;
    const found = classes * Math.log1p(-Math.expm1(middle)) - 2 * middle;
    if (found > fall) low = middle;
    else high = middle;
  }
  return Math.exp((low + high) / 2);
}
