/** The pictures of panel 3: loss against steps with theory below, push against margin, accuracy of networks. */
import { figure } from "softclass/figure";
import { STYLES, axes, label, line, linear, log10, svg, symbol, widthOf } from "softclass/plots";
import { pushAt } from "softclass/slow_runs";
import { raised } from "softclass/text";

/** The look of each loss: colour, dashes and symbol; no two that can be seen together share one. */
export const LOOK = { ce: 0, se: 1, eps: 2, clip: 3, sigmoid_ce: 2, sigmoid_se: 3 };

const LOWEST = 0.03; // losses below are not drawn
const LETTER = 7.4; // pixels that a letter of a word takes
const FIRST = 0.6; // where step 0 stands on a logarithmic axis
const [LEFT, RIGHT, BOTTOM] = [52, 32, 44];

/** A row, or several, of a piece of line, a symbol and a name for each loss. */
function legend(names, width) {
  const nodes = [];
  let [x, y] = [0, 14];
  for (const [loss, name] of names) {
    const look = LOOK[loss];
    const room = 44 + widthOf(name, LETTER);
    if (x > 0 && x + room > width) [x, y] = [0, y + 22];
    nodes.push(
      line([[x + 2, y - 4], [x + 30, y - 4]], STYLES[look]),
      symbol(look, x + 16, y - 4, 4.5),
      label(name, x + 37, y),
    );
    x += room + 12;
  }
  return { nodes, height: y + 6 };
}

const named = (place, losses) => losses.map((loss) => [loss, place.t(`slow.loss.${loss}`)]);

/** Marks that say where a run is now. */
function now(look, x, y) {
  const mark = symbol(look, x, y, 6);
  mark.classList.add("now");
  return mark;
}

const inside = (value, [low, high]) => Math.min(Math.max(value, low), high);

function hintBelow(chart) {
  const hint = document.createElement("p");
  hint.className = "hint";
  chart.element.append(hint);
  return hint;
}

/** Loss against steps, both logarithmic. */
export function lossFigure(place) {
  const { t, integer, number } = place;
  const chart = figure(place, { key: "slow-loss", title: t("slow.chart"), width: 760, height: 340 });
  const hint = hintBelow(chart);
  const show = (runs, step) => {
    const { items } = runs;
    const losses = items.map(({ loss }) => loss);
    const unit = t(runs.given.run === "plane" ? "slow.epoch" : "slow.step");
    const last = horizon(runs);
    const largest = Math.max(...items.flatMap(({ trace }) => trace.samples.map(({ loss }) => loss)), 1);
    const looks = runs.at(step);
    hint.textContent = items.some(({ line: theory }) => theory.length > 0) ? t("slow.chart.theory") : "";
    chart.show({
      summary: t("slow.chart.summary", {
        list: items.map((item) => `${t(`slow.loss.${item.loss}`)} ${countOf(place, item)}`).join(t("slow.and")),
      }),
      columns: [
        unit,
        ...losses.flatMap((loss) => [
          t("slow.column.loss", { loss: t(`slow.loss.${loss}`) }),
          t(`slow.column.${runs.given.run === "plane" ? "right" : "p"}`, { loss: t(`slow.loss.${loss}`) }),
        ]),
      ],
      rows: tableRows(items, last, ({ loss, right }) => [loss, right]),
      marks(width, height) {
        const head = legend(named(place, losses), width);
        const x = log10([FIRST, last], [LEFT, width - RIGHT]);
        const y = log10([LOWEST, largest * 1.5], [height - BOTTOM, head.height + 30]);
        const at = ({ step: steps, loss }) => [x(inside(steps, x.domain)), y(Math.max(loss, 1e-300))];
        const path = (points) =>
          cut(points.filter(({ step: steps }) => steps <= last || steps === Infinity).map(at), height - BOTTOM);
        const frame = axes({
          x, y, width, height, xLabel: unit, yLabel: t("slow.axis.loss"), xFormat: integer,
          yFormat: (value) => number(value, 2),
        });
        const nodes = [frame, ...head.nodes];
        for (const { line: theory } of items) nodes.push(line(path(theory), "below"));
        for (const { loss, trace } of items) {
          const rest = trace.isStuck ? [{ step: last, loss: trace.samples.at(-1).loss }] : [];
          nodes.push(line(path([...trace.samples, ...rest]), STYLES[LOOK[loss]]));
        }
        items.forEach((item, i) => nodes.push(...reachedMark(place, item, at, i, { width, bottom: height - BOTTOM })));
        const here = x(inside(step, x.domain));
        nodes.push(svg("line.axis", { x1: here, x2: here, y1: y.range[1], y2: y.range[0] }));
        looks.forEach((look, i) => nodes.push(now(LOOK[losses[i]], here, y(inside(look.loss, y.domain)))));
        return nodes;
      },
    });
  };
  return { element: chart.element, show };
}

/** A line that ends where it goes below the picture. */
function cut(points, bottom) {
  const kept = [];
  for (const [i, [x, y]] of points.entries()) {
    if (y <= bottom) {
      kept.push([x, y]);
      continue;
    }
    const [fromX, fromY] = points[Math.max(i - 1, 0)];
    if (fromY < bottom) kept.push([fromX + ((x - fromX) * (bottom - fromY)) / (y - fromY), bottom], [NaN, NaN]);
  }
  return kept;
}

/** Where the first mark was reached: a thin line down and the number of steps. */
function reachedMark(place, { loss, trace }, at, i, { width, bottom }) {
  const step = trace.reached[0];
  if (step === null || step < 1) return [];
  const [x, high] = at(sampleNear(trace, step));
  const y = Math.min(high, bottom);
  const words = place.integer(step);
  const anchor = x + 5 + 1.2 * widthOf(words, LETTER) > width ? "end" : "start";
  return [
    svg("line", {
      class: `line thin stroke c${LOOK[loss]}`, x1: x, x2: x, y1: y, y2: bottom, "stroke-dasharray": "2 3",
    }),
    label(words, x + (anchor === "end" ? -5 : 5), bottom - 8 - 16 * i, { style: "strong", anchor }),
  ];
}

const sampleNear = (trace, step) => trace.samples.findLast((sample) => sample.step <= step);

/** Rows for a table, about five for ten times as many steps: the step, then what `pick` takes from each run there. */
function tableRows(items, last, pick) {
  const samples = items.map(({ trace }) => trace.samples.filter(({ even }) => even));
  const longest = samples.reduce((best, list) => (list.length > best.length ? list : best));
  const rows = [];
  let next = 0;
  longest.forEach(({ step }, i) => {
    if (step < next || step > last) return;
    rows.push([step, ...samples.flatMap((list) => pick(list[Math.min(i, list.length - 1)]))]);
    next = step < 5 ? step + 1 : step * 1.55;
  });
  return rows;
}

/** The last step on the axis: where the runs end, or, while they are measured, where theory lets them end. */
function horizon(runs) {
  const known = runs.items.map(({ trace, theory }) =>
    Math.max(trace.isStuck ? 0 : trace.steps, Number.isFinite(theory[0]) ? theory[0] : 0),
  );
  const { cap } = runs.items[0].trace;
  return runs.isDone ? Math.max(runs.end, 30) : inside(Math.max(...known) * 1.25, [30, cap]);
}

/** "13", "never", "not within 2,000,000" or, while it is measured, "more than 5,000 …". */
export function countOf(place, { trace }, mark = 0) {
  const { t, integer } = place;
  if (trace.reached[mark] !== null) return integer(trace.reached[mark]);
  if (trace.isStuck) return t("slow.never");
  if (trace.isOver) return t("slow.not", { cap: integer(trace.cap) });
  return trace.steps === 0 ? "…" : t("slow.sofar", { steps: integer(trace.steps) });
}

const MARGINS = 90;

/** Push against margin: lines of every loss, and where each run is now; in the plane the way each run went. */
export function pushFigure(place) {
  const { t, number } = place;
  const chart = figure(place, { key: "slow-push", title: t("slow.push"), width: 760, height: 340 });
  const hint = hintBelow(chart);
  let [known, lines] = ["", []];
  /** The push at every margin, others level: it changes with the setting only. */
  const levelOf = (runs) => {
    const { run, m, K } = runs.given;
    if (run === "plane") return [];
    const name = JSON.stringify([run, m, K, runs.items.map(({ loss }) => loss)]);
    if (name !== known) {
      const [low, high] = [-4, Math.max(m, 4) + 1];
      const margins = Array.from({ length: MARGINS }, (_, i) => low + ((high - low) * i) / (MARGINS - 1));
      lines = runs.items.map(({ loss }) => ({
        loss,
        points: margins.map((margin) => [margin, pushAt(runs.given, loss, margin)]),
      }));
      known = name;
    }
    return lines;
  };
  const show = (runs, step) => {
    const level = levelOf(runs);
    const { run } = runs.given;
    // Runs go on to margins far below 0, where all is learnt: the picture ends before.
    const start = runs.items[0].trace.samples[0].margin;
    const near = ({ margin }) => margin >= (run === "plane" ? -1.2 * Math.abs(start) - 2 : -4);
    const ways = runs.items.map(({ loss, trace }) => ({
      loss,
      points: trace.samples.filter(near).map(({ margin, push }) => [margin, push]),
    }));
    const looks = runs.at(step);
    hint.textContent = t(`slow.push.hint.${run}`);
    const all = [...level, ...ways].flatMap(({ points }) => points);
    const margins = all.map(([margin]) => margin);
    const pushes = all.map(([, push]) => push).filter((push) => push > 0);
    const domain = [Math.min(...margins), Math.max(...margins)];
    const reach = [Math.max(10 ** Math.floor(Math.log10(Math.min(...pushes, 0.1))), 1e-16), Math.max(...pushes) * 2];
    const list = runs.items
      .map(({ loss }, i) => `${t(`slow.loss.${loss}`)} ${number(looks[i].push, 4)}`)
      .join(t("slow.and"));
    chart.show({
      summary: t("slow.push.summary", { list, margin: number(looks[0].margin, 2) }),
      ...tableOf(place, runs),
      marks(width, height) {
        const head = legend(named(place, ways.map(({ loss }) => loss)), width);
        const x = linear(domain, [LEFT, width - RIGHT]);
        const y = log10(reach, [height - BOTTOM, head.height + 30]);
        const xLabel = t(run === "neuron" ? "slow.axis.z" : run === "plane" ? "slow.axis.mean" : "slow.axis.margin");
        const frame = axes({
          x, y, width, height, xLabel, yLabel: t("slow.axis.push"), xFormat: (value) => number(value, 1),
          yFormat: (value) => powerTick(number, value), yTicks: 6,
        });
        const pixels = (points) => points.map(([margin, push]) => [x(margin), push > 0 ? y(inside(push, reach)) : NaN]);
        const drawn = [
          ...level.map(({ loss, points }) => line(pixels(points), `thin stroke c${LOOK[loss]}`)),
          ...ways.map(({ loss, points }) => line(pixels(points), STYLES[LOOK[loss]])),
        ];
        const dots = looks.flatMap((look, i) =>
          look.margin < domain[0] ? [] : [now(LOOK[runs.items[i].loss], x(look.margin), y(inside(look.push, reach)))],
        );
        const zeros = looks.flatMap((look) =>
          look.push === 0 && look.margin >= domain[0]
            ? [label(t("slow.push.zero"), x(look.margin) - 10, y(reach[0]) - 10, { anchor: "end", style: "strong" })]
            : [],
        );
        return [frame, ...head.nodes, ...drawn, ...dots, ...zeros];
      },
    });
  };
  return { element: chart.element, show };
}

const powerTick = (number, value) =>
  value >= 0.001 && value < 1e4 ? number(value, 3) : `10${raised(Math.round(Math.log10(value)))}`;

/** Columns and rows below the second figure. */
function tableOf({ t }, { given, items }) {
  const names = items.map(({ loss }) => t(`slow.loss.${loss}`));
  if (given.run === "plane") {
    const columns = names.flatMap((loss) => [t("slow.column.margin", { loss }), t("slow.column.push", { loss })]);
    return {
      columns: [t("slow.epoch"), ...columns],
      rows: tableRows(items, Infinity, ({ margin, push }) => [margin, push]),
    };
  }
  const all = Array.from({ length: Math.floor(Math.max(given.m, 4)) + 3 }, (_, i) => i - 2);
  const margins = all.filter((margin) => all.length < 14 || margin % 2 === 0);
  const rows = margins.map((margin) => [margin, ...items.map(({ loss }) => pushAt(given, loss, margin))]);
  return { columns: [t("slow.axis.margin"), ...names], rows };
}

/** Accuracy of networks after each epoch: precomputed, the median of several seeds. */
export function networkFigure(place) {
  const { t, integer, number, percent } = place;
  const chart = figure(place, { key: "slow-network", title: t("slow.network"), width: 760, height: 360 });
  /** `runs` are those of the curves that are shown, each with its loss. */
  const show = (runs, step) => {
    const epochs = runs[0].accuracy.length;
    const epoch = inside(step, [1, epochs]);
    const list = runs
      .map(({ loss, accuracy }) => `${t(`slow.loss.${loss}`)} ${percent(accuracy[epochs - 1])}`)
      .join(t("slow.and"));
    chart.show({
      summary: t("slow.network.summary", { epochs, list }),
      columns: [t("slow.epoch"), ...runs.map(({ loss }) => t(`slow.loss.${loss}`))],
      rows: Array.from(runs[0].accuracy, (_, i) => [i + 1, ...runs.map(({ accuracy }) => accuracy[i])]),
      marks(width, height) {
        const head = legend(named(place, runs.map(({ loss }) => loss)), width);
        const x = linear([1, epochs], [LEFT, width - RIGHT]);
        const y = linear([0, 1.08], [height - BOTTOM, head.height + 30]);
        const frame = axes({
          x, y, width, height, xLabel: t("slow.epoch"), yLabel: t("slow.axis.accuracy"), xFormat: integer,
          yFormat: (share) => `${number(100 * share, 0)} %`,
        });
        const wanted = svg("line.line.theory", { x1: x.range[0], x2: x.range[1], y1: y(0.9), y2: y(0.9) });
        const drawn = runs.map(({ loss, accuracy }) =>
          line(Array.from(accuracy, (share, i) => [x(i + 1), y(share)]), STYLES[LOOK[loss]]),
        );
        const here = svg("line.axis", { x1: x(epoch), x2: x(epoch), y1: y(1.08), y2: y(0) });
        const dots = runs.map(({ loss, accuracy }) => now(LOOK[loss], x(epoch), y(accuracy[epoch - 1])));
        return [
          frame, ...head.nodes, wanted,
          label(t("slow.network.wanted"), x.range[1], y(0.9) + 16, { anchor: "end", style: "small" }), here, ...drawn,
          ...dots,
        ];
      },
    });
  };
  return { element: chart.element, show };
}
