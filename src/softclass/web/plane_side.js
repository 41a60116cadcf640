/** The right column of panel 4. */
import { math, row } from "softclass/formulas";
import { FIELDS } from "softclass/state";

const KEYS = ["data", "n", "seed", "points", "hidden", "act", "head", "opt", "eta", "l2", "s", "step"];
const USUAL = Object.fromEntries(KEYS.map((key) => [key, FIELDS[key].fallback]));

/** The gradient at the logits, by head. */
const GRADIENTS = {
  softmax_ce: () => row("p − y"),
  softmax_se: () => row("J", row("( p − y )")),
  sigmoid_ce: () => row("a − y"),
  sigmoid_se: () => row(row("( a − y )"), "a", row("( 1 − a )")),
};

/** Fill the column for what is trained now. */
export function explain({ side, t }, { hidden, head }) {
  const isLinear = hidden.length === 0;
  const borders = t(isLinear ? "plane.notice.linear" : "plane.notice.deep");
  side.notice(borders, t("plane.notice.start"), t("plane.notice.epoch"));
  const tie = math(row("( w_i − w_j )"), "· x + b_i − b_j = 0");
  const layers = math("z = W h^(L) + b");
  const gradient = math(row("∂"), "L / ∂", "z =", GRADIENTS[head]());
  side.formula(isLinear ? tie : layers, gradient, t(`plane.gradient.${head}`));
  side.derivation(t("plane.why.push"), t("plane.why.squared"), t("plane.why.limits"));
  const deep = { opt: "adam", s: 1 };
  const states = {
    ce: { step: 15 },
    se: { head: "softmax_se", step: 586 },
    line: { data: "rings", s: 0, step: 200 },
    rings: { ...deep, data: "rings", hidden: [6], eta: 0.02, step: 100 },
    spiral: { ...deep, data: "spiral", hidden: [16, 16], eta: 0.01, step: 80 },
    iris: { data: "iris", s: 0, step: 200 },
    own: { data: "own", s: 0 },
  };
  const whole = Object.entries(states).map(([name, state]) => [name, { ...USUAL, ...state }]);
  side.tryThis("plane.try", Object.fromEntries(whole));
}
