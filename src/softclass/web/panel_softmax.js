/** Panel 1: from scores to probabilities; the Jacobian, the triangle, and what short number types make of it. */
import { choice, slider } from "softclass/controls";
import { element, readingNodes } from "softclass/elements";
import { figure } from "softclass/figure";
import { frac, math } from "softclass/formulas";
import { bars, label, linear } from "softclass/plots";
import { scoreInputs } from "softclass/score_inputs";
import { entropy, logSoftmax, softmax } from "softclass/softmax";
import { jacobianView, listed, precisionView, simplexView } from "softclass/softmax_views";
import { exponential, letter, register } from "softclass/text";
import { words } from "softclass/text_softmax";

register("softmax", words);
export const key = "softmax";
export const fields = ["z", "T", "shift", "view"];

const VIEWS = { bars: barView, jacobian: jacobianView, simplex: simplexView, precision: precisionView };

/** All numbers of the panel for one state. */
function compute(z, T, shift) {
  const scores = z.map((score) => score + shift);
  const p = softmax(scores, T);
  const order = p.map((_, i) => i).sort((i, j) => z[j] - z[i] || i - j);
  return { z, T, shift, scores: scores.map((score) => score / T), p, lnp: logSoftmax(scores, T), order };
}

/** Build the panel into place.main. */
export function view(place) {
  const { t, store } = place;
  const card = element(
    "div.card.stack",
    ...scoreInputs(place),
    element(
      "div.controls",
      slider(place, { key: "T", label: t("softmax.T"), hint: t("softmax.T.hint"), scale: "log" }),
      slider(place, { key: "shift", label: t("softmax.shift"), hint: t("softmax.shift.hint") }),
    ),
    choice(place, { key: "view", words: "softmax.view" }),
  );
  card.hidden = fields.every((name) => store.get("hide").includes(name));
  const list = element("dl.readings");
  const room = element("div");
  place.main.append(card, list, room);
  explain(place);

  let show = null;
  place.watch(["view"], (name) => {
    room.replaceChildren();
    show = VIEWS[name](place, room);
    show(compute(...["z", "T", "shift"].map(store.get)));
  });
  let first = true;
  place.watch(["z", "T", "shift"], (z, T, shift) => {
    const numbersNow = compute(z, T, shift);
    read(place, list, numbersNow);
    if (!first) {
      show(numbersNow);
      place.say(listed(place, numbersNow));
    }
    first = false;
  });
  return { close() {} };
}

function read(place, list, { z, T, p, order }) {
  const { t, number } = place;
  const [first, second] = order.map(letter);
  const exponent = (z[order[0]] - z[order[1]]) / T;
  const K = p.length;
  const total = p.reduce((partial, share) => partial + share, 0);
  const entries = [
    [t("softmax.largest"), place.percent(p[order[0]]), t("softmax.largest.of", { name: first })],
    [
      t("softmax.odds", { first, second }),
      exponential(exponent),
      t("softmax.odds.of", { exponent: number(exponent, 3) }),
    ],
    [t("softmax.entropy"), number(entropy(p), 4, true), t("softmax.entropy.of", { K, most: number(Math.log(K), 4) })],
    [t("softmax.sum"), number(total, 12), t("softmax.sum.of", { K })],
  ];
  list.replaceChildren(...readingNodes(entries));
  place.side.notice(
    t("softmax.notice.sum"),
    t("softmax.notice.odds", { first, second, odds: exponential(exponent) }),
    t("softmax.notice.T"),
  );
}

/** Bars of the three stages, side by side or, on a phone, below one another. */
function barView(place, room) {
  const { t, number } = place;
  const chart = figure(place, { key: "softmax-bars", title: t("softmax.bars"), width: 860, height: 200 });
  room.append(chart.element);
  const pitch = 44;
  return (now) => {
    const { z, shift, scores, p, lnp, order } = now;
    const powers = scores.map((score) => Math.exp(score - scores[order[0]]));
    const K = p.length;
    const reach = Math.min(Math.max(...scores.map(Math.abs), 1e-9), Number.MAX_VALUE);
    const around = [Math.min(...scores) < 0 ? -reach : 0, Math.max(...scores) > 0 ? reach : 0];
    const stages = [
      { title: t("softmax.bars.score"), values: scores, domain: around, text: (score) => number(score, 3), space: 78 },
      { title: t("softmax.bars.power"), values: powers, domain: [0, 1], text: (power) => number(power, 4), space: 78 },
      { title: t("softmax.bars.probability"), values: p, domain: [0, 1], text: place.percent, space: 172 },
    ];
    const draw = ({ title, values, domain, text, space }, left, right, top) => {
      const x = linear(domain, [left + 22, right - space]);
      const shown = (value) => Math.min(Math.max(value, domain[0]), domain[1]);
      const items = values.map((value, i) => ({ name: letter(i), value: shown(value), style: i }));
      const nodes = [
        label(title, left, top + 14, { style: "muted" }),
        bars(items, { x, top: top + 22, pitch, names: left }),
      ];
      values.forEach((value, i) => {
        const middle = top + 22 + i * pitch + pitch / 2;
        const last = values === p;
        nodes.push(label(text(value), right, middle + (last ? -3 : 4), { anchor: "end", style: last ? "strong" : "" }));
        if (!last) return;
        const places = { p: number(value, 6, true), lnp: number(lnp[i], 3, true) };
        const digits = t(value < 1e-4 ? "softmax.bars.logarithm" : "softmax.bars.digits", places);
        nodes.push(label(digits, right, middle + 14, { anchor: "end", style: "small" }));
      });
      return nodes;
    };
    const one = 24 + K * pitch;
    const wide = (width) => width >= 560;
    chart.show({
      summary: t("softmax.bars.summary", { list: listed(place, now) }),
      columns: [t("softmax.class"), "z + c", t("softmax.bars.score"), t("softmax.bars.power"), "p", t("softmax.lnp")],
      rows: p.map((share, i) => [letter(i), z[i] + shift, scores[i], powers[i], share, lnp[i]]),
      height: (width) => (wide(width) ? one : 3 * one + 24),
      marks(width) {
        if (!wide(width)) return stages.flatMap((stage, i) => draw(stage, 0, width, i * (one + 12)));
        const gap = 24;
        const free = width - 2 * gap;
        const widths = [0.27 * free, 0.27 * free, 0.46 * free];
        const lefts = [0, widths[0] + gap, widths[0] + widths[1] + 2 * gap];
        return stages.flatMap((stage, i) => draw(stage, lefts[i], lefts[i] + widths[i], 0));
      },
    });
  };
}

/** The formula, its derivation and things to try. */
function explain(place) {
  const { t, side } = place;
  side.formula(math("p_k =", frac("e^{z_k / T}", "∑_j e^{z_j / T}")));
  side.derivation(
    t("softmax.derive.shift"),
    math(frac("e^{z_k + c}", "∑_j e^{z_j + c}"), "=", frac("e^c e^{z_k}", "e^c ∑_j e^{z_j}")),
    t("softmax.derive.max"),
    t("softmax.derive.odds"),
    math(frac("p_i", "p_j"), "= e^{( z_i − z_j ) / T}"),
    t("softmax.derive.jacobian"),
    math(frac("∂ p_i", "∂ z_j"), "=", frac("1", "T"), "p_i ( δ_ij − p_j )"),
    t("softmax.derive.rows"),
  );
  side.tryThis("softmax.try", {
    shift: { shift: 100 },
    cold: { T: 0.05, view: "bars" },
    hot: { T: 20, view: "bars" },
    jacobian: { view: "jacobian" },
    overflow: { z: [1000, 0, 0], T: 1, shift: 0, view: "precision" },
  });
}
