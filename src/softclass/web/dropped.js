/** A table that somebody dropped on the page, as an evaluation: labels beside logits or probabilities. */
import { numbersOf } from "softclass/csv";
import { generator } from "softclass/random";
import { SourceError } from "softclass/source_error";

const LABELS = ["label", "target"];
const FORMS = [
  { prefix: "logit_", probabilities: false },
  { prefix: "p_", probabilities: true },
  { prefix: "proba_", probabilities: true },
];
// The smallest float32 above 0 stands in for a probability of 0, whose logarithm is infinite.
const SMALLEST = 2 ** -149;
const SUM_WITHIN = 1e-3; // probabilities are often printed with three or four digits
const SEED = 0;

/**
 * The evaluation that a table holds, in the form of the server's answer; null if it is a table of something else.
 *
 * A column `label` or `target` and columns `logit_<class>`, `p_<class>` or `proba_<class>` make one, as the prediction
 * files of softclass do. A column `role` of the words test and calibration splits the rows. Of probabilities the
 * logarithms are taken.
 * @param {{names: string[], rows: string[][]}} table
 * @throws {SourceError | CsvError} naming row and column, the header being row 1
 */
export function evaluationOf(table, name) {
  const label = LABELS.find((word) => table.names.includes(word));
  const form = FORMS.find(({ prefix }) => table.names.some((column) => column.startsWith(prefix)));
  if (label === undefined || form === undefined) return null;
  const columns = table.names.filter((column) => column.startsWith(form.prefix));
  if (columns.length < 2) throw new SourceError("source.one_class");
  const values = columns.map((column) => numbersOf(table, column));
  if (form.probabilities) check(values, columns, table);
  const n = table.rows.length;
  const logits = new Float32Array(n * columns.length);
  values.forEach((column, k) => {
    column.forEach((value, i) => {
      const logit = form.probabilities ? Math.log(Math.max(value, SMALLEST)) : value;
      if (!Number.isFinite(Math.fround(logit))) {
        const cell = table.rows[i][table.names.indexOf(columns[k])];
        throw new SourceError("source.logit", { row: i + 2, column: columns[k], value: cell });
      }
      logits[i * columns.length + k] = logit;
    });
  });
  const random = generator(SEED);
  return {
    name,
    n,
    total: n,
    classes: columns.map((column) => column.slice(form.prefix.length)),
    logits: Object.assign(logits, { shape: [n, columns.length] }),
    targets: targetsOf(table, label, columns.map((column) => column.slice(form.prefix.length))),
    role: rolesOf(table),
    u: Float64Array.from({ length: n }, () => random.next()),
    thumbnails: null,
    rows: cellsOf(table, [label, "role", ...columns]),
    places: null,
    said: form.probabilities ? "source.from_probabilities" : null,
  };
}

/** The cells of a table, first those that say something of a row; label, role and logits the page shows anyway. */
function cellsOf({ names, rows }, last) {
  const order = [...names.keys()].sort((a, b) => last.includes(names[a]) - last.includes(names[b]) || a - b);
  return { columns: order.map((at) => names[at]), cells: rows.map((row) => order.map((at) => row[at])) };
}

function check(values, columns, table) {
  table.rows.forEach((row, i) => {
    let sum = 0;
    columns.forEach((column, k) => {
      const p = values[k][i];
      if (!(p >= 0 && p <= 1)) {
        throw new SourceError("source.probability", { row: i + 2, column, value: row[table.names.indexOf(column)] });
      }
      sum += p;
    });
    if (Math.abs(sum - 1) > SUM_WITHIN) throw new SourceError("source.sum", { row: i + 2, sum: sum.toPrecision(4) });
  });
}

/** Class numbers: the place of the label among the classes, -1 for a label that is none of them. */
function targetsOf(table, label, classes) {
  const at = table.names.indexOf(label);
  const targets = Int32Array.from(table.rows, (row, i) => {
    if (row[at].trim() === "") throw new SourceError("source.no_label", { row: i + 2, column: label });
    return classes.indexOf(row[at].trim());
  });
  if (targets.every((target) => target < 0)) {
    throw new SourceError("source.unknown", { classes: classes.slice(0, 12).join(", ") });
  }
  return targets;
}

function rolesOf(table) {
  const at = table.names.indexOf("role");
  return Uint8Array.from(table.rows, (row, i) => {
    if (at < 0) return 0;
    const found = ["test", "calibration"].indexOf(row[at].trim());
    if (found < 0) throw new SourceError("source.role", { row: i + 2, column: "role", value: row[at] });
    return found;
  });
}
