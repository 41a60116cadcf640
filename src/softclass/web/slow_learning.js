/**
 * Slow learning: gradient descent from a confident mistake, one neuron (S1), K logits (S2) or points in the plane (S3).
 *
 * An experiment is `{marks, cap, start, advance, passed, lead, look}`: `start()` gives a state, an array that holds all
 * the next step needs, `advance(state)` makes one step of gradient descent in it, `passed(state, i)` tells whether mark
 * i is reached, `lead(state)` is the margin, `look(state)` measures. `steps` and `createTrace` drive any of them;
 * escape_time.js says how long they should take by theory.
 *
 * Losses: `ce` cross-entropy and `se` squared error, after the softmax (one neuron: after the sigmoid); `eps` and
 * `clip` are -ln(p + 1e-9) and -ln of p cut off at 1e-7; `sigmoid_ce` and `sigmoid_se` have independent outputs.
 */
import { headLoss } from "softclass/heads";
import { ADDED, CUT, sigmoid } from "softclass/loss";
import { generator } from "softclass/random";

/** No run makes more steps than this; in the plane, epochs. */
export const CAP = 2_000_000;
const CAP_EPOCHS = 5000;

/** Learning rates that are tried for "the best of the grid", 2^-4 to 2^14. */
const GRID = Array.from({ length: 19 }, (_, i) => 2 ** (i - 4));
const CAP_GRID = 200;

/**
 * What is measured at a state.
 * @typedef {object} Look
 * @property {number} loss - the loss that is descended
 * @property {number} right - the probability of the true class; in the plane the share of points that are right
 * @property {number} margin - the leading wrong logit minus the true one; in the plane its mean
 * @property {number} push - length of the gradient at the logits; in the plane at weights and biases
 */

/**
 * S1: one sigmoid neuron, input 1, target 0; weight and bias start at half of the margin, so both push the logit.
 *
 * Marks: the output falls below 0.5, then below 0.1.
 * @param {{loss: "ce"|"se", margin: number, eta: number}} options
 * @returns {object} an experiment; its state is weight, bias, output, 1 - output
 */
export function neuron({ loss, margin, eta }) {
  const push = loss === "ce" ? (state) => state[2] : (state) => state[2] * state[2] * state[3];
  const below = [0.5, 0.1];
  const answer = (state) => {
    const z = state[0] + state[1];
    state[2] = sigmoid(z);
    state[3] = sigmoid(-z);
    return state;
  };
  return {
    marks: ["half", "low"],
    cap: CAP,
    start: () => answer(Float64Array.of(margin / 2, margin / 2, 0, 0)),
    advance(state) {
      const change = eta * push(state);
      state[0] -= change;
      state[1] -= change;
      answer(state);
    },
    passed: (state, mark) => state[2] < below[mark],
    lead: (state) => state[0] + state[1],
    look(state) {
      const z = state[0] + state[1];
      const value = loss === "ce" ? Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) : state[2] ** 2 / 2;
      return { loss: value, right: state[3], margin: z, push: push(state) };
    },
  };
}

// The state of `logits`: three logits and their probabilities, since all other wrong classes are equal for ever.
const [TRUE, WRONG, REST, P_TRUE, P_WRONG, P_REST, MISSING] = [0, 1, 2, 3, 4, 5, 6];

/** Gradients at the three logits, by loss; `others` is how many classes share the third one. */
const LOGIT_PUSH = {
  ce(state, others, gradient) {
    gradient[TRUE] = -state[MISSING];
    gradient[WRONG] = state[P_WRONG];
    gradient[REST] = state[P_REST];
  },
  se(state, others, gradient) {
    const p = state[P_TRUE];
    const w = state[P_WRONG];
    const r = state[P_REST];
    const missing = state[MISSING];
    gradient[TRUE] = -p * (w * (missing + w) + others * r * (missing + r));
    gradient[WRONG] = w * (p * (w + missing) + others * r * (w - r));
    gradient[REST] = r * (p * (r + missing) + w * (r - w));
  },
  eps(state, others, gradient) {
    LOGIT_PUSH.ce(state, others, gradient);
    const share = state[P_TRUE] / (state[P_TRUE] + ADDED);
    for (let i = 0; i < 3; i += 1) gradient[i] *= share;
  },
  clip(state, others, gradient) {
    if (state[P_TRUE] < CUT || state[P_TRUE] > 1 - CUT) gradient.fill(0);
    else LOGIT_PUSH.ce(state, others, gradient);
  },
};

/** Losses at a state, by loss. */
const LOGIT_LOSS = {
  ce(state, others) {
    const top = Math.max(state[TRUE], state[WRONG], state[REST]);
    const sum = (z) => Math.exp(z - top);
    return Math.log(sum(state[TRUE]) + sum(state[WRONG]) + others * sum(state[REST])) + (top - state[TRUE]);
  },
  se: (state, others) => (state[MISSING] ** 2 + state[P_WRONG] ** 2 + others * state[P_REST] ** 2) / 2,
  eps: (state) => -Math.log(state[P_TRUE] + ADDED),
  clip: (state) => -Math.log(Math.min(Math.max(state[P_TRUE], CUT), 1 - CUT)),
};

/**
 * S2: K logits that are the parameters themselves; one wrong class leads by the margin, the rest are level.
 *
 * All classes of the rest stay equal, so three numbers stand for K. Marks: p of the true class above 0.5, then the
 * loss that is descended below 0.1.
 * @param {{loss: "ce"|"se"|"eps"|"clip", margin: number, classes: number, eta: number}} options
 * @returns {object} an experiment
 */
export function logits({ loss, margin, classes, eta }) {
  const others = classes - 2;
  const push = LOGIT_PUSH[loss];
  const value = LOGIT_LOSS[loss];
  const gradient = new Float64Array(3);
  const answer = (state) => {
    const top = Math.max(state[TRUE], state[WRONG], state[REST]);
    const t = Math.exp(state[TRUE] - top);
    const w = Math.exp(state[WRONG] - top);
    const r = others > 0 ? Math.exp(state[REST] - top) : 0;
    const sum = t + w + others * r;
    state[P_TRUE] = t / sum;
    state[P_WRONG] = w / sum;
    state[P_REST] = r / sum;
    state[MISSING] = (w + others * r) / sum;
    return state;
  };
  return {
    marks: ["half", "low"],
    cap: CAP,
    start: () => answer(Float64Array.of(0, margin, others > 0 ? 0 : -Infinity, 0, 0, 0, 0)),
    advance(state) {
      push(state, others, gradient);
      state[TRUE] -= eta * gradient[TRUE];
      state[WRONG] -= eta * gradient[WRONG];
      state[REST] -= eta * gradient[REST];
      answer(state);
    },
    passed: (state, mark) => (mark === 0 ? state[P_TRUE] > 0.5 : value(state, others) < 0.1),
    lead: (state) => Math.max(state[WRONG], state[REST]) - state[TRUE],
    look(state) {
      push(state, others, gradient);
      const length = Math.hypot(gradient[TRUE], gradient[WRONG], Math.sqrt(others) * gradient[REST]);
      return { loss: value(state, others), right: state[P_TRUE], margin: this.lead(state), push: length };
    },
  };
}

const EACH = 100; // points of a class
const SPREAD = 0.6; // their standard deviation
const ACCURATE = 0.95;
const CENTRES = [90, 210, 330].map((degrees) => {
  const angle = (degrees * Math.PI) / 180;
  return [2 * Math.cos(angle), 2 * Math.sin(angle)];
});

/**
 * Three clouds of 100 points round centres at distance 2, class after class.
 * @returns {{x: Float64Array, y: Float64Array, labels: Uint8Array}}
 */
export function clouds(seed) {
  const { normal } = generator(seed);
  const count = CENTRES.length * EACH;
  const points = { x: new Float64Array(count), y: new Float64Array(count), labels: new Uint8Array(count) };
  for (let i = 0; i < count; i += 1) {
    const label = Math.floor(i / EACH);
    points.labels[i] = label;
    points.x[i] = CENTRES[label][0] + SPREAD * normal();
    points.y[i] = CENTRES[label][1] + SPREAD * normal();
  }
  return points;
}

// The state of `plane`: weights [class, x y], biases, their gradients, and the last look.
const [BIAS, PUSH, VALUE, RIGHT, LEAD, SIZE] = [6, 9, 18, 19, 20, 21];

/** The heads of the four losses. */
export const HEAD_OF = { ce: "softmax_ce", se: "softmax_se", sigmoid_ce: "sigmoid_ce", sigmoid_se: "sigmoid_se" };

/**
 * S3: softmax regression on three clouds, full batch, from weights that call every point wrong with confidence.
 *
 * The weights of a class start at `scale` times the centre of the next one. Mark: 95 % of the points are right.
 * @param {{loss: "ce"|"se"|"sigmoid_ce"|"sigmoid_se", scale: number, eta: number, seed: number}} options
 * @returns {object} an experiment
 */
export function plane({ loss, scale, eta, seed }) {
  const { x, y, labels } = clouds(seed);
  const [z, g] = [new Float64Array(3), new Float64Array(3)];
  const answer = (state) => {
    state.fill(0, PUSH);
    for (let i = 0; i < labels.length; i += 1) {
      const t = labels[i];
      for (let k = 0; k < 3; k += 1) z[k] = state[2 * k] * x[i] + state[2 * k + 1] * y[i] + state[BIAS + k];
      state[VALUE] += headLoss(HEAD_OF[loss], z, t, g);
      const wrong = Math.max(z[(t + 1) % 3], z[(t + 2) % 3]);
      state[LEAD] += wrong - z[t];
      if (z[t] > wrong || (z[t] === wrong && z.indexOf(wrong) === t)) state[RIGHT] += 1;
      for (let k = 0; k < 3; k += 1) {
        state[PUSH + 2 * k] += g[k] * x[i];
        state[PUSH + 2 * k + 1] += g[k] * y[i];
        state[PUSH + BIAS + k] += g[k];
      }
    }
    for (let i = PUSH; i < SIZE; i += 1) state[i] /= labels.length;
    return state;
  };
  return {
    marks: ["accurate"],
    cap: CAP_EPOCHS,
    start() {
      const state = new Float64Array(SIZE);
      for (let k = 0; k < 3; k += 1)
        state.set(CENTRES[(k + 1) % 3].map((side) => scale * side), 2 * k);
      return answer(state);
    },
    advance(state) {
      for (let i = 0; i < PUSH; i += 1) state[i] -= eta * state[PUSH + i];
      answer(state);
    },
    passed: (state) => state[RIGHT] >= ACCURATE,
    lead: (state) => state[LEAD],
    look: (state) => ({
      loss: state[VALUE],
      right: state[RIGHT],
      margin: state[LEAD],
      push: Math.hypot(...state.subarray(PUSH, VALUE)),
    }),
  };
}

/**
 * Gradient descent, step by step.
 * @yields {Look & {step: number}} at the start and after every step
 */
export function* steps(experiment) {
  const state = experiment.start();
  for (let step = 0; ; step += 1) {
    yield { step, ...experiment.look(state) };
    experiment.advance(state);
  }
}

const GROWTH = 1.03; // from one sample to the next: 75 samples for ten times as many steps
const APART = 0.25; // samples between them where the margin changes by more, for pictures ...
const MOST = 1200; // ... but no more than this, if it never comes to rest

/**
 * A run that remembers samples of its way, dense at the beginning, so that every step of it can be looked at again.
 * Those with `even` lie at the same steps in every run; others lie between where the margin changes fast.
 *
 * A state that comes again means a cycle: what was not reached until then never will be.
 * @returns {{samples: object[], reached: (number|null)[], cap: number, steps: number, isOver: boolean,
 *   isStuck: boolean, advance: function(number): void, at: function(number): object}} `reached` holds the step of each
 *   mark; `advance(n)` makes at most n steps more; `at(step)` measures at a step the run has come to
 */
export function createTrace(experiment) {
  const state = experiment.start();
  const { cap } = experiment;
  let next = 0; // the step of the next even sample
  let lead = 0; // the margin at the last sample
  let missing = experiment.marks.length; // 0 once every mark is reached
  const reached = experiment.marks.map(() => null);
  const trace = { samples: [], reached, cap, steps: 0, isOver: false, isStuck: false };

  function sample() {
    const last = trace.samples.at(-1);
    trace.isStuck = last !== undefined && last.state.every((value, i) => Object.is(value, state[i]));
    const even = trace.steps >= next;
    lead = experiment.lead(state);
    trace.samples.push({ step: trace.steps, even, state: state.slice(), ...experiment.look(state) });
    trace.isOver = trace.isStuck || trace.steps >= cap;
    if (even) next = Math.min(Math.ceil(Math.max(trace.steps + 1, trace.steps * GROWTH)), cap);
  }
  const isApart = () => trace.samples.length < MOST && Math.abs(experiment.lead(state) - lead) > APART;
  function check() {
    for (let mark = 0; mark < missing; mark += 1) {
      if (trace.reached[mark] === null && experiment.passed(state, mark)) trace.reached[mark] = trace.steps;
    }
    if (!trace.reached.includes(null)) missing = 0;
  }

  trace.advance = (count) => {
    for (let made = 0; made < count && !trace.isOver; made += 1) {
      experiment.advance(state);
      trace.steps += 1;
      if (missing > 0) check();
      if (trace.steps >= next || isApart()) sample();
    }
  };
  trace.at = (step) => {
    let before = trace.samples.findLastIndex((sample) => sample.step <= step);
    before = Math.max(before, 0);
    const copy = trace.samples[before].state.slice();
    const last = trace.isStuck ? trace.samples[before].step : Math.min(step, trace.steps);
    for (let made = trace.samples[before].step; made < last; made += 1) experiment.advance(copy);
    return { step, ...experiment.look(copy) };
  };
  check();
  sample();
  return trace;
}

/**
 * The learning rate of `GRID` that reaches the first mark in the fewest steps; of equal ones the smallest.
 *
 * All rates are tried with 10, 50 and 200 steps in turn, so that few steps go into rates that never get there.
 * @param {function(number): object} make - the experiment with a learning rate
 * @yields {undefined} after every rate that was tried
 * @returns {{eta: number, steps: number}|null} null if none gets there within 200 steps
 */
export function* bestRate(make) {
  for (const limit of [10, 50, CAP_GRID]) {
    let best = null;
    for (const eta of GRID) {
      const found = stepsTo(make(eta), best === null ? limit : best.steps - 1);
      if (found !== null) best = { eta, steps: found };
      yield;
    }
    if (best !== null) return best;
  }
  return null;
}

/**
 * Steps until a mark is reached.
 * @param {number} [limit] - no more than these
 * @returns {number|null} null if it takes more
 */
export function stepsTo(experiment, limit = experiment.cap, mark = 0) {
  const state = experiment.start();
  for (let step = 0; step <= limit; step += 1) {
    if (experiment.passed(state, mark)) return step;
    experiment.advance(state);
  }
  return null;
}
