/** What can be wrong with a CSV file: "csv." and the reason of a CsvError, filled with its values. */
export const words = {
  empty: ["The file is empty.", "文件是空的。"],
  no_rows: ["The file has names of columns but no rows.", "文件只有列名，没有数据行。"],
  too_many: ["The file has more than {most} rows.", "文件超过 {most} 行。"],
  no_name: ["Row 1: column {column} has no name.", "第 1 行：第 {column} 列没有名称。"],
  name_twice: ["Row 1: two columns are called {column}.", "第 1 行：有两列都叫 {column}。"],
  cells: [
    "Row {row} has {found} cells; the first row has {wanted}.",
    "第 {row} 行有 {found} 个单元格，而第一行有 {wanted} 个。",
  ],
  quote_inside: [
    'Row {row}, column {column}: a cell with a " in it must be put in quotes.',
    '第 {row} 行，{column} 列：含有 " 的单元格必须用引号括起来。',
  ],
  after_quote: [
    "Row {row}, column {column}: there is text after the closing quote.",
    "第 {row} 行，{column} 列：右引号后面还有文字。",
  ],
  open_quote: [
    "Row {row}, column {column}: a quote is opened and never closed.",
    "第 {row} 行，{column} 列：引号没有闭合。",
  ],
  no_column: ["There is no column called {column}.", "没有名为 {column} 的列。"],
  number: ["Row {row}, column {column}: “{value}” is not a number.", "第 {row} 行，{column} 列：“{value}”不是数字。"],
};
