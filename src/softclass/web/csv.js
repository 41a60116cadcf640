/**
 * A reader of comma-separated values (RFC 4180) for files dropped on the page, and numbers out of its cells.
 *
 * Beyond the RFC: a byte order mark is taken off, lines may end in LF or CR alone, empty lines are left out, and the
 * separator may be a semicolon or a tab, whichever the first line holds most of outside quotes. Everything else that is
 * not as the RFC says is an error that names row and column.
 */

const SEPARATORS = [",", ";", "\t"];

/** What stands in a cell that holds nothing, as softclass.data has it. */
const MISSING = new Set("|NA|N/A|n/a|NaN|nan|NULL|null|None|none|-|--|?|.".split("|"));

/**
 * What is wrong with a file. `reason` is a key of text_csv.js without "csv."; `values` fill its sentence: `row` counts
 * the lines of the table from 1, the header being row 1, and `column` is a name, or a number where there is no name.
 */
export class CsvError extends Error {
  /**
   * @param {{row?: number, column?: string|number, value?: string}} [values]
   */
  constructor(reason, values = {}) {
    super([reason, ...Object.entries(values).map(([key, value]) => `${key} ${value}`)].join(", "));
    this.name = "CsvError";
    this.reason = reason;
    this.values = values;
  }
}

/**
 * Read a table whose first line holds the names of its columns.
 * @param {number} [most] - rows that are read; more is an error
 * @returns {{names: string[], rows: string[][]}} every row as long as `names`
 * @throws {CsvError} empty, quote_inside, after_quote, open_quote, no_name, name_twice, cells, no_rows, too_many
 */
export function readCsv(text, most = 100_000) {
  const plain = text.startsWith("\ufeff") ? text.slice(1) : text;
  const records = recordsOf(plain, separatorOf(plain), most + 1);
  if (records.length === 0) throw new CsvError("empty");
  const [names, ...rows] = records;
  names.forEach((name, at) => {
    if (name === "") throw new CsvError("no_name", { column: at + 1 });
    if (names.indexOf(name) < at) throw new CsvError("name_twice", { column: name });
  });
  if (rows.length === 0) throw new CsvError("no_rows");
  rows.forEach((row, at) => {
    if (row.length !== names.length) {
      throw new CsvError("cells", { row: at + 2, found: row.length, wanted: names.length });
    }
  });
  return { names, rows };
}

/** Whether a cell holds nothing: it is empty, or one of the words for that. */
export const isMissing = (cell) => MISSING.has(cell.trim());

/**
 * The finite numbers of a column.
 * @param {{names: string[], rows: string[][]}} table
 * @param {{gaps?: boolean}} [how] - with `gaps` a missing cell gives NaN; without, it is an error
 * @throws {CsvError} no_column, number
 */
export function numbersOf(table, name, { gaps = false } = {}) {
  const column = table.names.indexOf(name);
  if (column < 0) throw new CsvError("no_column", { column: name });
  return Float64Array.from(table.rows, (row, at) => {
    if (gaps && isMissing(row[column])) return NaN;
    const value = numberOf(row[column]);
    if (value === null) throw new CsvError("number", { row: at + 2, column: name, value: row[column] });
    return value;
  });
}

/**
 * The columns of a table that hold finite numbers, and at most gaps beside them.
 * @param {{names: string[], rows: string[][]}} table
 * @returns {string[]} their names, in order
 */
export function numberColumns({ names, rows }) {
  const isNumber = (row, column) => numberOf(row[column]) !== null;
  const isWhole = (column) => rows.every((row) => isMissing(row[column]) || isNumber(row, column));
  return names.filter((_, column) => rows.some((row) => isNumber(row, column)) && isWhole(column));
}

/**
 * The columns of a table whose first cell that is not missing is a number: meant as numbers, whatever follows.
 * @param {{names: string[], rows: string[][]}} table
 * @returns {string[]} their names, in order
 */
export function columnsMeantAsNumbers({ names, rows }) {
  return names.filter((_, column) => {
    const first = rows.find((row) => !isMissing(row[column]));
    return first !== undefined && numberOf(first[column]) !== null;
  });
}

/** The number a cell holds, or null: decimal digits with a point, and nothing that JavaScript alone would take. */
function numberOf(cell) {
  const text = cell.trim();
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) && Number.isFinite(Number(text)) ? Number(text) : null;
}

/** The separator the first line holds most of outside quotes; a comma if it holds none. */
function separatorOf(text) {
  const counts = new Map(SEPARATORS.map((separator) => [separator, 0]));
  let isQuoted = false;
  for (const char of text) {
    if (char === '"') isQuoted = !isQuoted;
    else if (!isQuoted && (char === "\n" || char === "\r")) break;
    else if (!isQuoted && counts.has(char)) counts.set(char, counts.get(char) + 1);
  }
  return SEPARATORS.reduce((best, separator) => (counts.get(separator) > counts.get(best) ? separator : best));
}

/** Cut a text into records of cells; empty lines are left out. */
function recordsOf(text, separator, most) {
  const records = [];
  let at = 0;
  while (at < text.length) {
    if (text[at] === "\n" || text[at] === "\r") {
      at += 1;
      continue;
    }
    if (records.length === most) throw new CsvError("too_many", { most: most - 1 });
    const record = [];
    for (let isMore = true; isMore; ) {
      const place = { row: records.length + 1, column: record.length + 1 };
      const cell = text[at] === '"' ? quotedCell(text, at, place) : plainCell(text, at, separator, place);
      record.push(cell.value);
      at = cell.end;
      isMore = text[at] === separator;
      if (isMore) at += 1;
      else if (at < text.length && text[at] !== "\n" && text[at] !== "\r") throw new CsvError("after_quote", place);
    }
    records.push(record);
  }
  return records;
}

function quotedCell(text, start, place) {
  const parts = [];
  let from = start + 1;
  for (;;) {
    const quote = text.indexOf('"', from);
    if (quote < 0) throw new CsvError("open_quote", place);
    parts.push(text.slice(from, quote));
    if (text[quote + 1] !== '"') return { value: parts.join('"'), end: quote + 1 };
    from = quote + 2;
  }
}

function plainCell(text, start, separator, place) {
  let end = start;
  while (end < text.length && text[end] !== separator && text[end] !== "\n" && text[end] !== "\r") {
    if (text[end] === '"') throw new CsvError("quote_inside", place);
    end += 1;
  }
  return { value: text.slice(start, end), end };
}
