/** The triangles of panel 2: where gradient descent on the scores takes the probabilities, with either loss. */
import { element } from "softclass/elements";
import { figure } from "softclass/figure";
import { crossEntropy, jacobianProduct, squaredError } from "softclass/loss";
import { STYLES, label, line, svg, symbol, ternary } from "softclass/plots";
import { threeNeeded } from "softclass/score_inputs";
import { softmax } from "softclass/softmax";
import { letter, power } from "softclass/text";

/** The looks of the two losses. */
export const [CE, SE] = [0, 1];

export const length = (vector) => Math.hypot(...vector);

/** Three digits or so; a power of ten for what is small. */
export function brief(place, x) {
  const size = Math.abs(x);
  if (size > 0 && size < 0.001) return power(x, 2);
  return place.number(x, size < 0.01 ? 5 : size < 0.1 ? 4 : 3);
}

const CELLS = 11; // arrows along a side of the triangle
const STRETCH = 1.8; // the longest arrow in distances between two arrows
const PATH_STEPS = 150;
const PATH_RATE = 0.5;

/** How p moves under gradient descent on the logits, dp = -J g; `isSquared` is squared error. */
function flowAt(p, wanted, isSquared) {
  const residual = p.map((share, i) => share - wanted[i]);
  const gradient = isSquared ? jacobianProduct(p, residual) : residual;
  return jacobianProduct(p, gradient).map((change) => -change);
}

/** Where gradient descent takes the scores, in points of the triangle. */
function pathOf(scores, wanted, lossOf) {
  let z = scores;
  const points = [softmax(z)];
  for (let step = 0; step < PATH_STEPS; step += 1) {
    const { gradient } = lossOf(z, wanted);
    z = z.map((score, i) => score - PATH_RATE * gradient[i]);
    points.push(softmax(z));
  }
  return points;
}

/** Two triangles with the arrows of the two losses on one scale. */
export function triangles(place) {
  const { t } = place;
  const chart = figure(place, { key: "loss-flow", title: t("loss.flow"), width: 860, height: 420 });
  const needed = threeNeeded(place);
  const refusal = element("div.card.stack", element("h2", t("loss.flow")), ...needed.nodes);
  const hint = element("p.hint", t("loss.flow.hint"));
  chart.element.append(hint);
  const whole = element("div", chart.element, refusal);
  const fields = new Map();
  const remembered = (look, geometry) => {
    const name = JSON.stringify(geometry);
    if (fields.get(look)?.name !== name) fields.set(look, { name, field: triangleOf(geometry) });
    return fields.get(look).field;
  };
  const show = (now) => {
    const isThree = now.p.length === 3;
    chart.element.hidden = !isThree;
    refusal.hidden = isThree;
    needed.tell(now.p.length);
    if (!isThree) return;
    const { distances, p, wanted } = now;
    const paths = [pathOf(distances, wanted, crossEntropy), pathOf(distances, wanted, squaredError)];
    const tables = [flowAt(p, wanted, false), flowAt(p, wanted, true)];
    const wide = (width) => width >= 560;
    const sideOf = (width) => (wide(width) ? (width - 40) / 2 : Math.min(width, 420)) - 24;
    const tall = (width) => (sideOf(width) * Math.sqrt(3)) / 2 + 78;
    chart.show({
      summary: t("loss.flow.summary", { ce: brief(place, length(tables[0])), se: brief(place, length(tables[1])) }),
      columns: [t("loss.class"), "p", "y", t("loss.flow.ce"), t("loss.flow.se")],
      rows: p.map((share, i) => [letter(i), share, wanted[i], tables[0][i], tables[1][i]]),
      height: (width) => (wide(width) ? tall(width) : 2 * tall(width)),
      marks(width) {
        const side = sideOf(width);
        return [CE, SE].flatMap((look) => {
          const left = wide(width) ? 12 + look * (side + 64) : (width - side) / 2;
          const top = wide(width) ? 0 : look * tall(width);
          const title = label(
            t(look === CE ? "loss.flow.of.ce" : "loss.flow.of.se"),
            wide(width) ? left - 12 : 0,
            top + 14,
            { style: "muted" },
          );
          const field = remembered(look, { left, top: top + 44, side, wanted, look });
          return [title, ...field.nodes, ...wayOf(field.at, now, paths[look], look)];
        });
      },
    });
  };
  return { element: whole, show };
}

/** A triangle with its arrows: these depend on the target alone, so they are made once for many moves of a score. */
function triangleOf({ left, top, side, wanted, look }) {
  const { element: frame, at } = ternary({ left, top, side, names: ["A", "B", "C"] });
  const unit = STRETCH / CELLS / largestFlow(wanted);
  const arrows = grid().map((point) => {
    const change = flowAt(point, wanted, look === SE);
    return arrow(at(point), at(point.map((share, i) => share + change[i] * unit)), look);
  });
  return { nodes: [frame, svg("g", {}, arrows), symbol(3, ...at(wanted), 5)], at };
}

/** What lies over the field: these scores, and where they go. */
function wayOf(at, { p }, path, look) {
  const [cx, cy] = at(p);
  return [line(path.map(at), STYLES[look]), svg("circle.handle", { cx, cy, r: 7 })];
}

/** Points inside the triangle, on a lattice that leaves out the border. */
function grid() {
  const points = [];
  for (let i = 0; i < CELLS; i += 1) {
    for (let j = 0; j < CELLS - i; j += 1) {
      const [a, b] = [(i + 1 / 3) / CELLS, (j + 1 / 3) / CELLS];
      points.push([a, b, 1 - a - b]);
    }
  }
  return points;
}

/** The largest speed of cross-entropy on the lattice: both triangles measure by it. */
function largestFlow(wanted) {
  return Math.max(...grid().map((point) => length(flowAt(point, wanted, false))));
}

function arrow([x, y], [toX, toY], look) {
  const [dx, dy] = [toX - x, toY - y];
  const long = Math.hypot(dx, dy);
  if (long < 1.2) return svg("circle", { class: `fill c${look}`, cx: x.toFixed(1), cy: y.toFixed(1), r: 1.1 });
  const head = Math.min(5, 0.45 * long);
  const [ux, uy] = [dx / long, dy / long];
  const tip = (turn) =>
    `L${(toX - head * (ux + turn * 0.5 * uy)).toFixed(1)} ${(toY - head * (uy - turn * 0.5 * ux)).toFixed(1)}`;
  const shaft = `M${x.toFixed(1)} ${y.toFixed(1)}L${toX.toFixed(1)} ${toY.toFixed(1)}`;
  return svg("path", {
    class: `line thin stroke c${look}`,
    fill: "none",
    d: `${shaft}${tip(1)}M${toX.toFixed(1)} ${toY.toFixed(1)}${tip(-1)}`,
  });
}
