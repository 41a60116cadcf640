/** Rows of an evaluation as tiles: a picture each, or where there is none, names and values of a few columns. */
import { element } from "softclass/elements";
import { widthOf } from "softclass/plots";

const LONG_NAMES = 80; // pixels that two names have beside each other below a small picture
const FEW = 4; // columns that a tile shows unasked
const LONG_VALUE = 60; // letters of a value that a tile shows unasked

/**
 * A function that shows examples. It keeps the pictures that it made, and which tiles are open, for as long as they are
 * shown, since a slider shows the same ones again and again.
 * @returns {function(object, {row: number, truth: string, predicted: string, lines: string[]}[], string): HTMLElement}
 *   takes an evaluation, items (`row` of the evaluation, `lines` that say what happened), and a title for those who do
 *   not see it
 */
export function gallery(place) {
  let [last, pictures, open] = [null, new Map(), new Set()];
  return (evaluation, items, title) => {
    if (last !== evaluation) [last, pictures, open] = [evaluation, new Map(), new Set()];
    pictures = new Map(items.map(({ row }) => [row, pictures.get(row) ?? evaluation.picture(row)]));
    const cells = items.map(({ row }) => evaluation.row(row));
    const isTable = [...pictures.values()].every((picture) => picture === null) && cells.some((row) => row !== null);
    return isTable
      ? tiles(place, evaluation, items, title, { cells, open })
      : pictured(place, evaluation, items, title, pictures);
  };
}

/** Where a row stands, in the language of the page if it is a number of a row or line. */
function rowName({ t }, evaluation, row) {
  const given = evaluation.places?.[row];
  const [, kind, n] = /^(row|line) (\d+)$/.exec(given ?? `row ${row + 1}`) ?? [];
  return kind === undefined ? given : t(`trust.place.${kind}`, { n: Number(n) });
}

function pictured(place, evaluation, items, title, pictures) {
  const long = items.some(({ truth, predicted }) => widthOf(truth) + widthOf(predicted) > LONG_NAMES);
  const list = items.map(({ row, truth, predicted, lines }) => {
    const name = rowName(place, evaluation, row);
    const picture = pictures.get(row) ?? element("span.blank", name);
    if (pictures.get(row)) {
      picture.setAttribute("role", "img");
      picture.setAttribute("aria-label", place.t("trust.picture", { row: name, truth, predicted }));
    }
    const words = element(
      "span",
      element("strong", `${truth} → ${predicted}`),
      ...lines.map((line) => element("small", line)),
    );
    return element("li", picture, words);
  });
  return element("ul", { class: long ? "examples wide" : "examples", "aria-label": title }, ...list);
}

function tiles(place, evaluation, items, title, { cells, open }) {
  const all = Object.keys(cells.find((row) => row !== null));
  // The column of the class repeats what the heading of each tile says, so it waits behind the others.
  const isTruth = (name) => items.every(({ truth }, i) => cells[i]?.[name] === truth);
  const columns = [...all.filter((name) => !isTruth(name)), ...all.filter(isTruth)];
  const list = items.map((item, i) => {
    return tile(place, rowName(place, evaluation, item.row), item, { cells: cells[i], columns, open });
  });
  return element("ul.examples.tiles", { "aria-label": title }, ...list);
}

/** One row of a table: what happened, the first columns, and all others when it is opened. */
function tile({ t }, name, { row, truth, predicted, lines }, { cells, columns, open }) {
  const heading = element(
    "p",
    element("span.quiet", t("trust.picture", { row: name, truth, predicted })),
    element("strong", { "aria-hidden": "true" }, `${truth} → ${predicted}`),
    element("small", { "aria-hidden": "true" }, name),
    ...lines.map((line) => element("small", line)),
  );
  if (cells === null) return element("li", heading);
  const isShort = (column) => (cells[column] ?? "").length <= LONG_VALUE;
  const first = columns.slice(0, FEW);
  const rest = columns.filter((column, at) => at >= FEW || !isShort(column));
  const listed = (names, write) =>
    element("dl", ...names.map((column) => element("div", element("dt", column), element("dd", write(column)))));
  const value = (column) => cells[column] || "–";
  const start = (column) => (isShort(column) ? value(column) : `${cells[column].slice(0, LONG_VALUE)}…`);
  const parts = [heading, listed(first, start)];
  if (rest.length > 0) {
    const more = t("trust.more", { n: rest.length });
    const summary = element("summary", more, element("span.quiet", ` (${name})`));
    const details = element("details", summary);
    const fill = () => details.childElementCount === 1 && details.append(listed(rest, value));
    details.addEventListener("toggle", () => {
      if (details.open) fill();
      if (details.open) open.add(row);
      else open.delete(row);
    });
    if (open.has(row)) fill();
    details.open = open.has(row);
    parts.push(details);
  }
  return element("li", ...parts);
}
