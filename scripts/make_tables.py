"""Make the table of benchmarks in README.md and README.zh-CN.md again from benchmarks/results.

python scripts/make_tables.py            writes both
python scripts/make_tables.py --check    says whether they are what would be written; exit status 1 if not
"""

from __future__ import annotations

import json
import math
import re
import statistics
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MACHINE = ROOT / "benchmarks" / "results" / "linux-x86_64-2cores"
BEGIN, END = "<!-- made by scripts/make_tables.py -->", "<!-- end of what it made -->"
MISSING = "–"

# Function -> file of results, ours on tensors, ours into a given result, PyTorch at its best, name in accuracy.json.
FUNCTIONS = {
    "softmax": ("softmax", "softclass on torch out", "torch out", "softmax"),
    "log_softmax": ("softmax", "softclass on torch out", "torch out", "log_softmax"),
    "logsumexp": ("softmax", "softclass on torch", "torch out", "logsumexp"),
    "cross_entropy": ("cross_entropy", "softclass on torch", "torch", "loss"),
    "cross_entropy_value_and_gradient": ("cross_entropy", "softclass out", "torch by hand out", "gradient"),
}
WORDS = {
    "README.md": {
        "head": [
            "float32, {threads}",
            "PyTorch",
            "PyTorch at its best",
            "SciPy",
            "JAX",
            "copies",
            "error in ulp (PyTorch)",
        ],
        "threads": ["1 thread", "{} threads"],
        "text": (
            "Time of the peer / time of softclass, above 1 softclass is faster: geometric means over {n} shapes from "
            "1 x 10 to 128 x 128,256, medians of {rounds} interleaved rounds, {processor}, commit {commit}. *PyTorch*: "
            "fresh result, or forward and backward, or all logits at once; *at its best*: into a result that is there, "
            "by hand without autograd, or in chunks. *Copies*: our time in copies of the same array. *Error*: the "
            "worst of all scales and numbers of classes. More: [benchmarks](benchmarks/README.md)."
        ),
        "training": ["training, one thread", "CPU seconds", "times as fast as"],
        "fit": "softmax regression, {}, {} classes, to {} of the minimum",
        "epochs": {
            "classic": "CNN of 54,410 parameters, an epoch of 60,000 images",
            "two-hidden": "CNN of 421,642 parameters, an epoch of 60,000 images",
        },
        "letter": "fully connected network, letter, to {:.4g} right (MLPClassifier: {:.4g})",
        "training_text": (
            "Medians of runs in turn with the peer, each peer at its best batch: the solver of scikit-learn that is "
            "there first, the fastest PyTorch loop known to us, with bfloat16 where that helps."
        ),
    },
    "README.zh-CN.md": {
        "head": ["float32，{threads}", "PyTorch", "PyTorch 的最佳用法", "SciPy", "JAX", "拷贝", "误差 ulp（PyTorch）"],
        "threads": ["1 线程", "{} 线程"],
        "text": (
            "对方用时 / softclass 用时，大于 1 表示 softclass 更快：从 1 x 10 到 128 x 128,256 共 {n} 种形状的"
            "几何平均，{rounds} 轮交替测量的中位数，{processor}，提交 {commit}。*PyTorch*：新建结果，或前向加反向，"
            "或一次存下全部 logits；*最佳用法*：写入已有数组，或不用 autograd 手写，或分块。"
            "*拷贝*：我们的用时相当于拷贝同一数组几次。*误差*：所有尺度和类别数中最差的。更多：[基准](benchmarks/README.md)。"
        ),
        "training": ["训练，1 线程", "CPU 秒", "快多少倍"],
        "fit": "softmax 回归，{}，{} 类，离最小值 {}",
        "epochs": {
            "classic": "54,410 个参数的 CNN，60,000 张图像一轮",
            "two-hidden": "421,642 个参数的 CNN，60,000 张图像一轮",
        },
        "letter": "全连接网络，letter，正确率 {:.4g}（MLPClassifier：{:.4g}）",
        "training_text": (
            "与对方交替运行的中位数，对方取其最佳批量：scikit-learn 中最先到达的求解器，"
            "我们所知最快的 PyTorch 循环，有帮助时用 bfloat16。"
        ),
    },
}


# Case of softmax_regression.json -> its name, and how near to the minimum.
FITS = {"letter": ("letter", 1e-6), "forest, raw": ("made like covtype", 1e-6), "mnist": ("MNIST", 1e-6)}
PEERS = {"keras": "tf.keras", "torch-loader": "PyTorch with a DataLoader", "torch-best": "PyTorch at its best"}


def training(words: dict[str, Any]) -> str:
    """Return the table of what training takes, in one language; nothing as long as a result is missing."""
    if not _are_there(("softmax_regression", "softmax_cnn", "softmax_mlp")):
        return ""
    return _drawn(words["training"], [*_fits(words), *_epochs(words), *_letter(words)], words["training_text"])


def _are_there(names: Sequence[str]) -> bool:
    return all((MACHINE / f"{name}.json").exists() for name in names)


def _drawn(head: list[str], rows: list[list[str]], text: str) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + f"\n\n{textwrap.fill(text, 120)}\n"


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((MACHINE / f"{name}.json").read_text())
    return content


def _fits(words: dict[str, Any]) -> Iterator[list[str]]:
    cases = {case["case"]: case for case in _read("softmax_regression")["cases"]}
    for name, (shown, goal) in FITS.items():
        case = cases[name]
        to = {who: row["to"][str(goal)]["cpu_s"] for who, row in case["rows"].items() if str(goal) in row["to"]}
        own = to.pop("softclass")
        best = min(to, key=lambda who: float(to[who]))
        n, d, k = case["shape"]
        job = words["fit"].format(f"{shown}, {n:,} x {d}", k, f"{goal:.0e}".replace("e-0", "e-"))
        yield [job, _figure(own, 2), f"scikit-learn {best} {_figure(to[best] / own, 1)}"]


def _epochs(words: dict[str, Any]) -> Iterator[list[str]]:
    for section, job in words["epochs"].items():
        lines = _read("softmax_cnn")[section]
        own = min(line["cpu_s"] for line in lines if line["peer"] == "softclass")
        fastest: dict[str, float] = {}
        for line in lines:
            if line["peer"] in PEERS:
                fastest[line["peer"]] = min(line["cpu_s"], fastest.get(line["peer"], math.inf))
        ratios = ", ".join(f"{PEERS[who]} {_figure(fastest[who] / own, 1)}" for who in PEERS if who in fastest)
        yield [job, _figure(own, 2), ratios]


def _letter(words: dict[str, Any]) -> Iterator[list[str]]:
    theirs, *ours = _read("softmax_mlp")["letter"]
    for line in ours:
        job = words["letter"].format(line["accuracy"], theirs["accuracy"])
        yield [job, _figure(line["cpu_s"], 2), f"scikit-learn MLPClassifier {_figure(line['times_faster'], 1)}"]


def _figure(number: float, digits: int) -> str:
    """Return a number with so many digits after the point, or none from 10 on."""
    return f"{number:.{digits if number < 10 else 0}f}"


def table(words: dict[str, Any]) -> str:
    """Return the table and what it means, in one language; nothing as long as a result is missing."""
    if not _are_there(_names()):
        return ""
    results = {name: _read(name) for name in _names()}
    facts, threads = results["softmax"]["facts"], results["softmax"]["facts"]["cores"]
    said = words["threads"][threads > 1].format(threads)
    head = [cell.format(threads=said) for cell in words["head"]]
    rows = [*_functions(results, threads), *_linear(results, threads)]
    grid = _points(results["softmax"], "softmax", threads)
    text = words["text"].format(
        n=len(grid), rounds=max(point["rounds"] for point in grid), processor=facts["processor"].partition(" (")[0],
        commit=facts["commit"],
    )  # fmt: skip
    return _drawn(head, rows, text)


def _names() -> list[str]:
    return [*dict.fromkeys(file for file, *_ in FUNCTIONS.values()), "linear_cross_entropy", "accuracy"]


def _functions(results: dict[str, Any], threads: int) -> Iterator[list[str]]:
    accuracy = results["accuracy"]["points"]
    for name, (file, given, best, judged) in FUNCTIONS.items():
        points = _points(results[file], name, threads)
        own = {who: max(_worst(accuracy, judged, who)) for who in ("softclass", "torch")}
        ratios = (("torch", "softclass on torch"), (best, given), ("scipy", "softclass"), ("jax", "softclass"))
        cells = [_mean([_ratio(point, *pair) for point in points]) for pair in ratios]
        large = [point for point in points if point["shape"][0] * point["shape"][1] > 1_000_000]
        copies = [point["copies"][given] for point in large]
        error = f"{own['softclass']:.2f} ({own['torch']:.2g})"
        yield [f"`{name}`", *cells, f"{statistics.geometric_mean(copies):.1f}", error]


def _linear(results: dict[str, Any], threads: int) -> Iterator[list[str]]:
    for point in results["linear_cross_entropy"]["points"]:
        if not point["setting"].startswith(f"{threads} "):
            continue
        chunked = [name for name in point["ratios"] if name.startswith("torch chunked")]
        dense = _ratio(point, "torch dense", "softclass on torch")
        best = min(_ratio(point, name, "softclass on torch") for name in chunked)
        name = f"`linear_cross_entropy` {point['operation']}"
        yield [name, _mean([dense]), _mean([best]), *[MISSING] * 4]


def _points(results: dict[str, Any], operation: str, threads: int) -> list[dict[str, Any]]:
    setting = f"{threads} thread{'s' * (threads > 1)}"
    wanted = (operation, "float32", setting)
    return [one for one in results["points"] if (one["operation"], one["dtype"], one["setting"]) == wanted]


def _ratio(point: dict[str, Any], peer: str, own: str) -> float:
    return float(point["ratios"].get(peer, {}).get(own, {}).get("median", math.nan))


def _mean(ratios: list[float]) -> str:
    if any(math.isnan(ratio) for ratio in ratios):
        return MISSING
    return f"{statistics.geometric_mean(ratios):.1f}"


def _worst(points: list[dict[str, Any]], function: str, who: str) -> Iterator[float]:
    for point in points:
        if (point["function"], point["dtype"]) == (function, "float32"):
            yield point["worst_ulp_of_1_or_more" if function == "logsumexp" else "worst_ulp"][who]


def put(text: str, made: str) -> str:
    """Return the document with what stands between the marks replaced."""
    between = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if len(between.findall(text)) != 1:
        raise SystemExit(f"the document needs `{BEGIN}` and `{END}`, once")
    replacement: Callable[[re.Match[str]], str] = lambda _: f"{BEGIN}\n{made}{END}"  # noqa: E731
    return between.sub(replacement, text)


def main() -> int:
    """Write the documents, or compare them."""
    status = 0
    for name, words in WORDS.items():
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        wanted = put(text, training(words) + "\n" + table(words))
        if sys.argv[1:] == ["--check"]:
            print(f"{name}: {'as made' if text == wanted else 'differs; run scripts/make_tables.py'}")
            status |= text != wanted
        else:
            path.write_text(wanted, encoding="utf-8")
            print(f"{name}: written")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
