"""The numbers of docs/concepts/slow-learning.md and of its Chinese twin, computed: phrases that have to stand there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from golden_slow_learning import GOLDEN
from softclass.cli.slow_experiments import PLANE_SCALES, digits
from softclass.functions.head_losses import HEADS
from softclass.functions.precision import LARGEST_EXP, VARIANTS, loss_variant
from softclass.functions.slow_learning import (
    escape_time,
    even_escape_time,
    logit_steps,
    neuron_run,
    neuron_steps,
    neuron_time,
    plane_epochs,
)
from softclass.functions.slow_network import network_start
from softclass.functions.slow_plane import plane_margin
from softclass.networks.slow_network import engine_accuracies

LOSSES = ("cross_entropy", "squared_error")
MARGINS = (10, 17, 25, 60, 89, 104)
# Inputs and rates; then what Keras 3.15.1 was seen to do.
CHOSEN = {"0.15", "0.5", "0.1", "1e-9", "1e-7", "0.005", "1,024", "4,096", "3.15.1", "0.0027", "16.118"}
# Accuracies of the network, by scale and head: rounding moves runs that hang in the balance, so they are compared
# with a tolerance, by a test of their own.
NETWORK = {
    1: ((2, 0.976), (8, 0.967), (2, 0.978), (9, 0.962)),
    10: ((1, 0.971), (None, 0.773), (2, 0.976), (5, 0.964)),
    30: ((3, 0.964), (None, 0.293), (5, 0.947), (None, 0.1)),
}


def network_rows(never: str) -> list[str]:
    """Return the rows of the table of the network."""
    return [
        f"| {scale} | " + " | ".join(f"{epochs or never} ({share:.3f})" for epochs, share in cells) + " |"
        for scale, cells in NETWORK.items()
    ]


@lru_cache
def rows(never: str) -> tuple[str, ...]:
    """Return the rows of all tables but that of the network; both pages show the same ones."""
    shared = (*_neuron_rows(), *_length_rows(), *_plane_rows(), *_variant_rows())
    return *shared, *_logit_rows(never), *_first_rows(never)


def english() -> Iterator[str]:
    """Yield the phrases of the English page."""
    yield from (*rows("never"), *network_rows("never"))
    yield f"more than $4/27 \\approx {4 / 27:.4f}$"
    yield "$\\lVert g_{SE} \\rVert \\le 8 \\sqrt 2 / 27 \\approx " + f"{8 * math.sqrt(2) / 27:.5f}$"
    told = GOLDEN["mistaken_neuron"]
    yield f"at $z = 4$ by a factor of {_mistake():.1f}"
    yield f"at $a = {told['mistaken']:.4f}$, where the right formula gives {told['right']:.4f}"
    ten, hundred, thousand, most = (_even(k) for k in (10, 100, 1000, 3000))
    yield f"{ten[0]} steps ({ten[1]}) against {ten[2]} ({ten[3]}) for ten classes, {hundred[0]} ({hundred[1]}) against"
    yield f"{hundred[2]} ({hundred[3]}) for a hundred, {thousand[0]} ({thousand[1]}) against {thousand[2]}"
    yield f"({thousand[3]}) for a thousand, {most[0]} ({most[1]}) against {most[2]} ({most[3]}) for three thousand"
    yield f"m = \\ln (1/\\varepsilon) \\approx {-math.log(1e-9):.2f}$ the loss stands near {-math.log(1e-9):.3f}"
    yield f"for ten classes, from $m = {math.log(1e7 - 9):.2f}$ on"
    large, zero = _limits()
    yield f"beyond a lead of {large[0]} in float32 and {large[1]} in float64"
    yield f"is infinite beyond {zero[0]} and {zero[1]}"
    leads = [f"{_lead(scale):.2f}" for scale in (1.0, 10.0, 30.0)]
    yield f"then leads by {leads[0]}, {leads[1]} or {leads[2]} nats"
    yield f"has {_engine():.1f} % after *one* epoch"


def chinese() -> Iterator[str]:
    """Yield the phrases of the Chinese page."""
    yield from (*rows("永不"), *network_rows("永不"))
    yield f"不超过 $4/27 \\approx {4 / 27:.4f}$"
    yield "$\\lVert g_{SE} \\rVert \\le 8 \\sqrt 2 / 27 \\approx " + f"{8 * math.sqrt(2) / 27:.5f}$"
    told = GOLDEN["mistaken_neuron"]
    yield f"在 $z = 4$ 处大了 {_mistake():.1f} 倍"
    yield f"停在 $a = {told['mistaken']:.4f}$，而正确的公式给出 {told['right']:.4f}"
    ten, hundred, thousand, most = (_even(k) for k in (10, 100, 1000, 3000))
    yield f"十类 {ten[0]} 步（{ten[1]}）对 {ten[2]} 步（{ten[3]}）"
    yield f"一百类 {hundred[0]} 步（{hundred[1]}）对 {hundred[2]} 步（{hundred[3]}）"
    yield f"一千类 {thousand[0]} 步（{thousand[1]}）对 {thousand[2]} 步（{thousand[3]}）"
    yield f"三千类 {most[0]} 步（{most[1]}）对 {most[2]} 步（{most[3]}）"
    yield f"m = \\ln (1/\\varepsilon) \\approx {-math.log(1e-9):.2f}$ 后，损失停在 {-math.log(1e-9):.3f} 附近"
    yield f"十类时从 $m = {math.log(1e7 - 9):.2f}$ 起"
    large, zero = _limits()
    yield f"float32 中领先超过 {large[0]}、float64 中超过 {large[1]} 时"
    yield f"领先超过 {zero[0]} 和 {zero[1]} 时"
    leads = [f"{_lead(scale):.2f}" for scale in (1.0, 10.0, 30.0)]
    yield f"错误类别分别领先 {leads[0]}、{leads[1]} 和 {leads[2]} 奈特"
    yield f"*一*轮之后就有 {_engine():.1f}%"


def _neuron_rows() -> Iterator[str]:
    for start in (1.5, 4.0, 6.0, 8.0, 10.0):
        cells = [
            f"{neuron_steps(start, loss, below=below):,} ({neuron_time(loss, start, below=below):,.1f})"
            for loss in reversed(LOSSES)
            for below in (0.5, 0.1)
        ]
        yield f"| {start:g} | {next(neuron_run(start, 'cross_entropy')):.5f} | {' | '.join(cells)} |"


def _length_rows() -> Iterator[str]:
    found = {row["margin"]: row for row in GOLDEN["saturation"] if row["n_classes"] == 10}
    for margin in (4, 8, 12, 16):
        ce, se, ratio = (found[margin][key] for key in ("cross_entropy", "squared_error", "ratio"))
        size = f"{ratio:.4f}" if ratio < 100 else f"{ratio:.3f}" if ratio < 1000 else f"{ratio:,.1f}"
        yield f"| {margin} | {ce:.5f} | {se:.5e} | {size} |"


def _logit_rows(never: str) -> Iterator[str]:
    for margin in (6, 8, 10, 12, 16, 18, 24, 30):
        theory = {loss: escape_time(loss, 10, margin, learning_rate=0.5) for loss in ("squared_error", "eps")}
        slow = f"{logit_steps(margin, 10, 'squared_error'):,} ({theory['squared_error']:,.1f}) " if margin <= 12 else ""
        eps, clip = logit_steps(margin, 10, "eps"), logit_steps(margin, 10, "clip")
        fast = logit_steps(margin, 10, "cross_entropy")
        yield f"| {margin} | {fast} | {slow}| {eps:,} ({theory['eps']:,.1f}) | {never if clip is None else clip} |"


def _plane_rows() -> Iterator[str]:
    for scale in PLANE_SCALES:
        yield f"| {plane_margin(scale):.3f} | " + " | ".join(f"{plane_epochs(scale, head):,}" for head in HEADS) + " |"


def _variant_rows() -> Iterator[str]:
    for margin in MARGINS:
        found = [loss_variant(name, _trailing(margin), 0, precision="float32") for name in VARIANTS]
        cells = [f"{loss:.6g} ({gradient[0] + 0.0:.3g})" for loss, gradient in found]
        yield f"| {margin} | {' | '.join(cells)} |"


def _first_rows(never: str) -> Iterator[str]:
    for precision, first in GOLDEN["first_wrong_margin"].items():
        cells = [never if first[name] is None else str(first[name]) for name in VARIANTS]
        yield f"| {precision} | {' | '.join(cells)} |"


def _trailing(margin: float) -> list[float]:
    return [0.0, float(margin)] + [0.0] * 8


def _mistake() -> float:
    a = 1 / (1 + math.exp(-4.0))
    return 1 / (a * (1 - a))


def _even(n_classes: int) -> list[str]:
    counts = [f"{logit_steps(0.0, n_classes, loss):,}" for loss in LOSSES]
    times = [f"{even_escape_time(loss, n_classes, learning_rate=0.5):,.1f}" for loss in LOSSES]
    return [counts[0], times[0], counts[1], times[1]]


def _limits() -> tuple[list[str], list[str]]:
    """Leads at which 1 / p overflows, and at which p is 0: half of the smallest number of the type."""
    kinds = (np.float32, np.float64)
    zero = [-math.log(float(np.finfo(kind).smallest_subnormal)) + math.log(2) for kind in kinds]
    return [f"{LARGEST_EXP[name]:.1f}" for name in ("float32", "float64")], [f"{zero[0]:.2f}", f"{zero[1]:.1f}"]


def _lead(scale: float) -> float:
    (x, t), _ = digits()
    leads = []
    for seed in range(5):
        _, weights = network_start(64, 10, scale, seed)
        logits = 1 / (1 + np.exp(-(x @ weights["dense1.weight"].T))) @ weights["dense2.weight"].T
        others = np.where(np.eye(10, dtype=bool)[t], -np.inf, logits).max(axis=1)
        leads.append(np.median(others - logits[np.arange(len(t)), t]))
    return float(np.median(leads))


def _engine() -> float:
    """Accuracy of the engine after an epoch from a start ten times too large, in per cent, median of five seeds."""
    train, test = digits()
    given: dict[str, Any] = {"start_scale": 10.0, "learning_rate": 0.5, "epochs": 1}
    return 100 * float(np.median([engine_accuracies(train, test, **given, seed=seed)[0] for seed in range(5)]))
