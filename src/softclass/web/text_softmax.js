/** Words of panel 1. */
export const words = { en: { "softmax.scores": "Scores z" }, zh: { "softmax.scores": "分数 z" } };
