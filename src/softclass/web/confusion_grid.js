/** The confusion of classes as a grid that takes mouse and keyboard; its words are those of panel 6. */
import { figure } from "softclass/figure";
import { fitted, label, svg, widthOf } from "softclass/plots";
import { topPairs } from "softclass/trust";

const LEAST_CELL = 24; // pixels: what a finger hits
const WIDEST = 560;
const STRONGEST = 0.5; // of the colour of a cell: text on it keeps its contrast
const TOP = 44; // pixels above the grid
const UPRIGHT = 96; // pixels for names that stand upright

/** The grid of counts: a picture whose cells take the keyboard. */
export function confusionGrid(place) {
  const { t, store } = place;
  const made = figure(place, {
    key: "confusion", title: t("mistakes.grid"), width: WIDEST, height: 400, interactive: true,
  });
  const grid = { element: made.element, said: "" };
  let active = [0, 0]; // position of the one cell that the tab key reaches
  const cellAt = ([i, j]) => made.picture.querySelector(`[data-cell="${i},${j}"]`);

  made.picture.addEventListener("keydown", (event) => {
    const at = event.target.closest("[data-cell]");
    if (at === null) return;
    const size = Number(made.picture.dataset.size);
    const [i, j] = at.dataset.cell.split(",").map(Number);
    const last = size - 1;
    const moves = {
      ArrowUp: [i - 1, j],
      ArrowDown: [i + 1, j],
      ArrowLeft: [i, j - 1],
      ArrowRight: [i, j + 1],
      Home: event.ctrlKey ? [0, 0] : [i, 0],
      End: event.ctrlKey ? [last, last] : [i, last],
      PageUp: [0, j],
      PageDown: [last, j],
    };
    if (event.key === "Enter" || event.key === " ") open(at);
    else if (moves[event.key]) move(moves[event.key].map((place) => Math.min(Math.max(place, 0), last)));
    else return;
    event.preventDefault();
  });
  made.picture.addEventListener("click", (event) => {
    const at = event.target.closest("[data-cell]");
    if (at !== null) open(at);
  });

  function move(to) {
    cellAt(active)?.setAttribute("tabindex", "-1");
    active = to;
    cellAt(to).setAttribute("tabindex", "0");
    cellAt(to).focus();
  }
  function open(at) {
    active = at.dataset.cell.split(",").map(Number);
    store.set({ cell: [Number(at.dataset.truth), Number(at.dataset.answer)] });
  }

  grid.show = (counts, name, test, norm, cell) => {
    const hits = counts.hits.reduce((sum, n) => sum + n, 0);
    const value = (i, j) => share(counts, i, j, norm);
    const best = topPairs(counts, 1)[0];
    const n = place.integer(test.n);
    const summary = best
      ? t("mistakes.grid.summary", {
          hits: place.integer(hits), n, truth: name(best.truth), predicted: name(best.predicted),
          count: place.integer(best.rows.length),
        })
      : t("mistakes.grid.right", { n });
    const rows = counts.cells.map(({ truth, predicted, rows: of }) => [name(truth), name(predicted), of.length]);
    rows.sort((a, b) => b[2] - a[2]);
    const focused = made.picture.contains(document.activeElement);
    const widest = Math.min(110, Math.max(...Array.from({ length: test.classes }, (_, k) => widthOf(name(k)))) + 14);
    const room = (width) => Math.min(Math.floor((width - widest - 18) / LEAST_CELL), 24);
    const longest = Math.max(...Array.from({ length: test.classes }, (_, k) => widthOf(name(k))));
    const sizeOf = (width, many) => Math.min((width - widest - 18) / many, many < 5 ? 84 : 44);
    // Names that do not fit over their column stand upright.
    const head = (many) => (longest > sizeOf(free, many) - 2 ? 28 + Math.min(longest, UPRIGHT) : TOP);
    const free = Math.min(made.picture.parentElement.clientWidth || WIDEST, WIDEST);
    const lines = Math.min(test.classes, room(free));
    made.show({
      summary,
      columns: [t("trust.truth"), t("trust.predicted"), t("mistakes.count")],
      rows,
      height: head(lines) + 8 + Math.ceil(sizeOf(free, lines) * lines),
      marks(width, height) {
        const shown = classesShown(counts, test.classes, room(width));
        const size = Math.min(sizeOf(width, shown.length), (height - head(lines) - 8) / shown.length);
        made.picture.dataset.size = String(shown.length);
        active = active.map((at) => Math.min(at, shown.length - 1));
        grid.said =
          shown.length < test.classes ? t("mistakes.grid.part", { shown: shown.length, classes: test.classes }) : "";
        return gridMarks(place, {
          shown, value, name, norm, cell, active, size, left: widest + 14, top: head(lines), widest,
        });
      },
    });
    if (focused) cellAt(active)?.focus();
  };
  return grid;
}

/** Share or count of a cell; null where a class has no rows. */
function share(counts, i, j, norm) {
  const n = counts.count(i, j);
  if (norm === "count") return n;
  const all = norm === "row" ? counts.truths[i] : counts.answers[j];
  return all === 0 ? null : n / all;
}

/** All classes, or of many those with the most mistakes, in their own order. */
function classesShown(counts, classes, most) {
  const all = Array.from({ length: classes }, (_, k) => k);
  if (classes <= most) return all;
  const wrong = (k) => counts.truths[k] + counts.answers[k] - 2 * counts.hits[k];
  return all
    .sort((a, b) => wrong(b) - wrong(a) || a - b)
    .slice(0, Math.max(most, 2))
    .sort((a, b) => a - b);
}

function gridMarks(place, { shown, value, name, norm, cell, active, size, left, top, widest }) {
  const { t } = place;
  // What would round to 0 or 100 without being it says so.
  const hundredth = (x) => (x > 0 && x < 0.005 ? "<1" : x < 1 && x >= 0.995 ? ">99" : place.number(100 * x, 0));
  const written = (x) => (x === null ? "–" : norm === "count" ? place.integer(x) : hundredth(x));
  const spoken = (x) => (x === null ? "–" : norm === "count" ? place.integer(x) : place.percent(x));
  // Strength within the diagonal and outside of it: a few mistakes are what one looks for.
  const largest = (of) =>
    Math.max(
      ...shown.flatMap((i) => shown.filter((j) => (i === j) === of).map((j) => value(i, j) ?? 0)),
      Number.MIN_VALUE,
    );
  const scale = { right: largest(true), wrong: largest(false) };
  const head = shown.map((j, at) => {
    const middle = left + (at + 0.5) * size;
    const title =
      top === TOP
        ? label(name(j), middle, top - 8, { anchor: "middle", style: "strong" })
        : label(fitted(name(j), UPRIGHT), middle + 4, top - 6, { rotate: -90, style: "strong" });
    return svg("g", { role: "columnheader" }, title);
  });
  const lines = shown.map((i, row) => {
    const y = top + row * size;
    const title = label(fitted(name(i), widest), left - 8, y + size / 2 + 4, { anchor: "end", style: "strong" });
    const cells = shown.map((j, column) => {
      const x = value(i, j);
      const right = i === j;
      const strength = (STRONGEST * (x ?? 0)) / (right ? scale.right : scale.wrong);
      const chosen = cell[0] === i && cell[1] === j;
      const box = { x: left + column * size, y, width: size, height: size };
      const words = x === 0 && !right ? "" : written(x);
      return svg(
        "g",
        {
          role: "gridcell",
          tabindex: active[0] === row && active[1] === column ? 0 : -1,
          "data-cell": `${row},${column}`,
          "data-truth": i,
          "data-answer": j,
          "aria-label": t("mistakes.cell", { truth: name(i), predicted: name(j), value: spoken(x) }),
          "aria-selected": String(chosen),
          class: chosen ? "pick chosen" : "pick",
        },
        svg("rect", { class: `cell ${right ? "plus" : "minus"}`, "fill-opacity": strength.toFixed(3), ...box }),
        label(words, box.x + size / 2, y + size / 2 + 4, { anchor: "middle" }),
      );
    });
    return svg("g", { role: "row" }, svg("g", { role: "rowheader" }, title), ...cells);
  });
  const grid = svg(
    "g",
    { role: "grid", "aria-label": t("mistakes.grid"), "aria-readonly": "true" },
    svg(
      "g",
      { role: "row" },
      svg("g", { role: "columnheader" }, label(t("mistakes.axis.truth"), 2, 14, { style: "muted" })),
      ...head,
    ),
    ...lines,
  );
  // The chosen cell is drawn last, so that its frame lies over its neighbours.
  const at = [shown.indexOf(cell[0]), shown.indexOf(cell[1])];
  const frame = { class: "frame", x: left + at[1] * size, y: top + at[0] * size, width: size, height: size };
  const title = label(t("mistakes.axis.predicted"), left + shown.length * size, 14, { anchor: "end", style: "muted" });
  return [title, grid, ...(at.every((place) => place >= 0) ? [svg("rect", frame)] : [])];
}
