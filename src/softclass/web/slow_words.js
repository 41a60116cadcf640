/** The right column of panel 3: what to notice, the formulas, the derivation with its limits, things to try. */
import { element } from "softclass/elements";
import { escapeConstant } from "softclass/escape_time";
import { frac, math, sqrt, sup } from "softclass/formulas";
import { HEAD_OF } from "softclass/slow_learning";

const LIMITS = 5; // what the choice of the loss does not do, each in a sentence or two

const classFormula = () => [
  math("T_SE ≈", frac("c_K e^m", "s η")),
  math("T_CE ≈", frac("m", "2 s η")),
  math("c_K =", frac("K − 2 + 2^{1 − K}", "K ( K − 1 )")),
];
/** Where no time is known in closed form: what the two losses push by. */
const pushFormula = () => [math("g_CE = p − y"), math("g_SE = J ( p − y )"), math("J_ij = p_i ( δ_ij − p_j )")];
const neuronFormula = () => [
  math("T_SE =", frac("F ( z_0 ) − F ( z_1 )", "s η")),
  math("T_CE =", frac("G ( z_0 ) − G ( z_1 )", "s η")),
  ...integrals(),
];
const integrals = () => [
  math("F ( u ) = e^u + 3 u − 3 e^{− u} −", frac("1", "2"), "e^{− 2 u}"),
  math("G ( u ) = u − e^{− u}"),
];

const FORMULAS = { neuron: neuronFormula, logits: classFormula, plane: pushFormula, network: pushFormula };

/**
 * Fill the right column with what holds for every setting, and return a function that adds what holds for one: three
 * sentences and the formulas. It is called with every move of a slider, so it changes nothing that stays.
 */
export function explain(place) {
  const { t, side, number, integer } = place;
  let [said, experiment] = ["", ""];
  derivation(place);
  attempts(place);
  return ({ run, K, m }) => {
    const places = { K: integer(K), c: number(escapeConstant(K), 4), m: number(m, 2) };
    const sentences = [1, 2, 3].map((i) => t(`slow.notice.${run}.${i}`, places));
    if (sentences.join() !== said) side.notice(...sentences);
    if (run !== experiment) side.formula(...FORMULAS[run]());
    [said, experiment] = [sentences.join(), run];
  };
}

function derivation({ t, side }) {
  const limits = Array.from({ length: LIMITS }, (_, i) => element("li", t(`slow.limit.${i + 1}`)));
  const heading = (key) => element("h3", t(key));
  side.derivation(
    heading("slow.derive.neuron"),
    t("slow.derive.neuron.se"),
    math(frac("∂ C", "∂ z"), "= ( a − y ) a ( 1 − a )"),
    t("slow.derive.neuron.ce"),
    math(frac("∂ C", "∂ z"), "= a − y"),
    heading("slow.derive.classes"),
    t("slow.derive.ce"),
    math("g_CE = p − y"),
    math("g_SE = J ( p − y )"),
    t("slow.derive.true"),
    math("g_t = − 2 p_t L_SE"),
    t("slow.derive.saturated"),
    math("‖ g_SE ‖ ≤ 2", sqrt("2"), "( K − 1 ) e^{− m}"),
    t("slow.derive.even"),
    heading("slow.derive.time"),
    t("slow.derive.flow"),
    math(frac("d u", "d t"), "= − s η ( 4 p_t + ( K − 2 ) p_r )"),
    t("slow.derive.ratio"),
    math("e^{− x} = ρ^2", sup("( 2 − ρ )", "− K")),
    math("c_K = ∫_0^1 ρ", sup("( 2 − ρ )", "− K − 1"), "d ρ"),
    t("slow.derive.two"),
    ...integrals(),
    t("slow.derive.only"),
    heading("slow.derive.rounding"),
    t("slow.derive.eps"),
    math("g =", frac("p_t", "p_t + ε"), "( p − y )"),
    t("slow.derive.clip"),
    heading("slow.limits"),
    element("ol", ...limits),
  );
}

function attempts({ side }) {
  side.tryThis("slow.try", {
    logits: { run: "logits", m: 12, K: 10, eta: 0.5, loss: ["ce", "se"], rate: "same", step: 0 },
    rounding: { run: "logits", m: 25, K: 10, eta: 0.5, loss: ["ce", "eps", "clip"], rate: "same", step: 0 },
    even: { run: "logits", m: 0, K: 1000, eta: 0.5, loss: ["ce", "se"], rate: "same", step: 0 },
    neuron: { run: "neuron", m: 4, eta: 0.15, loss: ["ce", "se"], rate: "same", step: 0 },
    plane: { run: "plane", s: 2, eta: 0.5, seed: 7, loss: Object.keys(HEAD_OF), rate: "same", step: 0 },
    best: { run: "plane", s: 4, eta: 0.5, seed: 7, loss: ["ce", "se"], rate: "best", step: 0 },
    network: { run: "network", s: 10, loss: Object.keys(HEAD_OF), step: 1 },
  });
}
