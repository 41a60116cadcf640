/** Panel 8: sets of classes that hold the true one as often as asked. */
import { choice, slider } from "softclass/controls";
import { element } from "softclass/elements";
import { gallery } from "softclass/examples";
import { figure } from "softclass/figure";
import { frac, math, row } from "softclass/formulas";
import { bars, fitted, label, line, linear, svg, symbol, widthOf } from "softclass/plots";
import { coverageBand, members, ownScores, quantile, rank, setScores, sets } from "softclass/prediction_sets";
import { showSizes } from "softclass/set_sizes";
import { register } from "softclass/text";
import { words } from "softclass/text_sets";
import { atTemperature } from "softclass/trust";
import { CLASS_BARS, className, openTrust, remembered, showReadings } from "softclass/trust_bar";

register("sets", words);
export const key = "sets";
export const fields = ["set", "calib", "T", "class", "alpha", "score", "lambda", "kreg"];

const SHOWN_KINDS = ["large", "missed", "empty"];
const EXAMPLES = 6; // of each kind
const NAMES = 5; // classes of a set that are named

/** Build the panel into place.main. */
export function view(place) {
  const { t, store } = place;
  const parts = {};
  const scored = remembered((rows, T, method, penalty, free) =>
    setScores(rows, atTemperature(rows, T).p, T, method, { penalty, free }),
  );
  const judged = remembered((rows, found, T, method, penalty, free) =>
    setScores(rows, found.p, T, method, { penalty, free }),
  );
  const sorted = remembered((rows, scores) => ownScores(rows, scores));
  const galleries = Object.fromEntries(SHOWN_KINDS.map((kind) => [kind, gallery(place)]));
  const told = remembered((n) => explain(place, n));
  told(0);

  function build(room) {
    parts.lacking = element("p", t("trust.no_calibration"));
    parts.readings = element("dl.readings");
    parts.said = element("p.said-sets", { "data-part": "empty" });
    parts.warning = element("p.hint.apart");
    parts.band = figure(place, { key: "coverage", title: t("sets.band"), width: 760, height: 134 });
    parts.histogram = figure(place, { key: "sizes", title: t("sets.histogram"), width: 520, height: 280 });
    parts.classes = figure(place, { key: "classes", title: t("sets.by_class"), width: 520, height: 280 });
    parts.examples = element("div");
    parts.found = element("div");
    const beside = element("div.figures", parts.histogram.element, parts.classes.element);
    parts.found.append(parts.readings, parts.said, parts.warning, parts.band.element, beside, parts.examples);
    room.append(parts.lacking, parts.found);
  }

  function draw(facts) {
    const { calibration, test, found, T } = facts;
    parts.lacking.hidden = calibration.n > 0;
    parts.found.hidden = calibration.n === 0;
    if (calibration.n === 0) return;
    const [alpha, method, penalty, free] = ["alpha", "score", "lambda", "kreg"].map(store.get);
    const own = sorted(calibration, scored(calibration, T, method, penalty, free));
    const scores = judged(test, found, T, method, penalty, free);
    const limit = quantile(own, alpha);
    const made = {
      ...facts, alpha, method, scores, limit, n: own.length, rank: rank(own.length, alpha),
      made: sets(test, scores, limit),
    };
    showReadings(parts.readings, readings(place, made));
    sayEmpty(place, parts, made);
    showBand(place, parts.band, made);
    showSizes(place, parts.histogram, made);
    showCoverage(place, parts.classes, made);
    showExamples(place, parts.examples, made, galleries);
    told(test.n);
  }

  const controls = () => [
    slider(place, {
      key: "alpha", label: t("sets.alpha"), said: (alpha) => t("sets.alpha.said", { alpha }),
      output: (alpha) => t("sets.alpha.output", { coverage: `${100 - alpha} %` }),
    }),
    choice(place, { key: "score", words: "sets.score" }),
    ...onlyFor(place, "raps", [
      slider(place, { key: "lambda", label: t("sets.lambda"), max: 0.5, step: 0.005 }),
      slider(place, { key: "kreg", label: t("sets.kreg"), max: 10 }),
    ]),
  ];
  const keys = ["alpha", "score", "lambda", "kreg"];
  return openTrust(place, { keys, controls, top: "trust.class.top", calibrates: true, build, draw });
}

/** Controls that do nothing for the other scores are not shown with them. */
function onlyFor(place, score, nodes) {
  const boxes = nodes.map((node) => element("div", node));
  place.watch(["score"], (chosen) => {
    for (const box of boxes) box.hidden = chosen !== score;
  });
  return boxes;
}

const asked = (alpha) => `${100 - alpha} %`;

function readings(place, { made, alpha, method, limit, n, rank: k }) {
  const { t, integer, percent, number } = place;
  const finite = limit < Infinity;
  const p = Math.exp(-limit);
  const limitNote = !finite
    ? t("sets.limit.full", { rank: integer(k), n: integer(n) })
    : [
        t("sets.limit.rank", { rank: integer(k), n: integer(n) }),
        ...(method === "lac" ? [t("sets.limit.lac", { p: number(p, 4) })] : []),
      ].join("; ");
  return [
    {
      key: "coverage",
      label: t("sets.coverage"),
      value: percent(made.covered / made.n),
      note: t("sets.coverage.note", { covered: integer(made.covered), n: integer(made.n), asked: asked(alpha) }),
    },
    { key: "size", label: t("sets.size"), value: number(made.meanSize, 3, true), note: t("sets.size.note") },
    {
      key: "empty", label: t("sets.empty"), value: integer(made.empty),
      note: t("sets.empty.note", { n: integer(made.n) }),
    },
    { key: "limit", label: t("sets.limit"), value: number(limit, 4), note: limitNote },
  ];
}

function sayEmpty(place, parts, { made, alpha, n, rank: k, limit, T }) {
  const { t, integer } = place;
  if (limit === Infinity && k > n) {
    const needed = Math.ceil((100 - alpha) / alpha);
    parts.said.textContent = t("sets.said.full", {
      calibration: integer(n), asked: asked(alpha), rank: integer(k), needed: integer(needed),
    });
  } else if (made.empty > 0)
    parts.said.textContent = t("sets.said.empty", { empty: integer(made.empty), n: integer(made.n) });
  else parts.said.textContent = t("sets.said.none");
  parts.warning.textContent = t("sets.said.fitted");
  parts.warning.hidden = T === 1;
}

function showBand(place, made, { made: found, alpha, n }) {
  const { t, percent, integer, number } = place;
  const [low, high] = coverageBand(n, alpha);
  const coverage = found.covered / found.n;
  const wanted = (100 - alpha) / 100;
  const ends = { low: percent(low), high: percent(high) };
  made.show({
    summary: t("sets.band.summary", {
      coverage: percent(coverage), n: integer(found.n), asked: asked(alpha), calibration: integer(n), ...ends,
    }),
    columns: [t("sets.quantity"), t("sets.value")],
    rows: [[t("sets.asked"), wanted], [t("sets.measured"), coverage], [t("sets.low"), low], [t("sets.high"), high]],
    marks(width, height) {
      const from = Math.max(0, Math.floor(20 * (Math.min(wanted, coverage, low) - 0.03)) / 20);
      const x = linear([from, 1], [26, width - 26]);
      const [top, bottom] = [40, 90];
      // Words stand on the side of their mark where there is room.
      const beside = (value, words, y, style) => {
        const left = x(value) > width / 2;
        return label(words, x(value) + (left ? -6 : 6), y, { anchor: left ? "end" : "start", style });
      };
      return [
        ...x
          .ticks(Math.floor(width / 80))
          .flatMap((value) => [
            svg("line.grid", { x1: x(value), x2: x(value), y1: top, y2: bottom }),
            label(`${number(100 * value, 0)} %`, x(value), bottom + 18, { anchor: "middle", style: "tick" }),
          ]),
        svg("rect.band", { x: x(low), y: top + 10, width: Math.max(x(high) - x(low), 2), height: 30, rx: 3 }),
        svg("line.line.theory", { x1: x(wanted), x2: x(wanted), y1: 5, y2: bottom }),
        svg("line.axis", { x1: 26, x2: width - 26, y1: bottom, y2: bottom }),
        svg("line.axis", { x1: x(coverage), x2: x(coverage), y1: 23, y2: top + 25 }),
        symbol(0, x(coverage), top + 25, 7),
        beside(wanted, t("sets.band.asked", { asked: asked(alpha) }), 15, "muted"),
        beside(coverage, t("sets.band.measured", { coverage: percent(coverage) }), 33, "strong halo"),
        label(t("sets.band.range", ends), 26, height - 4, { style: "muted" }),
      ];
    },
  });
}

function showCoverage(place, made, { made: found, evaluation, k, alpha }) {
  const { t, percent, integer, number } = place;
  const name = (at) => className(place, evaluation, at);
  const all = found.byClass.map(({ n, covered, size }, at) => ({
    at,
    n,
    covered,
    coverage: n > 0 ? covered / n : null,
    size: n > 0 ? size / n : null,
  }));
  const ranked = all.filter(({ n }) => n > 0).sort((a, b) => a.coverage - b.coverage || a.at - b.at);
  const missed = ({ n, covered }) => n - covered;
  const drawn =
    k >= 0
      ? all.filter(({ at, n }) => at === k && n > 0)
      : all.length <= CLASS_BARS
        ? all.filter(({ n }) => n > 0)
        : [...ranked].sort((a, b) => missed(b) - missed(a) || a.at - b.at).slice(0, CLASS_BARS);
  const low = ranked[0];
  const longest = Math.min(100, Math.max(24, ...drawn.map(({ at }) => widthOf(name(at)))) + 8);
  made.show({
    summary:
      low === undefined
        ? t("sets.by_class.none")
        : t("sets.by_class.summary", { name: name(low.at), covered: integer(low.covered), n: integer(low.n) }),
    columns: ["name", "covered", "coverage", "size"]
      .map((column) => t(`sets.by_class.${column}`))
      .toSpliced(1, 0, t("sets.histogram.rows")),
    rows: all.map(({ at, n, covered, coverage, size }) => [name(at), n, covered, coverage ?? "–", size ?? "–"]),
    height: 34 + drawn.length * 26,
    marks(width, height) {
      const x = linear([0, 1], [longest, width - 132]);
      const items = drawn.map(({ at, coverage, size }) => ({
        name: fitted(name(at), longest - 6),
        value: coverage,
        text: t("sets.by_class.text", { coverage: percent(coverage), size: number(size, 2, true) }),
        style: 0,
      }));
      const wanted = x((100 - alpha) / 100);
      return [
        bars(items, { x, top: 26, pitch: 26, thickness: 14, texts: width - 2 }),
        line([[wanted, 20], [wanted, height - 6]], "theory"),
        label(t("sets.band.asked", { asked: asked(alpha) }), wanted, 14, { anchor: "middle", style: "muted" }),
      ];
    },
  });
}

function showExamples(place, room, facts, galleries) {
  const { t } = place;
  const { test, found, made, scores, limit, evaluation, k } = facts;
  const name = (at) => className(place, evaluation, at);
  const rows = Array.from({ length: test.n }, (_, i) => i).filter((i) => k < 0 || test.targets[i] === k);
  const byLoss = (a, b) => found.loss[b] - found.loss[a] || a - b;
  const kinds = {
    large: rows.filter((i) => made.sizes[i] > 1).sort((a, b) => made.sizes[b] - made.sizes[a] || byLoss(a, b)),
    missed: rows.filter((i) => !made.contains[i] && made.sizes[i] > 0).sort(byLoss),
    empty: rows.filter((i) => made.sizes[i] === 0).sort(byLoss),
  };
  const written = (i) => {
    if (made.sizes[i] === 0) return t("sets.set.empty");
    const all = members(test, scores, limit, i);
    const named = all.slice(0, NAMES).filter((at) => at >= 0);
    const more = made.sizes[i] - named.length;
    const list = named.map(name).join(", ");
    return t("sets.set", { members: more > 0 ? `${list}, ${t("sets.more", { n: place.integer(more) })}` : list });
  };
  const sections = Object.entries(kinds)
    .filter(([, of]) => of.length > 0)
    .map(([kind, of]) => {
      const plain = t(`sets.examples.${kind}`);
      const title = k < 0 ? plain : t("sets.examples.of", { title: plain, name: name(k) });
      const items = of.slice(0, EXAMPLES).map((i) => ({
        row: test.index[i], truth: name(test.targets[i]), predicted: name(found.predicted[i]), lines: [written(i)],
      }));
      return element(
        "section.card",
        { "data-part": kind },
        element("h2", title),
        galleries[kind](evaluation, items, title),
      );
    });
  room.replaceChildren(...sections);
}

function explain(place, n) {
  const { side, t } = place;
  side.notice(t("sets.notice.1"), t("sets.notice.2"), t("sets.notice.3"));
  side.formula(
    math("C =", row("{ y : s ( y ) ≤ s_{( k )} }")),
    math("k = ⌈ ( n + 1 ) ( 1 − α ) ⌉"),
    math("P ( y ∈ C ) ≥", frac("k", "n + 1"), "≥ 1 − α"),
  );
  side.derivation(t("sets.derive.1"), t("sets.derive.2"), t("sets.derive.3", { n: place.integer(n) }));
  side.tryThis("sets.try", { one: { alpha: 1 }, thirty: { alpha: 30 }, aps: { score: "aps" }, seed: { calib: 11 } });
}
