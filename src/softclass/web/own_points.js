/** The points of panel 4: drawn, shipped, out of the user's own table, and those put in by hand. */
import { fileBox } from "softclass/controls";
import { CsvError, columnsMeantAsNumbers, isMissing, numberColumns, numbersOf } from "softclass/csv";
import { element } from "softclass/elements";
import { ARTICLE, DRAWN, drawnSet, emptySet, tableSet, withAdded } from "softclass/points";
import { generator } from "softclass/random";
import { SourceError } from "softclass/source_error";

/** Classes that can be told apart in a picture. */
export const MOST_CLASSES = 10;

/** Rows of a table that are trained on and shown; of more a sample is drawn. */
const MOST_ROWS = 2000;
const SAMPLE_SEED = 0;

/**
 * The user's own table as long as this tab is open; a change of language builds the panel anew, but not this.
 * `columns` are what can be chosen, `chosen` what is, `rows` the points that come of it.
 */
const own = { name: "", table: null, columns: [], labels: [], chosen: null, rows: null };

/** Points by hand that can be used: x, y and a class that exists; null if any is not like that. */
export function cleaned(points) {
  const isClass = (k) => Number.isInteger(k) && k >= 0 && k < MOST_CLASSES;
  const isWhole = points.length % 3 === 0 && points.every((value, at) => at % 3 < 2 || isClass(value));
  return isWhole ? points : null;
}

/**
 * The set of a state.
 * @param {{data: string, n: number, seed: number, points: number[]}} state
 * @returns {Promise<object>} a set of softclass/points; without points for "own" before there are any
 */
export async function setOf(place, { data, n, seed, points }) {
  return withAdded(await rawSet(place, data, n, seed), points);
}

async function rawSet({ t, source }, data, n, seed) {
  if (DRAWN.includes(data)) return drawnSet(data, n, seed);
  if (data === "article") {
    const axes = [1, 2].map((i) => t("plane.feature", { i }));
    return tableSet("article", { ...ARTICLE, axes }, seed);
  }
  if (data === "iris") return tableSet("iris", pointsOf(await source.iris()), seed);
  return own.rows === null ? emptySet() : tableSet("own", own.rows, seed);
}

/** Rows for `tableSet` from two columns of numbers and class numbers, at most MOST_ROWS of them. */
function pointsOf({ names, points, targets, classes, missing = 0 }) {
  const total = targets.length;
  const rows = Array.from({ length: total }, (_, row) => row);
  const kept = total <= MOST_ROWS ? rows : generator(SAMPLE_SEED).permutation(total).slice(0, MOST_ROWS);
  return {
    features: kept.flatMap((row) => [points[2 * row], points[2 * row + 1]]),
    targets: kept.map((row) => targets[row]),
    classes,
    axes: names,
    total,
    missing,
  };
}

/** The classes that stand in a column of a table, in order. */
function classesOf({ names, rows }, label) {
  const at = names.indexOf(label);
  const found = new Set(rows.map((row) => row[at].trim()).filter((cell) => !isMissing(cell)));
  return [...found].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
}

/**
 * Two columns of numbers of a table and one of classes, as the server of a model would answer: the rows in which none
 * of the three is missing, and how many others there are.
 */
function columnsOf(table, { x, y, label }) {
  const numbers = [x, y].map((name) => numbersOf(table, name, { gaps: true }));
  const at = table.names.indexOf(label);
  const isWhole = (row, i) => !isMissing(row[at]) && numbers.every((column) => !Number.isNaN(column[i]));
  const whole = table.rows.flatMap((row, i) => (isWhole(row, i) ? [i] : []));
  const kept = whole.map((i) => table.rows[i]);
  const classes = classesOf({ names: table.names, rows: kept }, label);
  return {
    names: [x, y],
    points: whole.flatMap((i) => numbers.map((column) => column[i])),
    targets: kept.map((row) => classes.indexOf(row[at].trim())),
    classes,
    column: label,
    missing: table.rows.length - whole.length,
  };
}

/** The same of the data the page was started with. */
const servedColumns = async (source, { x, y }) => ({ ...(await source.columns(x, y)), names: [x, y] });

function checked(answer) {
  const { classes, names, targets } = answer;
  const column = answer.column ?? "";
  if (targets.length === 0) throw new SourceError("plane.own.no_rows", { x: names[0], y: names[1] });
  if (classes.length > MOST_CLASSES) {
    throw new SourceError("plane.own.many_classes", { column, n: classes.length, most: MOST_CLASSES });
  }
  if (classes.length < 2) throw new SourceError("plane.own.one_class", { column });
  return answer;
}

/**
 * Take a table: its first two columns of numbers, and as class the last column of anything else that holds as many
 * classes as can be shown, or the last.
 */
function open(name, table) {
  const columns = numberColumns(table);
  if (columns.length < 2) {
    for (const column of columnsMeantAsNumbers(table)) numbersOf(table, column, { gaps: true });
    throw new SourceError("plane.own.few_numbers", { name, n: columns.length });
  }
  const texts = table.names.filter((column) => !columns.includes(column));
  const isClass = (column) => {
    const { length } = classesOf(table, column);
    return length >= 2 && length <= MOST_CLASSES;
  };
  const label = texts.findLast(isClass) ?? texts.at(-1) ?? columns.at(-1);
  const [x, y] = columns.filter((column) => column !== label);
  if (y === undefined) throw new SourceError("plane.own.few_numbers", { name, n: columns.length - 1 });
  const chosen = { x, y, label };
  const rows = pointsOf(checked(columnsOf(table, chosen)));
  Object.assign(own, { name, table, columns, labels: table.names, chosen, rows });
}

/**
 * Controls for the user's own table: a file, or the columns of the data the page was started with.
 * @param {function(): void} changed - called when there are other rows
 * @returns {{element: HTMLElement, ready: Promise<void>}} `ready` when the columns of a served data set are known
 */
export function ownControls(place, changed) {
  const { t, source } = place;
  const failed = element("p.failed", { role: "alert", hidden: "" });
  const told = element("p.hint", { role: "status" });
  const leftOut = element("p.notice", { role: "status", hidden: "" });
  const lists = element("div.controls");
  let turn = 0;

  const attempt = async (work) => {
    const mine = (turn += 1);
    failed.hidden = true;
    try {
      await work(() => mine === turn);
      if (mine === turn) show();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (mine !== turn) return;
      failed.textContent = error instanceof CsvError ? t(`csv.${error.reason}`, error.values) : error.message;
      failed.hidden = false;
      show();
      return;
    }
    changed();
  };
  const choose = (part) => (event) =>
    attempt(async (isLatest) => {
      const chosen = { ...own.chosen, [part]: event.target.value };
      const answer = own.table === null ? await servedColumns(source, chosen) : columnsOf(own.table, chosen);
      if (isLatest()) Object.assign(own, { chosen, rows: pointsOf(checked(answer)) });
    });
  const list = (part, columns) => {
    const select = element("select", ...columns.map((name) => element("option", { value: name }, name)));
    select.value = own.chosen[part];
    select.addEventListener("change", choose(part));
    select.id = `plane-own-${part}`;
    return element("div.control", element("label", { for: select.id }, t(`plane.own.${part}`)), select);
  };
  function show() {
    lists.replaceChildren();
    told.textContent = t("plane.own.stays");
    leftOut.hidden = true;
    if (own.rows === null) return;
    const { total, targets, missing } = own.rows;
    leftOut.hidden = missing === 0;
    leftOut.textContent = t("plane.own.missing", { n: missing });
    const key = total > targets.length ? "plane.own.sample" : "plane.own.shown";
    const values = { name: own.name, n: place.integer(targets.length), total: place.integer(total) };
    told.textContent = `${t(key, values)}${t("plane.own.stays")}`;
    lists.append(list("x", own.columns), list("y", own.columns));
    if (own.labels.length > 0) lists.append(list("label", own.labels));
  }
  const take = (file) =>
    attempt(async (isLatest) => {
      const found = await source.dropped(file);
      if (found.kind !== "table") throw new SourceError(`plane.own.${found.kind}`, { name: found.name });
      if (isLatest()) open(found.name, found.table);
    });

  /** The data the page was started with, as long as no file was opened. */
  async function served() {
    if (own.rows !== null) return;
    const { number_columns: columns = [], name } = await source.model();
    if (columns.length < 2) return;
    const [x, y] = columns;
    const rows = pointsOf(checked(await servedColumns(source, { x, y })));
    if (own.rows === null) Object.assign(own, { name, columns, chosen: { x, y }, rows });
  }
  show();
  const ready = served().then(show, (error) => {
    failed.textContent = error.message;
    failed.hidden = false;
  });
  const box = fileBox(place, { label: t("plane.own.file"), accept: ".csv,.tsv,.txt,text/csv", take });
  return { element: element("div.stack", box, failed, leftOut, lists, told), ready };
}
