/** Twelve stops: a state of the page and one sentence each, with numbers that are computed, not typed. */
import { button } from "softclass/controls";
import { fitDigit } from "softclass/digit";
import { element } from "softclass/elements";
import { createRunner } from "softclass/network_run";
import { crossEntropy, jacobian, lossVariant } from "softclass/loss";
import { PRECISIONS } from "softclass/precision";
import { ownScores, quantile, setScores, sets } from "softclass/prediction_sets";
import { naiveSoftmax, shiftedSoftmax } from "softclass/rounded_softmax";
import { logits, plane, stepsTo } from "softclass/slow_learning";
import { softmax } from "softclass/softmax";
import { encode, initial } from "softclass/state";
import { integer, number, percent, power, register, t } from "softclass/text";
import { words } from "softclass/text_tour";
import { atTemperature, fitTemperature, logLoss, rowsOf, split } from "softclass/trust";

register("tour", words);

const SCORES = [2, 1, 0.1];
const three = (values) => values.map((value) => number(value, 3, true)).join(", ");
const largestDistance = (a, b) => Math.max(...a.map((value, i) => Math.abs(value - b[i])));

/** Logits with the wrong class 1 ahead of the true class 0 by `margin`. */
const mistake = (margin, classes) => Array.from({ length: classes }, (_, k) => (k === 1 ? margin : 0));

/** Calibration and test rows of the over-confident demo model. */
async function overconfident(source) {
  const evaluation = await source.evaluation("digits-softmax");
  const { calibration, test } = split(evaluation, "role");
  return { calibration: rowsOf(evaluation, calibration), test: rowsOf(evaluation, test) };
}

const lossAt = (rows, T) => logLoss(atTemperature(rows, T)).value;

/** The stops: `state` over the initial one, and `numbers(source)`, the values of the sentence `tour.<index>`. */
const STOPS = [
  {
    state: { p: "softmax" },
    numbers: () => ({ p: three(softmax(SCORES)), sum: number(softmax(SCORES).reduce((total, p) => total + p, 0), 12) }),
  },
  {
    state: { p: "softmax", shift: 5 },
    numbers() {
      const distance = largestDistance(softmax(SCORES), softmax(SCORES.map((z) => z + 5)));
      return { distance: power(distance, 0) };
    },
  },
  {
    state: { p: "softmax", T: 0.05 },
    numbers: () => ({ cold: number(softmax(SCORES, 0.05)[0], 9), hot: number(softmax(SCORES, 20)[0], 3, true) }),
  },
  {
    state: { p: "softmax", z: [1000, 0, 0], view: "precision" },
    numbers() {
      const z = [1000, 0, 0];
      const broken = PRECISIONS.filter((precision) => Number.isNaN(naiveSoftmax(z, precision)[0]));
      const exact = PRECISIONS.filter((precision) => shiftedSoftmax(z, precision).join() === "1,0,0");
      return { broken: broken.length, exact: exact.length, all: PRECISIONS.length };
    },
  },
  {
    state: { p: "softmax", view: "jacobian" },
    numbers() {
      const J = jacobian(softmax(SCORES));
      const sums = J.map((row) => Math.abs(row.reduce((total, value) => total + value, 0)));
      return {
        own: number(J[0][0], 3),
        other: number(J[1][0], 3),
        sum: number(Math.max(...sums) < 1e-15 ? 0 : Math.max(...sums), 3),
      };
    },
  },
  { state: { p: "loss" }, numbers: () => ({ push: three(crossEntropy(SCORES, 0).gradient) }) },
  {
    state: { p: "slow", m: 12 },
    numbers() {
      const steps = (loss) => integer(stepsTo(logits({ loss, margin: 12, classes: 10, eta: 0.5 })));
      return { ce: steps("ce"), se: steps("se") };
    },
  },
  {
    state: { p: "slow", m: 25, loss: ["ce", "eps", "clip"] },
    numbers() {
      const push = (name) => Math.abs(lossVariant(name, mistake(25, 10), 0).gradient[0]);
      const whole = push("logsumexp");
      return { eps: percent(push("eps") / whole), clip: percent(push("clip") / whole) };
    },
  },
  {
    state: { p: "plane", data: "blobs3", s: 2 },
    numbers() {
      const epochs = (loss) => stepsTo(plane({ loss, scale: 2, eta: 0.5, seed: 7 }));
      return { ce: integer(epochs("ce")), se: integer(epochs("se")) };
    },
  },
  {
    state: { p: "digit", digit: 3 },
    async numbers(source) {
      const [model, weights, { images }] = await Promise.all([source.model(), source.weights(), source.digits()]);
      const [, height, width] = images.shape;
      const grey = images.subarray(3 * height * width, 4 * height * width);
      const { z, evidence } = await createRunner(model, weights, source).run(fitDigit(grey, height, width));
      const parts = model.classes.map((_, k) => evidence(k));
      const distances = parts.map(({ map, bias }, k) => Math.abs(map.reduce((sum, part) => sum + part, bias) - z[k]));
      return { distance: power(Math.max(...distances), 0) };
    },
  },
  {
    state: { p: "reliability", set: "digits-softmax" },
    async numbers(source) {
      const { calibration, test } = await overconfident(source);
      const T = fitTemperature(calibration);
      return {
        T: number(T, 2, true), before: number(lossAt(test, 1), 3, true), after: number(lossAt(test, T), 3, true),
      };
    },
  },
  {
    state: { p: "sets", set: "digits-softmax", alpha: 10 },
    async numbers(source) {
      const { calibration, test } = await overconfident(source);
      const scores = (rows) => setScores(rows, atTemperature(rows, 1).p, 1, "lac");
      const limit = quantile(ownScores(calibration, scores(calibration)), 10);
      const { covered, empty, n } = sets(test, scores(test), limit);
      return { asked: percent(0.9), covered: integer(covered), n: integer(n), empty: integer(empty) };
    },
  },
];

/** The whole state of a stop, in the language and with the controls of now. */
function stateOf(index, store) {
  const { state } = STOPS[index - 1];
  return { ...initial(), lang: store.get("lang"), hide: store.get("hide"), ...state, tour: index };
}

/** The bar of the tour: which stop, its sentence, back, next, end. */
function build(store) {
  const go = (index) => () => store.set(index === 0 ? { tour: 0 } : stateOf(index, store));
  const count = element("p.count");
  const sentence = element("p.sentence", { role: "status" });
  const buttons = element("div.buttons");
  const bar = element("section.tour", { "aria-label": t("tour.title") }, count, sentence, buttons);
  const step = (by) => () => go(Math.min(Math.max(store.get("tour") + by, 1), STOPS.length))();
  const back = button(null, { label: t("tour.back"), press: step(-1) });
  const next = button(null, { label: t("tour.next"), press: step(1), kind: "main" });
  buttons.append(back, next, button(null, { label: t("tour.end"), press: go(0) }));
  return {
    bar,
    language: t("tour.title"),
    async show(index, source) {
      count.textContent = t("tour.count", { index, all: STOPS.length });
      back.disabled = index === 1;
      next.disabled = index === STOPS.length;
      let words;
      try {
        words = t(`tour.${index}`, await STOPS[index - 1].numbers(source));
      } catch (error) {
        words = t("tour.missing", { reason: error.message });
      }
      if (store.get("tour") !== index) return;
      sentence.textContent = words;
      bar.dataset.stop = String(index);
    },
  };
}

let current = null;

/**
 * Show a stop above the panel. An address that names the stop and nothing else gets the state of the stop.
 * @param {{index: number, store: object, source: object}} parts index from 1
 */
export async function tourBar(place, { index, store, source }) {
  const bare = encode({ ...initial(), lang: store.get("lang"), hide: store.get("hide"), tour: index });
  if (encode(Object.fromEntries(Object.keys(initial()).map((key) => [key, store.get(key)]))) === bare)
    store.set(stateOf(index, store));
  if (current === null || !place.contains(current.bar) || current.language !== t("tour.title")) {
    current = build(store);
    place.replaceChildren(current.bar);
  }
  await current.show(index, source);
}
