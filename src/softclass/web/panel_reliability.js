/** Panel 7: whether what was promised comes true, and the one temperature that mends it. */
import { button, choice, slider } from "softclass/controls";
import { element } from "softclass/elements";
import { figure } from "softclass/figure";
import { frac, math, text } from "softclass/formulas";
import { axes, label, line, linear, log10, STYLES, svg, symbol } from "softclass/plots";
import { register } from "softclass/text";
import { words } from "softclass/text_reliability";
import {
  atTemperature, bins, brier, ece, fitTemperature, logLoss, lossOfBeta, nullBand, ofClass,
} from "softclass/trust";
import { className, openTrust, remembered, showReadings } from "softclass/trust_bar";

register("reliability", words);
export const key = "reliability";
export const fields = ["set", "calib", "T", "class", "bins", "by"];

const DRAWS = 1000; // behind the band of luck
const MOST_DRAWN = 1_000_000; // rows times draws; above 10,000 rows the error that luck shows is below 0.012 anyway
const LEAST_DRAWS = 100;
const [LEAST_T, MOST_T] = [0.1, 20];
const CURVE_POINTS = 61;
const NOTHING = 5e-4; // a difference of temperatures that three decimals do not show
const QUIET = 150; // milliseconds without a change before luck is drawn
const BREATH = 12; // milliseconds of work before the page may breathe

/** Build the panel into place.main. */
export async function view(place) {
  const { t, store } = place;
  const model = await place.source.model();
  const parts = {};
  let turn = 0;
  let first = true;
  let quiet = null;
  const star = remembered((rows) => (rows.own.some((entry) => entry >= 0) ? fitTemperature(rows) : null));
  const smoothed = remembered((rows) => fitTemperature(rows, { smooth: true }));
  const starred = remembered((rows, T) => atTemperature(rows, T));
  const luck = remembered((promised, number, by) => {
    const draws = Math.min(DRAWS, Math.floor(MOST_DRAWN / promised.length));
    return draws < LEAST_DRAWS ? null : nullBand(promised, { number, by }, { draws });
  });
  const curves = remembered((calibration, test) => ({ calibration: lossCurve(calibration), test: lossCurve(test) }));
  const told = remembered((T, mild) => explain(place, T === null ? null : { T, smoothed: mild }));
  told(null, null);

  function build(room) {
    parts.readings = element("dl.readings");
    parts.lacking = element("p", t("trust.no_calibration"));
    parts.why = element("p.hint.apart", { "data-part": "why" });
    parts.take = button(place, {
      label: t("reliability.take"), kind: "main", press: () => store.set({ T: settable(parts.star) }),
    });
    parts.reset = button(place, { label: t("reliability.reset"), press: () => store.set({ T: 1 }) });
    parts.diagram = figure(place, { key: "reliability", title: t("reliability.diagram"), width: 560, height: 440 });
    parts.curve = figure(place, { key: "temperature", title: t("reliability.curve"), width: 560, height: 320 });
    parts.compare = element("div.card");
    const buttons = element("div.buttons.apart", parts.take, parts.reset);
    const beside = element("div.figures", parts.diagram.element, parts.curve.element);
    room.append(parts.readings, parts.lacking, buttons, parts.why, beside, parts.compare);
  }

  async function draw(facts) {
    const mine = (turn += 1);
    const how = { number: store.get("bins"), by: store.get("by") };
    const now = judged(facts, facts.found, how);
    const before = facts.T === 1 ? now : judged(facts, facts.plain, how);
    parts.star = facts.calibration.n > 0 ? star(facts.calibration) : null;
    const best = parts.star === null ? null : { T: parts.star, found: starred(facts.test, parts.star) };
    if (best !== null) best.loss = logLoss(best.found).knownRows;
    parts.take.disabled = best === null || settable(best.T) === facts.T;
    parts.reset.disabled = facts.T === 1;
    parts.lacking.hidden = facts.calibration.n > 0;
    const definition = t(`reliability.ece.${facts.k < 0 ? "top" : "class"}.${how.by}`, {
      bins: how.number,
      name: facts.k < 0 ? "" : className(place, facts.evaluation, facts.k),
    });
    const write = (band) =>
      showReadings(parts.readings, readings(place, { facts, now, before, best, band, definition }));
    // A thousand draws are not for every step of a slider that moves.
    clearTimeout(quiet);
    const drawn = () => luck(now.promised, how.number, how.by);
    if (first) write(drawn());
    else {
      write(undefined);
      quiet = setTimeout(() => write(drawn()), QUIET);
    }
    first = false;
    showDiagram(place, parts.diagram, now, before, facts.T);
    compare(place, parts.compare, { facts, now, before, how, best });
    const mild = best === null ? null : smoothed(facts.calibration);
    told(best === null ? null : best.T, mild);
    const isOwn = model.evaluations.includes(facts.evaluation.name) && (model.temperature ?? 1) !== 1;
    parts.why.textContent = isOwn ? whyBelow(place, model.temperature, best, mild, facts.calibration.n) : "";
    parts.why.hidden = parts.why.textContent === "";
    const found = await curves(facts.calibration, facts.test);
    const [ofCalibration, ofTest] = await Promise.all([found.calibration, found.test]);
    if (mine === turn) showCurve(place, parts.curve, { calibration: ofCalibration, test: ofTest, T: facts.T, best });
  }

  const controls = () => [
    slider(place, { key: "bins", label: t("reliability.bins") }),
    choice(place, { key: "by", words: "reliability.by" }),
  ];
  const keys = ["bins", "by"];
  const panel = await openTrust(place, { keys, controls, top: "trust.class.top_label", calibrates: true, build, draw });
  return {
    close() {
      clearTimeout(quiet);
      turn = -1;
      panel.close();
    },
  };
}

/**
 * Why T* is below 1 on the very rows that the temperature of the file was fitted on: with the doubt of training nothing
 * is left to mend there, without it there is. Empty where that is not so.
 */
function whyBelow(place, own, best, mild, n) {
  const { t, number, integer } = place;
  if (best === null || Math.abs(mild - 1) >= NOTHING || 1 - best.T < NOTHING) return "";
  const written = (T) => number(T, 3, true);
  const values = { own: written(own), star: written(best.T), smoothed: written(mild), n: integer(n) };
  return t("reliability.why", values);
}

/** A mean log loss; there is none where all rows are of classes that the model does not know. */
const lossText = (place, loss) => (Number.isNaN(loss) ? "–" : place.number(loss, 4, true));

/** T as the address holds it: three decimals. */
const settable = (T) => Math.min(Math.max(Number(T.toFixed(3)), 0.05), 20);

/** What was promised in each row, whether it came true, and the bins of that. */
function judged({ test, k }, found, how) {
  const promised = k < 0 ? found.confidence : ofClass(test, found, k);
  const right = Uint8Array.from(test.targets, (target, i) => (target === (k < 0 ? found.predicted[i] : k) ? 1 : 0));
  const binned = bins(promised, right, how);
  return { promised, right, binned, ece: ece(binned), loss: logLoss(found), brier: brier(found) };
}

function readings(place, { facts, now, before, best, band, definition }) {
  const { t, number, integer } = place;
  const at = t("reliability.at", { T: number(facts.T) });
  const loss = (of) => lossText(place, of.loss.knownRows);
  const rows = [
    { key: "ece", label: t("reliability.ece"), value: number(now.ece, 4, true), note: definition },
    { key: "loss", label: t("reliability.loss"), value: loss(now), note: at },
    { key: "brier", label: t("reliability.brier"), value: number(now.brier, 4, true), note: at },
    {
      key: "star",
      label: t("reliability.star"),
      value: best === null ? "–" : number(best.T, 3, true),
      note:
        best === null ? t("reliability.star.none") : t("reliability.star.note", { n: integer(facts.calibration.n) }),
    },
  ];
  if (best !== null) {
    const note = t("reliability.after.note", { before: loss(before) });
    rows.push({ key: "after", label: t("reliability.after"), value: lossText(place, best.loss), note });
  }
  if (band !== null) {
    const note = band && t("reliability.luck.note", { n: integer(facts.test.n), high: number(band.high, 3, true) });
    const value = band === undefined ? "…" : number(band.mean, 3, true);
    rows.splice(1, 0, { key: "luck", label: t("reliability.luck"), value, note });
  }
  return rows;
}

function showDiagram(place, made, now, before, T) {
  const { t, number, percent, integer } = place;
  const series = [{ found: now.binned, style: 0, name: t("reliability.now", { T: number(T) }) }];
  if (T !== 1) series.unshift({ found: before.binned, style: 1, name: t("reliability.before") });
  const worst = now.binned.reduce((most, bin) => (Math.abs(bin.gap) > Math.abs(most.gap) ? bin : most));
  made.show({
    summary: t("reliability.summary", {
      over: now.binned.filter(({ gap }) => gap < 0).length, n: now.binned.length, gap: percent(Math.abs(worst.gap)),
      confidence: percent(worst.confidence), rows: integer(worst.n),
    }),
    columns: ["curve", "low", "high", "rows", "confidence", "share", "gap"].map((name) =>
      t(`reliability.column.${name}`),
    ),
    rows: series.flatMap(({ found, name }) =>
      found.map((bin) => [name, bin.low, bin.high, bin.n, bin.confidence, bin.share, bin.gap]),
    ),
    marks(width, height) {
      const [left, right, top, bottom, floor] = [44, width - 12, 34, height - 120, height - 42];
      const x = linear([0, 1], [left, right]);
      const y = linear([0, 1], [bottom, top]);
      const most = Math.max(...now.binned.map(({ n }) => n));
      const tall = linear([0, most], [floor, bottom + 26]);
      const format = (value) => number(value, 1);
      const tower = ({ low, high, n }) =>
        svg("rect.bar.fill.c7", {
          x: x(low), y: tall(n), width: Math.max(x(high) - x(low) - 1, 2), height: Math.max(floor - tall(n), 1),
        });
      const curve = ({ found, style }) => [
        ...found.map((bin) =>
          line([[x(bin.confidence), y(bin.confidence)], [x(bin.confidence), y(bin.share)]], `${STYLES[style].stroke}`),
        ),
        // The area of a mark is as large as its bin is full, so that bins of two rows do not rule the picture.
        ...found.map((bin) => symbol(style, x(bin.confidence), y(bin.share), 2.5 + 6 * Math.sqrt(bin.n / most))),
      ];
      const legend = series.flatMap(({ style, name }, i) => [
        symbol(style, left + 14 + i * 104, 12, 4.5),
        label(name, left + 24 + i * 104, 17),
      ]);
      return [
        axes({ x, y, width, height: bottom + 22, yLabel: "", format }),
        line([[x(0), y(0)], [x(1), y(1)]], "theory"),
        label(t("reliability.perfect"), x(0.2), y(0.2) - 10, { style: "muted", anchor: "end" }),
        label(t("reliability.y"), left + 6, top + 12, { style: "muted" }),
        ...series.flatMap(curve),
        ...legend,
        ...now.binned.map(tower),
        svg("line.axis", { x1: left, x2: right, y1: floor, y2: floor }),
        label(t("reliability.count"), left, height - 8, { style: "muted" }),
        label(integer(most), left - 6, bottom + 36, { style: "tick", anchor: "end" }),
        label(t("reliability.x"), right, height - 8, { style: "muted", anchor: "end" }),
      ];
    },
  });
}

/** Mean log loss at temperatures from end to end; the page breathes in between. */
async function lossCurve(rows) {
  if (!rows.own.some((entry) => entry >= 0)) return [];
  const { at } = lossOfBeta(rows);
  const found = [];
  let start = performance.now();
  for (let i = 0; i < CURVE_POINTS; i += 1) {
    const T = LEAST_T * (MOST_T / LEAST_T) ** (i / (CURVE_POINTS - 1));
    found.push([T, at(1 / T).loss]);
    if (performance.now() - start < BREATH) continue;
    await new Promise((resolve) => setTimeout(resolve));
    start = performance.now();
  }
  return found;
}

function showCurve(place, made, { calibration, test, T, best }) {
  const { t, number } = place;
  const near = (points, at) =>
    points.reduce((found, point) =>
      Math.abs(Math.log(point[0] / at)) < Math.abs(Math.log(found[0] / at)) ? point : found,
    );
  const both = [calibration, test].filter((points) => points.length > 0);
  made.element.hidden = both.length === 0;
  if (both.length === 0) return;
  const least = Math.min(...both[0].map(([, loss]) => loss));
  // High enough for what happens around T = 1, also where the curves end higher.
  const highest = Math.max(
    ...both.map((points) => Math.max(2.2 * near(points, 1)[1], 4 * near(points, best?.T ?? 1)[1])),
    1e-6,
  );
  const series = [
    { points: calibration, style: 0, name: t("reliability.curve.calibration") },
    { points: test, style: 2, name: t("reliability.curve.test") },
  ].filter(({ points }) => points.length > 0);
  const between = (points, at) => {
    const above = points.findIndex(([value]) => value >= at);
    if (above <= 0) return points.at(above < 0 ? -1 : 0)[1];
    const [[low, first], [high, second]] = [points[above - 1], points[above]];
    return first + ((second - first) * Math.log(at / low)) / Math.log(high / low);
  };
  made.show({
    summary:
      best === null || calibration.length === 0
        ? t("reliability.curve.summary.none")
        : t("reliability.curve.summary", {
            T: number(best.T, 2, true), loss: number(least, 4), before: number(between(calibration, 1), 4),
          }),
    columns: [t("reliability.column.curve"), "T", t("reliability.curve.y")],
    rows: series.flatMap(({ points, name }) => points.map(([at, loss]) => [name, at, loss])),
    marks(width, height) {
      const x = log10([LEAST_T, MOST_T], [44, width - 14]);
      const y = linear([0, highest], [height - 42, 34]);
      const drawn = (points) => points.map(([at, loss]) => [x(at), loss > highest ? NaN : y(loss)]);
      const star = best === null ? [] : [best.T];
      const [top, bottom] = [y.range[1] + 16, y.range[0]]; // below the name of the axis
      const legend = series.flatMap(({ style, name }, i) => [
        line([[8 + i * 150, 12], [34 + i * 150, 12]], STYLES[style]),
        label(name, 40 + i * 150, 17),
      ]);
      const now = Math.min(Math.max(T, LEAST_T), MOST_T);
      return [
        axes({ x, y, width, height, xLabel: t("reliability.curve.x"), format: (value) => number(value, 2), yTicks: 5 }),
        ...star.map((at) => svg("line.axis", { x1: x(at), x2: x(at), y1: bottom, y2: top })),
        ...series.map(({ points, style }) => line(drawn(points), STYLES[style])),
        ...series.map(({ points, style }) => symbol(style, x(now), y(Math.min(between(points, now), highest)), 5)),
        label(t("reliability.curve.y"), 50, 48, { style: "muted halo" }),
        ...star.map((at) => label(`T* = ${number(at, 2, true)}`, x(at) + 5, top + 12, { style: "strong halo" })),
        ...legend,
      ];
    },
  });
}

function compare(place, card, { facts, now, before, how, best }) {
  const { t, number, percent } = place;
  const mean = (values) => values.reduce((total, value) => total + value, 0) / values.length;
  const columns = [{ T: 1, found: before }];
  if (facts.T !== 1) columns.push({ T: facts.T, found: now });
  if (best !== null && settable(best.T) !== facts.T) {
    columns.push({ T: best.T, found: judged(facts, best.found, how), mark: "T* = " });
  }
  const measures = [
    ["loss", ({ loss }) => lossText(place, loss.knownRows)],
    ["brier", (found) => number(found.brier, 4, true)],
    ["ece", (found) => number(found.ece, 4, true)],
    ["mean", ({ promised }) => percent(mean(promised))],
    ["right", ({ right }) => percent(mean(right))],
  ];
  const head = [t("reliability.compare.measure"), ...columns.map(({ T, mark = "T = " }) => `${mark}${number(T, 3)}`)];
  const body = measures.map(([name, read]) =>
    element(
      "tr",
      element("th", { scope: "row" }, t(`reliability.${name}`)),
      ...columns.map(({ found }) => element("td.number", read(found))),
    ),
  );
  const table = element(
    "table",
    element("thead", element("tr", ...head.map((name) => element("th", { scope: "col" }, name)))),
    element("tbody", ...body),
  );
  card.replaceChildren(element("h2", t("reliability.compare")), element("div.table", table));
}

function explain(place, best) {
  const { side, t, number } = place;
  side.notice(t("reliability.notice.1"), t("reliability.notice.2"), t("reliability.notice.3"));
  side.formula(
    math("p_k =", frac("exp ( z_k / T )", "∑_j exp ( z_j / T )")),
    math(text("ECE"), "= ∑_b", frac("n_b", "n"), "| acc_b − conf_b |"),
  );
  const own = best === null ? [] : [t("reliability.derive.3", { T: number(best.smoothed, 3) })];
  side.derivation(t("reliability.derive.1"), t("reliability.derive.2"), ...own);
  side.tryThis("reliability.try", {
    ...(best === null ? {} : { star: { T: settable(best.T) } }), sharp: { T: 0.3 }, mass: { by: "mass" },
    bins: { bins: 30 },
  });
}
