"""The words of the figures of slow learning, in both languages; the same keys and the same gaps in both."""

from __future__ import annotations

_STEPS_LOG = "steps (logarithmic axis)"
_STEPS_LOG_ZH = "步数（对数轴）"
_MARGIN = "margin m: how far one wrong class leads (nats), ten classes"
_MARGIN_ZH = "间隔 m：一个错误类别领先多少（奈特），共十类"

_ENGLISH: dict[str, dict[str, str]] = {
    "neuron": {
        "title": "One neuron that is wrong: how fast it turns",
        "about": "The output of one sigmoid neuron whose target is 0, over the steps on a logarithmic axis. It starts "
        "at 0.982. Cross-entropy takes it below one half after {fast} steps, squared error after {slow}.",
        "x": _STEPS_LOG,
        "y": "output a (target 0)",
        "ce": "cross-entropy",
        "se": "squared error",
        "steps": "{} steps",
    },
    "gradients": {
        "title": "The push that a confident mistake gets",
        "about": "The length of the gradient at the logits of ten classes, on a logarithmic axis, over the lead of a "
        "wrong class. For cross-entropy it rises to the square root of 2. For squared error it falls like e to the "
        "minus lead: at a lead of 12 the two are {ce:.3f} and {se:.2e}, a ratio of {ratio:,.0f}.",
        "x": _MARGIN,
        "y": "length of the gradient (logarithmic axis)",
        "ce": "cross-entropy",
        "se": "squared error",
        "limit": "√112 · e⁻ᵐ",
        "most": "squared error never exceeds 0.419",
    },
    "escape": {
        "title": "How long a confident mistake lasts",
        "about": "Steps until the right class of ten has half of the probability, on a logarithmic axis, over the lead "
        "of a wrong class; dots are measured, lines are theory. At a lead of 12 cross-entropy needs {fast} steps and "
        "squared error {slow:,}. The logarithm of p plus 1e-9 needs {eps:,} steps at a lead of 30, and a loss cut off "
        "at 1e-7 never comes free beyond 16.12.",
        "x": _MARGIN,
        "y": "steps of 0.5 until p of the right class exceeds one half",
        "ce": "cross-entropy: one step more for each nat",
        "se": "squared error",
        "eps": "log(p + 10⁻⁹)",
        "clip": "p cut off at 10⁻⁷:",
        "never": "from here on never",
    },
    "rounding": {
        "title": "Five ways to write one loss, in 32 bits",
        "about": "The push on the true logit in float32, on a logarithmic axis, over the lead of a wrong class. From "
        "logits it stays 1. The logarithm of softmax gives NaN beyond a lead of {shift}, also without the shift by the "
        "largest logit. The logarithm of p plus 1e-9 starves from 20.7 on. Cut off at 1e-7 it is 0 beyond {clip}.",
        "x": _MARGIN,
        "y": "push on the true logit, float32 (logarithmic axis)",
        "ours": "from logits: logsumexp(z) − z of the target",
        "shift": "−log(softmax(z)), shifted or not",
        "nan": "NaN from a lead of {} on",
        "eps": "−log(p + 10⁻⁹)",
        "clip": "p cut off",
        "zero": "then 0",
    },
    "plane": {
        "title": "Softmax regression that starts wrong about every point",
        "about": "Accuracy on 300 points of three classes over the epochs, on a logarithmic axis, from a start that is "
        "wrong about all of them by 12 nats on average. 95 percent are right after {softmax_ce} epochs with softmax "
        "and cross-entropy, {softmax_se} with softmax and squared error, {sigmoid_ce} with sigmoids and cross-entropy, "
        "{sigmoid_se} with sigmoids and squared error.",
        "x": "epochs (logarithmic axis)",
        "y": "accuracy; the dashed level is 95 %",
        "softmax_ce": "softmax + cross-entropy: {}",
        "softmax_se": "softmax + squared error: {}",
        "sigmoid_ce": "sigmoid + cross-entropy: {}",
        "sigmoid_se": "sigmoid + squared error: {}",
    },
    "network": {
        "title": "A network whose last layer starts saturated",
        "about": "Test accuracy on handwritten digits over 30 epochs, the median of five seeds, the last layer ten "
        "times too large at the start. Softmax with cross-entropy has {first:.1%} after the first epoch; softmax with "
        "squared error ends at {last:.1%} and never reaches 90 percent.",
        "x": "epoch",
        "y": "test accuracy, median of five seeds; the dashed level is 90 %",
        "softmax_ce": "softmax + cross-entropy",
        "softmax_se": "softmax + squared error",
        "sigmoid_ce": "sigmoid + cross-entropy",
        "sigmoid_se": "sigmoid + squared error",
    },
}

_CHINESE: dict[str, dict[str, str]] = {
    "neuron": {
        "title": "一个判错的神经元：多快能改过来",
        "about": "一个目标为 0 的 sigmoid 神经元的输出随步数的变化（对数轴），起点为 0.982。用交叉熵 {fast} 步后降到"
        "一半以下，用平方误差要 {slow} 步。",
        "x": _STEPS_LOG_ZH,
        "y": "输出 a（目标 0）",
        "ce": "交叉熵",
        "se": "平方误差",
        "steps": "{} 步",
    },
    "gradients": {
        "title": "一个自信的错误得到多大的推力",
        "about": "十个类别，梯度（对 logit）的长度随一个错误类别的领先量的变化，纵轴为对数轴。交叉熵的梯度升到根号 2"
        "；平方误差的梯度按 e 的负 m 次方下降：领先 12 时两者为 {ce:.3f} 和 {se:.2e}，相差 {ratio:,.0f} 倍"
        "。",
        "x": _MARGIN_ZH,
        "y": "梯度的长度（对数轴）",
        "ce": "交叉熵",
        "se": "平方误差",
        "limit": "√112 · e⁻ᵐ",
        "most": "平方误差的梯度从不超过 0.419",
    },
    "escape": {
        "title": "一个自信的错误要持续多久",
        "about": "十个类别中正确类别的概率超过一半所需的步数（对数轴）随一个错误类别的领先量的变化；点为实测，线为理"
        "论。领先 12 时交叉熵要 {fast} 步，平方误差要 {slow:,} 步。对 p 加 1e-9 再取对数，领先 30 时要 "
        "{eps:,} 步；把 p 截断在 1e-7，领先超过 16.12 就永远出不来。",
        "x": _MARGIN_ZH,
        "y": "正确类别的 p 超过一半所需的步数（学习率 0.5）",
        "ce": "交叉熵：每多一奈特只多一步",
        "se": "平方误差",
        "eps": "log(p + 10⁻⁹)",
        "clip": "p 截断在 10⁻⁷：",
        "never": "从这里起永远出不来",
    },
    "rounding": {
        "title": "同一个损失的五种写法，32 位浮点数",
        "about": "float32 下真实类别 logit 受到的推力（对数轴）随一个错误类别的领先量的变化。从 logit 计算时始终为 1"
        "；对 softmax 取对数，领先超过 {shift} 后得到 NaN，先减最大值与否都一样；对 p 加 1e-9，从 20.7 起推"
        "力枯竭；截断在 1e-7，超过 {clip} 后为 0。",
        "x": _MARGIN_ZH,
        "y": "真实类别 logit 受到的推力，float32（对数轴）",
        "ours": "从 logit 计算：logsumexp(z) − z（目标类）",
        "shift": "−log(softmax(z))，减最大值与否都一样",
        "nan": "领先 {} 起为 NaN",
        "eps": "−log(p + 10⁻⁹)",
        "clip": "截断 p",
        "zero": "此后为 0",
    },
    "plane": {
        "title": "一开始把每个点都判错的 softmax 回归",
        "about": "三类 300 个点上的精度随轮数的变化（对数轴），起点把所有点都判错，平均领先 12 奈特。达到 95% 所需"
        "的轮数：softmax 加交叉熵 {softmax_ce}，softmax 加平方误差 {softmax_se}，sigmoid 加交叉熵 "
        "{sigmoid_ce}，sigmoid 加平方误差 {sigmoid_se}。",
        "x": "轮数（对数轴）",
        "y": "精度；虚线为 95%",
        "softmax_ce": "softmax + 交叉熵：{}",
        "softmax_se": "softmax + 平方误差：{}",
        "sigmoid_ce": "sigmoid + 交叉熵：{}",
        "sigmoid_se": "sigmoid + 平方误差：{}",
    },
    "network": {
        "title": "最后一层一开始就饱和的网络",
        "about": "手写数字测试集上 30 轮的精度，取五个随机种子的中位数，最后一层的初始权重放大十倍。softmax 加交叉熵"
        "第一轮后即达 {first:.1%}；softmax 加平方误差最终只有 {last:.1%}，始终没有达到 90%。",
        "x": "轮次",
        "y": "测试精度，五个随机种子的中位数；虚线为 90%",
        "softmax_ce": "softmax + 交叉熵",
        "softmax_se": "softmax + 平方误差",
        "sigmoid_ce": "sigmoid + 交叉熵",
        "sigmoid_se": "sigmoid + 平方误差",
    },
}

WORDS = {"en": _ENGLISH, "zh": _CHINESE}
