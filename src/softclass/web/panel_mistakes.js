/** Panel 6: which classes are taken for each other, and on which rows. */
import { confusionGrid } from "softclass/confusion_grid";
import { button, choice } from "softclass/controls";
import { element } from "softclass/elements";
import { gallery } from "softclass/examples";
import { figure } from "softclass/figure";
import { frac, math, text } from "softclass/formulas";
import { bars, fitted, label, linear, svg, widthOf } from "softclass/plots";
import { register } from "softclass/text";
import { words } from "softclass/text_mistakes";
import { confusion, logLoss, perClass, topPairs } from "softclass/trust";
import { CLASS_BARS, className, openTrust, remembered, showReadings } from "softclass/trust_bar";

register("mistakes", words);
export const key = "mistakes";
export const fields = ["set", "calib", "T", "class", "norm", "cell"];

const SHOWN = 30; // examples of a cell
const WORST = 20;
const PAIRS = 8;

/** Build the panel into place.main. */
export function view(place) {
  const { t, store } = place;
  const parts = {};
  const counted = remembered((test, predicted) => confusion(test.targets, predicted, test.classes));
  const galleries = { cell: gallery(place), worst: gallery(place) };
  const told = remembered((truth, predicted) => explain(place, truth, predicted));
  told(-1, -1);

  function build(room) {
    parts.readings = element("dl.readings");
    parts.grid = confusionGrid(place);
    parts.help = element("p.hint");
    parts.grid.element.append(parts.help);
    parts.pairs = element("div.card");
    parts.classes = figure(place, { key: "classes", title: t("mistakes.class"), width: 620, height: 300 });
    parts.cell = element("section.card", { "data-part": "cell" });
    parts.worst = element("section.card", { "data-part": "worst" });
    const beside = element("div.beside", parts.grid.element, parts.pairs);
    room.append(parts.readings, beside, parts.cell, parts.classes.element, parts.worst);
  }

  // What T does not change is drawn again only when something else changes.
  const drawCounts = remembered((evaluation, test, counts, k, norm, cell) => {
    const name = (at) => className(place, evaluation, at);
    const best = topPairs(counts, 1)[0];
    parts.grid.show(counts, name, test, norm, cell);
    parts.help.textContent = [t("mistakes.grid.help"), parts.grid.said].filter(Boolean).join(" ");
    showPairs(place, parts.pairs, counts, name, k);
    showClasses(place, parts.classes, counts, name, k);
    told(best?.truth ?? -1, best?.predicted ?? -1);
  });

  function draw({ evaluation, test, found, plain, T, k }) {
    const counts = counted(test, plain.predicted);
    const name = (at) => className(place, evaluation, at);
    const hits = counts.hits.reduce((sum, n) => sum + n, 0);
    showReadings(parts.readings, readings(place, { test, found, counts, hits, T }));
    drawCounts(evaluation, test, counts, k, store.get("norm"), store.get("cell"));
    showCell(place, parts.cell, { evaluation, test, found, counts, name, show: galleries.cell });
    showWorst(place, parts.worst, { evaluation, test, found, name, k, show: galleries.worst });
  }

  const controls = () => [choice(place, { key: "norm", words: "mistakes.norm" })];
  return openTrust(place, { keys: ["norm", "cell"], controls, top: "trust.class.top", build, draw });
}

function readings(place, { test, found, counts, hits, T }) {
  const { t, integer, number, percent } = place;
  const loss = logLoss(found);
  const common = counts.truths.reduce((most, n) => Math.max(most, n), 0);
  const known = found.loss.filter((value) => value < Infinity);
  const worst = known.reduce((most, value) => Math.max(most, value), 0);
  return [
    {
      key: "accuracy",
      label: t("mistakes.accuracy"),
      value: percent(hits / test.n),
      note: t("mistakes.accuracy.note", { hits: integer(hits), n: integer(test.n) }),
    },
    {
      key: "wrong", label: t("mistakes.wrong"), value: integer(test.n - hits),
      note: t("mistakes.wrong.note", { n: integer(test.n - common) }),
    },
    // Without rows of a known class there is no loss.
    ...(known.length === 0
      ? []
      : [
          {
            key: "loss", label: t("mistakes.loss"), value: number(loss.knownRows, 4, true),
            note: t("mistakes.loss.note", { T: number(T) }),
          },
          {
            key: "worst",
            label: t("mistakes.worst_loss"),
            value: number(worst, 2, true),
            note: t("mistakes.worst_loss.note", { p: percent(Math.exp(-worst)) }),
          },
        ]),
  ];
}

function showPairs(place, card, counts, name, k) {
  const { t, store } = place;
  const of = k < 0 ? counts : { cells: counts.cells.filter(({ truth }) => truth === k) };
  const items = topPairs(of, PAIRS).map(({ truth, predicted, rows }) => {
    const words = t("mistakes.pair", { truth: name(truth), predicted: name(predicted) });
    const press = element(
      "button",
      { type: "button", class: "try-this" },
      words,
      element("strong", place.integer(rows.length)),
    );
    press.addEventListener("click", () => store.set({ cell: [truth, predicted] }));
    return element("li", press);
  });
  const title = k < 0 ? t("mistakes.pairs") : t("mistakes.pairs.of", { name: name(k) });
  const list =
    items.length > 0 ? element("ol.pairs", ...items) : element("p", t("mistakes.no_pairs"));
  card.replaceChildren(element("h2", title), list);
}

function showClasses(place, made, counts, name, k) {
  const { t, percent } = place;
  const all = Array.from(counts.truths, (_, at) => ({ at, ...perClass(counts, at) }));
  const ranked = all.filter(({ recall }) => recall !== null).sort((a, b) => a.recall - b.recall || a.at - b.at);
  const missed = ({ n, recall }) => n * (1 - (recall ?? 0));
  const drawn = (
    k >= 0
      ? all.filter(({ at }) => at === k)
      : all.length <= CLASS_BARS
        ? all
        : [...ranked].sort((a, b) => missed(b) - missed(a) || a.at - b.at).slice(0, CLASS_BARS)
  ).filter(({ n, precision }) => n > 0 || precision !== null);
  const low = k >= 0 ? all[k] : ranked[0];
  const longest = Math.min(110, Math.max(30, ...drawn.map(({ at }) => widthOf(name(at)))) + 8);
  made.show({
    summary:
      low?.recall != null
        ? t("mistakes.class.summary", { name: name(low.at), recall: percent(low.recall) })
        : t("mistakes.class.none"),
    columns: [t("mistakes.name"), t("mistakes.rows"), t("mistakes.recall"), t("mistakes.precision")],
    rows: all.map(({ at, n, recall, precision }) => [name(at), n, recall ?? "–", precision ?? "–"]),
    height: 34 + drawn.length * 40,
    marks(width) {
      const x = linear([0, 1], [longest, width - 62]);
      const items = drawn.flatMap(({ at, recall, precision }) => [
        {
          name: fitted(name(at), longest - 6), value: recall ?? 0, text: recall === null ? "–" : percent(recall),
          style: 0,
        },
        { value: precision ?? 0, text: precision === null ? "–" : percent(precision), style: 1 },
      ]);
      const legend = ["recall", "precision"].flatMap((word, i) => [
        svg("rect", { class: `bar fill c${i}`, x: longest + i * 96, y: 6, width: 12, height: 12 }),
        label(t(`mistakes.${word}`), longest + 18 + i * 96, 17),
      ]);
      return [...legend, bars(items, { x, top: 28, pitch: 20, thickness: 12, texts: width - 2 })];
    },
  });
}

const byLoss = (found) => (a, b) => found.loss[b] - found.loss[a] || a - b;

function itemsOf(place, { test, found, name }, positions) {
  return positions.map((i) => ({
    row: test.index[i],
    truth: name(test.targets[i]),
    predicted: name(found.predicted[i]),
    lines: [place.t("trust.loss", { loss: place.number(found.loss[i], 2, true) })],
  }));
}

function showCell(place, section, facts) {
  const { t, store } = place;
  const [truth, predicted] = store.get("cell");
  const names = { truth: facts.name(truth), predicted: facts.name(predicted) };
  section.hidden =
    truth === undefined || predicted === undefined || truth >= facts.test.classes || predicted >= facts.test.classes;
  if (section.hidden) return;
  const rows = facts.counts.cells.find((cell) => cell.truth === truth && cell.predicted === predicted)?.rows ?? [];
  const n = place.integer(rows.length);
  const title = t("mistakes.opened", { ...names, n });
  const shown = [...rows].sort(byLoss(facts.found)).slice(0, SHOWN);
  const close = button(place, { label: "×", kind: "close", press: () => store.set({ cell: [] }) });
  close.setAttribute("aria-label", t("mistakes.close"));
  const content = [element("div.heading", element("h2", title), close)];
  if (rows.length === 0) content.push(element("p", t("mistakes.opened.empty", names)));
  else content.push(facts.show(facts.evaluation, itemsOf(place, facts, shown), title));
  if (rows.length > SHOWN)
    content.push(element("p.hint", t("mistakes.opened.first", { shown: SHOWN, n })));
  section.replaceChildren(...content);
  place.say(title);
}

function showWorst(place, section, facts) {
  const { t } = place;
  const all = Array.from(facts.test.targets, (_, i) => i).filter(
    (i) => facts.k < 0 || facts.test.targets[i] === facts.k,
  );
  const worst = all.sort(byLoss(facts.found)).slice(0, WORST);
  const title = t(facts.k < 0 ? "mistakes.worst" : "mistakes.worst.of", {
    n: worst.length,
    name: facts.k < 0 ? "" : facts.name(facts.k),
  });
  section.replaceChildren(element("h2", title), facts.show(facts.evaluation, itemsOf(place, facts, worst), title));
}

function explain(place, truth, predicted) {
  const { side, t } = place;
  side.notice(t("mistakes.notice.1"), t("mistakes.notice.2"), t("mistakes.notice.3"));
  side.formula(
    math("loss_i = − ln p_y"),
    math(text(t("mistakes.recall")), "=", frac("n_kk", "n_k·")),
    math(text(t("mistakes.precision")), "=", frac("n_kk", "n_·k")),
  );
  side.derivation(t("mistakes.derive.1"), t("mistakes.derive.2"));
  const pair = truth < 0 ? {} : { pair: { cell: [truth, predicted] } };
  side.tryThis("mistakes.try", { row: { norm: "row" }, ...pair, T: { T: 2 } });
}
