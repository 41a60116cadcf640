/** Panel 1: from scores to probabilities; the Jacobian, the triangle, and what short number types make of it. */
import { button, choice, numbers, slider } from "softclass/controls";
import { element, readingNodes } from "softclass/elements";
import { figure } from "softclass/figure";
import { frac, math, row, sub, sum, sup } from "softclass/formulas";
import { bars, label, linear } from "softclass/plots";
import { entropy, logSoftmax, softmax } from "softclass/softmax";
import { jacobianView, listed, precisionView, simplexView } from "softclass/softmax_views";
import { exponential, letter, register } from "softclass/text";
import { words } from "softclass/text_softmax";

register(words);
export const key = "softmax";
export const fields = ["z", "T", "shift", "view"];

const MOST = 10;
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
  const add = button(place, { label: t("softmax.add"), press: () => store.set({ z: [...store.get("z"), 0] }) });
  const remove = button(place, {
    label: t("softmax.remove"),
    press: () => store.set({ z: store.get("z").slice(0, -1) }),
  });
  place.watch(["z"], (z) => {
    add.disabled = z.length >= MOST;
    remove.disabled = z.length <= 2;
  });
  const size = element("div", { class: "buttons" }, add, remove);
  const hide = store.get("hide");
  size.hidden = hide.includes("z");
  const options = Object.keys(VIEWS).map((value) => ({ value, label: t(`softmax.view.${value}`) }));
  const card = element(
    "div",
    { class: "card stack" },
    numbers(place, { key: "z", label: t("softmax.scores"), min: -10, max: 10, step: 0.1, names: letter }),
    size,
    element(
      "div",
      { class: "controls" },
      slider(place, { key: "T", label: t("softmax.T"), hint: t("softmax.T.hint"), min: 0.05, max: 20, scale: "log" }),
      slider(place, {
        key: "shift",
        label: t("softmax.shift"),
        hint: t("softmax.shift.hint"),
        min: -1000,
        max: 1000,
        step: 1,
      }),
    ),
    choice(place, { key: "view", label: t("softmax.view"), options }),
  );
  card.hidden = fields.every((name) => hide.includes(name));
  const list = element("dl", { class: "readings" });
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
  const power = (exponent) => sup("e", exponent);
  const zk = sub("z", "k");
  side.formula(
    math(sub("p", "k"), "=", frac(power(row(zk, "/", "T")), row(sum("j"), power(row(sub("z", "j"), "/", "T"))))),
  );
  side.derivation(
    t("softmax.derive.shift"),
    math(
      frac(power(row(sub("z", "k"), "+", "c")), row(sum("j"), power(row(sub("z", "j"), "+", "c")))),
      "=",
      frac(row(power("c"), power(sub("z", "k"))), row(power("c"), sum("j"), power(sub("z", "j")))),
    ),
    t("softmax.derive.max"),
    t("softmax.derive.odds"),
    math(frac(sub("p", "i"), sub("p", "j")), "=", power(row("(", sub("z", "i"), "−", sub("z", "j"), ")", "/", "T"))),
    t("softmax.derive.jacobian"),
    math(
      frac(row("∂", sub("p", "i")), row("∂", sub("z", "j"))),
      "=",
      frac("1", "T"),
      sub("p", "i"),
      "(",
      sub("δ", "ij"),
      "−",
      sub("p", "j"),
      ")",
    ),
    t("softmax.derive.rows"),
  );
  side.tryThis([
    { text: t("softmax.try.shift"), state: { shift: 100 } },
    { text: t("softmax.try.cold"), state: { T: 0.05, view: "bars" } },
    { text: t("softmax.try.hot"), state: { T: 20, view: "bars" } },
    { text: t("softmax.try.jacobian"), state: { view: "jacobian" } },
    { text: t("softmax.try.overflow"), state: { z: [1000, 0, 0], T: 1, shift: 0, view: "precision" } },
  ]);
}
