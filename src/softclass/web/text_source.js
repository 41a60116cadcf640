/** What can go wrong with the data of the page, and what is to be said of them. */
export const words = {
  gone: [
    "The server does not answer: softclass explore has ended. Start it again.",
    "服务器没有响应：softclass explore 已经结束。请重新启动它。",
  ],
  token: [
    "This tab lacks the token of the server. Open the whole address that softclass explore printed.",
    "此标签页缺少服务器的令牌。请打开 softclass explore 打印出的完整地址。",
  ],
  refused: ["{sentence}", "{sentence}"],
  no_demo: [
    "The shipped demo is not there: this copy of softclass is incomplete.",
    "缺少随附的演示数据：这份 softclass 不完整。",
  ],
  no_server: [
    "This model answers new inputs only while softclass explore runs; the exported page has what was exported.",
    "只有 softclass explore 运行时，此模型才能回答新的输入；导出的页面只含导出时的内容。",
  ],
  known_rows: [
    "Without softclass explore, this page answers only the first {count} rows it was exported with.",
    "没有运行 softclass explore 时，此页面只能回答导出时所含的前 {count} 行。",
  ],
  absent: ["This page has no {name}.", "此页面没有 {name}。"],
  too_large: ["{name} is larger than {most}.", "{name} 大于 {most}。"],
  not_image: ["{name} is no image that this browser can read.", "{name} 不是此浏览器能读取的图像。"],
  not_text: ["{name} is no text in UTF-8.", "{name} 不是 UTF-8 文本。"],
  no_label: ["Row {row}, column {column}: the class is missing.", "第 {row} 行，{column} 列：缺少类别。"],
  one_class: [
    "There must be two or more columns of logits or probabilities; there is one.",
    "必须有两列或更多列 logit 或概率；现在只有一列。",
  ],
  logit: [
    "Row {row}, column {column}: “{value}” is too large for a logit in 32 bits.",
    "第 {row} 行，{column} 列：“{value}”对 32 位的 logit 来说太大。",
  ],
  probability: [
    "Row {row}, column {column}: “{value}” is no probability from 0 to 1.",
    "第 {row} 行，{column} 列：“{value}”不是 0 到 1 之间的概率。",
  ],
  sum: ["Row {row}: the probabilities sum to {sum}, not to 1.", "第 {row} 行：概率之和为 {sum}，而不是 1。"],
  role: [
    "Row {row}, column {column}: “{value}” is neither test nor calibration.",
    "第 {row} 行，{column} 列：“{value}”既不是 test 也不是 calibration。",
  ],
  unknown: ["No label is among the classes {classes}.", "没有一个标签属于类别 {classes}。"],
  from_probabilities: [
    "These are probabilities; their logarithms stand in for logits, 0 counts as 1e-45.",
    "这些是概率；以其对数代替 logit，0 按 1e-45 计算。",
  ],
};
