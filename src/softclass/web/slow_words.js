/** The right column of panel 3: what to notice, the formulas, the derivation with its limits, things to try. */
import { escapeConstant } from "softclass/escape_time";
import { frac, math, row, sqrt, sub, subsup, sup } from "softclass/formulas";

const LIMITS = 5; // what the choice of the loss does not do, each in a sentence or two

const ePower = (exponent) => sup("e", exponent);
const time = (loss) => sub("T", loss);
const gradient = (name) => sub("g", name);

const classFormula = () => [
  math(time("SE"), "≈", frac(row(sub("c", "K"), ePower("m")), row("s", "η"))),
  math(time("CE"), "≈", frac("m", row("2", "s", "η"))),
  math(
    sub("c", "K"),
    "=",
    frac(row("K", "−", "2", "+", sup("2", row("1", "−", "K"))), row("K", "(", "K", "−", "1", ")")),
  ),
];
const between = (name) => row(name, "(", sub("z", "0"), ")", "−", name, "(", sub("z", "1"), ")");
/** Where no time is known in closed form: what the two losses push by. */
const pushFormula = () => [
  math(gradient("CE"), "=", "p", "−", "y"),
  math(gradient("SE"), "=", "J", "(", "p", "−", "y", ")"),
  math(sub("J", "ij"), "=", sub("p", "i"), "(", sub("δ", "ij"), "−", sub("p", "j"), ")"),
];
const neuronFormula = () => [
  math(time("SE"), "=", frac(between("F"), row("s", "η"))),
  math(time("CE"), "=", frac(between("G"), row("s", "η"))),
  ...integrals(),
];
const integrals = () => [
  math(
    "F",
    "(",
    "u",
    ")",
    "=",
    ePower("u"),
    "+",
    "3",
    "u",
    "−",
    "3",
    ePower(row("−", "u")),
    "−",
    frac("1", "2"),
    ePower(row("−", "2", "u")),
  ),
  math("G", "(", "u", ")", "=", "u", "−", ePower(row("−", "u"))),
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
  const limits = Array.from({ length: LIMITS }, (_, i) => listItem(t(`slow.limit.${i + 1}`)));
  const list = document.createElement("ol");
  list.append(...limits);
  side.derivation(
    heading(t("slow.derive.neuron")),
    t("slow.derive.neuron.se"),
    math(frac(row("∂", "C"), row("∂", "z")), "=", "(", "a", "−", "y", ")", "a", "(", "1", "−", "a", ")"),
    t("slow.derive.neuron.ce"),
    math(frac(row("∂", "C"), row("∂", "z")), "=", "a", "−", "y"),
    heading(t("slow.derive.classes")),
    t("slow.derive.ce"),
    math(gradient("CE"), "=", "p", "−", "y"),
    math(gradient("SE"), "=", "J", "(", "p", "−", "y", ")"),
    t("slow.derive.true"),
    math(sub("g", "t"), "=", "−", "2", sub("p", "t"), sub("L", "SE")),
    t("slow.derive.saturated"),
    math("‖", gradient("SE"), "‖", "≤", "2", sqrt("2"), "(", "K", "−", "1", ")", ePower(row("−", "m"))),
    t("slow.derive.even"),
    heading(t("slow.derive.time")),
    t("slow.derive.flow"),
    math(
      frac(row("d", "u"), row("d", "t")),
      "=",
      "−",
      "s",
      "η",
      "(",
      "4",
      sub("p", "t"),
      "+",
      "(",
      "K",
      "−",
      "2",
      ")",
      sub("p", "r"),
      ")",
    ),
    t("slow.derive.ratio"),
    math(ePower(row("−", "x")), "=", sup("ρ", "2"), sup(row("(", "2", "−", "ρ", ")"), row("−", "K"))),
    math(
      sub("c", "K"),
      "=",
      subsup("∫", "0", "1"),
      "ρ",
      sup(row("(", "2", "−", "ρ", ")"), row("−", "K", "−", "1")),
      "d",
      "ρ",
    ),
    t("slow.derive.two"),
    ...integrals(),
    t("slow.derive.only"),
    heading(t("slow.derive.rounding")),
    t("slow.derive.eps"),
    math("g", "=", frac(sub("p", "t"), row(sub("p", "t"), "+", "ε")), "(", "p", "−", "y", ")"),
    t("slow.derive.clip"),
    heading(t("slow.limits")),
    list,
  );
}

function attempts({ t, side }) {
  side.tryThis([
    {
      text: t("slow.try.logits"),
      state: { run: "logits", m: 12, K: 10, eta: 0.5, loss: ["ce", "se"], rate: "same", step: 0 },
    },
    {
      text: t("slow.try.rounding"),
      state: { run: "logits", m: 25, K: 10, eta: 0.5, loss: ["ce", "eps", "clip"], rate: "same", step: 0 },
    },
    {
      text: t("slow.try.even"),
      state: { run: "logits", m: 0, K: 1000, eta: 0.5, loss: ["ce", "se"], rate: "same", step: 0 },
    },
    {
      text: t("slow.try.neuron"),
      state: { run: "neuron", m: 4, eta: 0.15, loss: ["ce", "se"], rate: "same", step: 0 },
    },
    {
      text: t("slow.try.plane"),
      state: {
        run: "plane",
        s: 2,
        eta: 0.5,
        seed: 7,
        loss: ["ce", "se", "sigmoid_ce", "sigmoid_se"],
        rate: "same",
        step: 0,
      },
    },
    {
      text: t("slow.try.best"),
      state: { run: "plane", s: 4, eta: 0.5, seed: 7, loss: ["ce", "se"], rate: "best", step: 0 },
    },
    {
      text: t("slow.try.network"),
      state: { run: "network", s: 10, loss: ["ce", "se", "sigmoid_ce", "sigmoid_se"], step: 1 },
    },
  ]);
}

function heading(words) {
  const node = document.createElement("h3");
  node.textContent = words;
  return node;
}

function listItem(words) {
  const node = document.createElement("li");
  node.textContent = words;
  return node;
}
