/** Panel 2: what a mistake costs and how it pushes each score; two losses, five ways to write one of them. */
import { choice, slider } from "softclass/controls";
import { element, readingNodes } from "softclass/elements";
import { figure } from "softclass/figure";
import { CE, SE, brief, length, triangles } from "softclass/loss_flow";
import { frac, math, row, sup } from "softclass/formulas";
import { VARIANTS, crossEntropy, distribution, lossVariant, squaredError } from "softclass/loss";
import { bars, label, linear } from "softclass/plots";
import { PRECISIONS } from "softclass/precision";
import { scoreInputs } from "softclass/score_inputs";
import { fromMaximum, softmax } from "softclass/softmax";
import { letter, register } from "softclass/text";
import { words } from "softclass/text_loss";

register("loss", words);
export const key = "loss";
export const fields = ["z", "T", "t", "smooth", "dtype"];

/**
 * All numbers of the panel for one state; gradients are those at z, so the temperature divides them. Losses do not
 * depend on a shift of the scores, so they are computed from `distances`: z less its largest, then divided by T. The
 * other way round z / T may overflow. The ways of writing take `scores`, whose size is what they differ by.
 */
function compute(z, T, t, smooth) {
  const target = Math.min(t, z.length - 1);
  const scores = z.map((score) => score / T);
  const { distances } = fromMaximum(z, T);
  const wanted = distribution(target, z.length, smooth);
  const at = ({ loss, gradient }) => ({ loss, gradient: gradient.map((g) => g / T) });
  const [ce, se] = [at(crossEntropy(distances, wanted)), at(squaredError(distances, wanted))];
  const p = softmax(z, T);
  const wrong = p.map((_, i) => i).filter((i) => i !== target);
  const rival = wrong.reduce((best, i) => (z[i] > z[best] ? i : best), wrong[0]);
  return { z, T, target, smooth, scores, distances, wanted, p, ce, se, rival };
}

/** Build the panel into place.main. */
export function view(place) {
  const list = element("dl.readings");
  const parts = [pushes(place), triangles(place), ways(place)];
  place.main.append(inputs(place), list, ...parts.map((part) => part.element));
  explain(place);
  let first = true;
  place.watch(["z", "T", "t", "smooth", "dtype"], (z, T, t, smooth, dtype) => {
    const now = compute(z, T, t, smooth);
    read(place, list, now);
    for (const part of parts) part.show(now, dtype);
    if (!first) place.say(said(place, now));
    first = false;
  });
  return { close() {} };
}

function inputs(place) {
  const { t, store } = place;
  const target = element("div");
  let classes = 0;
  place.watch(["z"], (z) => {
    if (z.length === classes) return;
    classes = z.length;
    const options = z.map((_, i) => ({ value: i, label: letter(i) }));
    target.replaceChildren(choice(place, { key: "t", label: t("loss.t"), options, as: "radios" }));
    if (store.get("t") >= classes) store.set({ t: classes - 1 });
  });
  const sliders = element(
    "div.controls",
    slider(place, { key: "smooth", label: t("loss.smooth"), hint: t("loss.smooth.hint"), step: 0.01 }),
    slider(place, { key: "T", label: t("loss.T"), hint: t("loss.T.hint"), scale: "log" }),
  );
  return element("div.card.stack", ...scoreInputs(place), target, sliders);
}

function read(place, list, { ce, se, p, target, rival }) {
  const { t } = place;
  const [strong, weak] = [length(ce.gradient), length(se.gradient)];
  const entries = [
    [t("loss.ce"), brief(place, ce.loss), t("loss.ce.of")],
    [t("loss.se"), brief(place, se.loss), t("loss.se.of")],
    [t("loss.push", { loss: t("loss.short.ce") }), brief(place, strong), t("loss.push.of")],
    [t("loss.push", { loss: t("loss.short.se") }), brief(place, weak), weaker(place, strong, weak)],
  ];
  list.replaceChildren(...readingNodes(entries));
  const [truth, other] = [letter(target), letter(rival)];
  place.side.notice(
    t("loss.notice.ce", { truth, p: place.percent(p[target]), push: brief(place, ce.gradient[target]) }),
    t("loss.notice.se", { truth, other, push: brief(place, se.gradient[target]) }),
    t("loss.notice.sure"),
  );
}

function weaker(place, strong, weak) {
  if (!(weak > 0)) return place.t("loss.none");
  return place.t("loss.weaker", { times: place.number(strong / weak, strong / weak < 100 ? 2 : 0) });
}

const said = (place, { ce, se }) =>
  place.t("loss.said", {
    ce: brief(place, ce.loss), se: brief(place, se.loss), push: brief(place, length(ce.gradient)),
    weak: brief(place, length(se.gradient)),
  });

/** The gradients of both losses as signed bars on one scale. */
function pushes(place) {
  const { t } = place;
  const chart = figure(place, { key: "loss-gradients", title: t("loss.gradients"), width: 860, height: 220 });
  const pitch = 34;
  const show = (now) => {
    const { p, wanted, ce, se, target } = now;
    const K = p.length;
    const sizes = [...ce.gradient, ...se.gradient].map(Math.abs).filter(Number.isFinite);
    const reach = Math.max(...sizes, 1e-12);
    const name = (i) => (i === target ? t("loss.true", { name: letter(i) }) : letter(i));
    const sides = [
      { title: t("loss.gradients.ce"), values: ce.gradient, look: CE },
      { title: t("loss.gradients.se"), values: se.gradient, look: SE },
    ];
    const one = 30 + K * pitch;
    const draw = ({ title, values, look }, left, right, top) => {
      const x = linear([-reach, reach], [left + 64, right - 112]);
      const items = values.map((value, i) => ({
        name: name(i), value: Number.isFinite(value) ? value : 0, style: look,
      }));
      const texts = values.map((value, i) =>
        label(brief(place, value), right, top + 26 + (i + 0.5) * pitch + 4, {
          anchor: "end",
          style: i === target ? "strong" : "",
        }),
      );
      return [
        label(title, left, top + 14, { style: "muted" }),
        bars(items, { x, top: top + 26, pitch, names: left }),
        ...texts,
      ];
    };
    const wide = (width) => width >= 560;
    chart.show({
      summary: t("loss.gradients.summary", {
        truth: letter(target), ce: brief(place, ce.gradient[target]), se: brief(place, se.gradient[target]),
      }),
      columns: [t("loss.class"), "p", "y", t("loss.gradients.ce"), t("loss.gradients.se")],
      rows: p.map((share, i) => [letter(i), share, wanted[i], ce.gradient[i], se.gradient[i]]),
      height: (width) => (wide(width) ? one : 2 * one + 16),
      marks(width) {
        if (!wide(width)) return sides.flatMap((side, i) => draw(side, 0, width, i * (one + 16)));
        const half = (width - 32) / 2;
        return sides.flatMap((side, i) => draw(side, i * (half + 32), i * (half + 32) + half, 0));
      },
    });
  };
  return { element: chart.element, show };
}

const SMALL = 0.05; // a gradient is as it should be up to this share

/** What is left of the push on the true score, against the exact one: a word and a class for the table. */
function verdict(place, gradient, exact, { target, rival }) {
  const { t } = place;
  if (!gradient.every(Number.isFinite)) return [t("loss.ways.broken"), "broken"];
  const share = gradient[target] / exact[target];
  const isOff = (i, floor) => Math.abs(gradient[i] - exact[i]) > SMALL * Math.max(Math.abs(exact[i]), floor);
  if (gradient[target] === 0 && exact[target] !== 0) return [t("loss.ways.stuck"), "broken"];
  if (isOff(target, 0)) return [t("loss.ways.left", { share: place.percent(share) }), "broken"];
  if (isOff(rival, 0.01)) return [t("loss.ways.other", { name: letter(rival) }), "broken"];
  return [t("loss.ways.right"), ""];
}

/** Five ways to write the cross-entropy, with every operation rounded to a number type. */
function ways(place) {
  const { t } = place;
  const options = PRECISIONS.map((value) => ({ value, label: t(`loss.ways.${value}`) }));
  const types = choice(place, { key: "dtype", words: "loss.ways.dtype", options });
  const head = element("tr");
  const body = element("tbody");
  const table = element("table.ways", element("thead", head), body);
  const frame = element("div.table", { tabindex: "0", role: "region", "aria-label": t("loss.ways") }, table);
  const hint = element("p.hint", t("loss.ways.hint"));
  const card = element("section.card.stack", element("h2", t("loss.ways")), types, frame, hint);
  const show = (now, dtype) => {
    const { scores, distances, target, rival } = now;
    const exact = crossEntropy(distances, target).gradient;
    const names = { truth: letter(target), other: letter(rival) };
    const columns = ["way", "loss", "verdict", "true", "rival"].map((name) => t(`loss.ways.${name}`, names));
    head.replaceChildren(...columns.map((name) => element("th", { scope: "col" }, name)));
    const lines = VARIANTS.map((name) => {
      const { loss, gradient } = lossVariant(name, scores, target, dtype);
      const [words, kind] = verdict(place, gradient, exact, now);
      const [atLoss, ...slopes] = [loss, gradient[target], gradient[rival]].map((value) =>
        element("td", Number.isFinite(value) ? { class: "number" } : { class: "number broken" }, brief(place, value)),
      );
      const way = element("th", { scope: "row" }, t(`loss.ways.of.${name}`));
      return element(
        "tr",
        { "data-way": name },
        way,
        atLoss,
        element("td", kind ? { class: kind } : {}, words),
        ...slopes,
      );
    });
    body.replaceChildren(...lines);
  };
  return { element: card, show };
}

/** The formulas, their derivation and things to try. */
function explain(place) {
  const { t, side } = place;
  side.formula(
    math("L_CE = − ∑_k y_k ln p_k"),
    math("g_CE = p − y"),
    math("L_SE =", frac("1", "2"), "∑_k", sup("( p_k − y_k )", "2")),
    math("g_SE = J ( p − y )"),
    math("J_ij = p_i ( δ_ij − p_j )"),
  );
  side.derivation(
    t("loss.derive.log"),
    math("L_CE = ln ∑_k e^{z_k} − ∑_k y_k z_k"),
    t("loss.derive.ce"),
    math(row("∂ L_CE / ∂ z_j"), "= p_j − y_j"),
    t("loss.derive.chain"),
    math("g_SE = J g_CE"),
    t("loss.derive.true"),
    math("g_t = − 2 p_t L_SE"),
    t("loss.derive.bounds"),
    t("loss.derive.even"),
    t("loss.derive.smooth"),
  );
  side.tryThis("loss.try", {
    mistake: { z: [0, 12, 0], t: 0, T: 1, smooth: 0 },
    half: { z: [0, 0.6931471805599453, -40], t: 0, T: 1, smooth: 0 },
    even: { z: Array(10).fill(0), t: 0, T: 1, smooth: 0 },
    added: { z: [0, 25, 0], t: 0, T: 1, smooth: 0, dtype: "f32" },
    overflow: { z: [0, 89, 0], t: 0, T: 1, smooth: 0, dtype: "f32" },
    smooth: { z: [2, 1, 0.1], t: 0, T: 1, smooth: 0.1 },
  });
}
