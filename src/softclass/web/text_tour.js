/** Words of the tour: one sentence a stop. */
export const words = {
  title: ["Tour", "导览"],
  count: ["Stop {index} of {all}", "第 {index} 站，共 {all} 站"],
  back: ["Back", "上一站"],
  next: ["Next", "下一站"],
  end: ["End the tour", "结束导览"],
  missing: [
    "This stop tells of the model that is shipped with softclass, which is not on this page. {reason}",
    "这一站讲的是 softclass 自带的模型，本页没有它。{reason}",
  ],
  1: [
    "Three scores 2, 1, 0.1 become the probabilities {p}; they sum to {sum}.",
    "三个分数 2、1、0.1 变成概率 {p}，它们的总和为 {sum}。",
  ],
  2: [
    "Add 5 to every score: nothing changes, but for rounding of at most {distance}.",
    "给每个分数加 5：除了至多 {distance} 的舍入误差，什么也不变。",
  ],
  3: [
    "A small temperature of 0.05 gives the first class {cold}; a large one of 20 gives it {hot}.",
    "温度小到 0.05，第一类得到 {cold}；温度大到 20，它只得到 {hot}。",
  ],
  4: [
    "Written as in textbooks, a score of 1000 gives NaN in {broken} of {all} number types; with the largest score subtracted first it is exact in {exact} of {all}.",
    "按课本公式计算，分数 1000 在 {all} 种数值类型中有 {broken} 种得到 NaN；先减去最大分数，{all} 种中有 {exact} 种完全精确。",
  ],
  5: [
    "Raising the score of A lifts its own probability by {own} for each unit and takes from the others ({other} from B): each row sums to {sum}.",
    "提高 A 的分数，每单位使它自己的概率增加 {own}，并从其他类别取走（B 为 {other}）：每一行之和为 {sum}。",
  ],
  6: ["The push of cross-entropy on the scores is p − y: ({push}).", "交叉熵对分数的推力是 p − y：({push})。"],
  7: [
    "A confident mistake, 12 ahead: cross-entropy needs {ce} steps to undo it, squared error {se}.",
    "一个自信的错误，领先 12：交叉熵 {ce} 步就能改正，平方误差需要 {se} 步。",
  ],
  8: [
    "At 25 ahead, adding 1e-9 inside the logarithm leaves {eps} of the push; clipping at 1e-7 leaves {clip}.",
    "领先 25 时，在对数里加 1e-9 只留下 {eps} 的推力；在 1e-7 处截断则留下 {clip}。",
  ],
  9: [
    "Every point is wrong at the start: cross-entropy puts 95 % of them right in {ce} epochs, squared error in {se}.",
    "开始时每个点都判错：交叉熵 {ce} 轮后有 95 % 的点判对，平方误差要 {se} 轮。",
  ],
  10: [
    "The evidence map splits each score over the image, and its parts add up to the score again (difference at most {distance}).",
    "证据图把每个分数拆分到图像上，各部分相加又等于该分数（相差至多 {distance}）。",
  ],
  11: [
    "This model is too sure: a temperature of {T} lowers its log loss on new digits from {before} to {after}.",
    "这个模型过于自信：取温度 {T}，新数字上的对数损失从 {before} 降到 {after}。",
  ],
  12: [
    "{asked} was asked for, and {covered} of {n} sets hold the true digit; {empty} sets are empty, and the page says so.",
    "要求 {asked}，{n} 个集合中有 {covered} 个包含真实数字；有 {empty} 个集合是空的，页面如实说明。",
  ],
};
