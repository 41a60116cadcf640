/** The right column of panel 4. */
import { math, row, sub, sup } from "softclass/formulas";
import { FIELDS } from "softclass/state";

const KEYS = ["data", "n", "seed", "points", "hidden", "act", "head", "opt", "eta", "l2", "s", "step"];
const USUAL = Object.fromEntries(KEYS.map((key) => [key, FIELDS[key].fallback]));

const difference = (left, right) => [row("(", left, "−", right, ")")];

/** The gradient at the logits, by head. */
const GRADIENTS = {
  softmax_ce: () => row("p − y"),
  softmax_se: () => row("J", ...difference("p", "y")),
  sigmoid_ce: () => row("a − y"),
  sigmoid_se: () => row(...difference("a", "y"), "a", ...difference("1", "a")),
};

/** Fill the column for what is trained now. */
export function explain({ side, t }, { hidden, head }) {
  const isLinear = hidden.length === 0;
  const borders = t(isLinear ? "plane.notice.linear" : "plane.notice.deep");
  side.notice(borders, t("plane.notice.start"), t("plane.notice.epoch"));
  const tie = math(row("(", sub("w", "i"), "−", sub("w", "j"), ")"), "· x +", sub("b", "i"), "−", sub("b", "j"), "= 0");
  const layers = math("z = W", sup("h", "(L)"), "+ b");
  const gradient = math(row("∂"), "L / ∂", "z =", GRADIENTS[head]());
  side.formula(isLinear ? tie : layers, gradient, t(`plane.gradient.${head}`));
  side.derivation(t("plane.why.push"), t("plane.why.squared"), t("plane.why.limits"));
  const attempt = (name, state) => ({ text: t(`plane.try.${name}`), state: { ...USUAL, ...state } });
  const deep = { opt: "adam", s: 1 };
  side.tryThis([
    attempt("ce", { step: 15 }),
    attempt("se", { head: "softmax_se", step: 586 }),
    attempt("line", { data: "rings", s: 0, step: 200 }),
    attempt("rings", { ...deep, data: "rings", hidden: [6], eta: 0.02, step: 100 }),
    attempt("spiral", { ...deep, data: "spiral", hidden: [16, 16], eta: 0.01, step: 80 }),
    attempt("iris", { data: "iris", s: 0, step: 200 }),
    attempt("own", { data: "own", s: 0 }),
  ]);
}
