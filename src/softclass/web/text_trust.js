/** Words that the three trust panels share. */
export const words = {
  set: ["Labelled rows", "带标签的数据"],
  split: ["Rows to calibrate on", "用于校准的行"],
  "split.role": ["as marked", "按标记"],
  "split.seed": ["a random half", "随机一半"],
  "split.number": ["Seed of the random half", "随机一半的种子"],
  T: ["Temperature T", "温度 T"],
  "T.hint": [
    "Logits are divided by T: above 1 the model becomes less sure, below 1 surer. Its ranking stays.",
    "logit 除以 T：大于 1 时模型更谨慎，小于 1 时更自信。各类的排序不变。",
  ],
  class: ["Class", "类别"],
  "class.top": ["all classes", "所有类别"],
  "class.top_label": ["the predicted class", "预测的类别"],
  rows: [
    "Rows to judge by: {test}; to calibrate on: {calibration}. Classes: {classes}.",
    "{test} 行用于检验，{calibration} 行用于校准；共 {classes} 个类别。",
  ],
  lost: [
    "The rows that the address names are not here; a file that was opened is gone after a reload. Shown are those of “{name}”.",
    "地址中指定的数据不在这里；打开过的文件在重新加载后就没有了。现在显示的是“{name}”。",
  ],
  sample: ["A fixed random sample of {n} of {total} rows.", "从 {total} 行中固定随机抽取的 {n} 行。"],
  unknown: [
    "{n} rows belong to a class that the model does not know. They count as wrong; log losses are over the others.",
    "有 {n} 行属于模型不认识的类别，按错误计；对数损失只统计其余各行。",
  ],
  approximate: [
    "So many rows and classes that only the 20 largest logits of each row are here, with the exact sum of all. The others count as equal, so whatever depends on T is approximate.",
    "行数与类别太多，这里每行只有最大的 20 个 logit 和全部 logit 的精确总和；其余类别视为相等，因此与 T 有关的结果都是近似值。",
  ],
  own: ["Your own predictions", "打开自己的预测"],
  open: ["Open a table of predictions (CSV)", "打开预测表（CSV）"],
  "open.hint": [
    "It needs a column “label” and a column logit_<class> or p_<class> for each class; a column “role” may say test or calibration.",
    "需要 label 列，以及每个类别的 logit_<类别> 或 p_<类别> 列；可另有 role 列，取值 test 或 calibration。",
  ],
  opened: ["{name}: {n} rows opened.", "{name}：已打开 {n} 行。"],
  features: [
    "“{name}” holds no predictions: a column “label” and a column logit_… or p_… for each class are needed.",
    "“{name}”里没有预测：需要 label 列，以及每个类别的 logit_… 或 p_… 列。",
  ],
  picture_file: [
    "“{name}” is a picture; this panel takes tables of predictions.",
    "“{name}”是图片；此面板接受预测表。",
  ],
  none: [
    "No labelled rows came with this model. Start softclass explore with --data FILE, or open a table of predictions here.",
    "这个模型没有附带带标签的数据。请用 softclass explore --data 文件 启动，或在这里打开一张预测表。",
  ],
  unmarked: [
    "None of these rows is marked for calibration, so a random half of them serves (seed {seed}).",
    "这些行都没有标记为校准用，因此随机取其中一半来校准（种子 {seed}）。",
  ],
  no_calibration: [
    "There are too few rows to calibrate on some and judge by others.",
    "行数太少，无法一部分用于校准、另一部分用于检验。",
  ],
  no_test: [
    "All of these rows are marked for calibration, so there is nothing to judge by.",
    "这些行全部标记为校准用，因此没有可供检验的数据。",
  ],
  use_seed: ["Calibrate on a random half", "用随机一半来校准"],
  truth: ["true class", "真实类别"],
  predicted: ["predicted", "预测"],
  "place.row": ["row {n}", "第 {n} 行"],
  "place.line": ["line {n}", "文件第 {n} 行"],
  more: ["more columns: {n}", "其余 {n} 列"],
  loss: ["loss {loss}", "损失 {loss}"],
  picture: ["{row}: {truth}, predicted {predicted}", "{row}：{truth}，预测为 {predicted}"],
  unknown_class: ["a class unknown to the model", "模型不认识的类别"],
};
