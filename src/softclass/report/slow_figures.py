"""Figures of slow learning, in English and Chinese: of the concept page and of ``softclass demo slow-learning``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from softclass.functions.derivatives import cross_entropy_value_and_gradient
from softclass.functions.head_losses import HEADS, squared_error
from softclass.functions.precision import loss_variant
from softclass.functions.slow_learning import escape_time, logit_steps, neuron_run, neuron_steps
from softclass.functions.slow_plane import plane_run
from softclass.report.plot import Axis, Plot, picture_file, power_of_ten
from softclass.report.slow_figure_words import WORDS

LANGUAGES = ("en", "zh")
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
KIND_OF = {"softmax_ce": "key", "softmax_se": "other", "sigmoid_ce": "third", "sigmoid_se": "corner"}


def figures(curves: Sequence[Mapping[str, Any]], language: str = "en") -> dict[str, str]:
    """
    Return all figures.

    Parameters
    ----------
    curves : sequence of dict
        Of `softclass.functions.slow_network.median_curves`; those of a start scale of 10 are drawn.
    language : {"en", "zh"}, default "en"
        Of the words.

    Returns
    -------
    dict of str
        Names without an ending, and SVG files.
    """
    drawn = {name: draw(WORDS[language][name]) for name, draw in _FIGURES.items()}
    return {**drawn, "network": _network(WORDS[language]["network"], curves)}


def _share(value: float) -> str:
    return f"{value:.0%}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _neuron(words: Mapping[str, str]) -> str:
    plot = Plot(Axis(1, 1000, 60, 690, log=True), Axis(0, 1, 330, 50))
    outputs = {loss: list(islice(neuron_run(4.0, loss), 1001)) for loss in ("cross_entropy", "squared_error")}
    counts = {loss: neuron_steps(4.0, loss) or 0 for loss in outputs}
    fast, slow = counts["cross_entropy"], counts["squared_error"]
    steps, kinds = range(1, 1001), {"cross_entropy": "key", "squared_error": "other"}
    body = plot.frame((1, 3, 10, 30, 100, 300, 1000), SHARES, words["x"], words["y"])
    body += [plot.curve((1, 1000), (0.5, 0.5), "bound")]
    body += [plot.curve(steps, outputs[loss][1:], kind) for loss, kind in kinds.items()]
    body += [plot.dot(counts[loss], outputs[loss][counts[loss]], kind) for loss, kind in kinds.items()]
    return picture_file(
        400,
        words["title"],
        words["about"].format(fast=fast, slow=slow),
        [
            *body,
            plot.words(fast, 0.5, words["ce"], "name key end", -12, 26),
            plot.words(fast, 0.5, words["steps"].format(fast), "note end", -12, 44),
            plot.words(slow, 0.5, words["se"], "name other", 14, -26),
            plot.words(slow, 0.5, words["steps"].format(slow), "note", 14, -8),
        ],
    )


def _trailing(margins: Any, n_classes: int = 10) -> Any:
    logits = np.zeros((len(margins), n_classes))
    logits[:, 1] = margins
    return logits


def _gradients(words: Mapping[str, str]) -> str:
    margins = np.linspace(0, 16, 161)
    targets = np.zeros(161, dtype=np.int64)
    _, ce = cross_entropy_value_and_gradient(_trailing(margins), targets, reduction="none")
    _, se = squared_error(_trailing(margins), targets)
    lengths = [np.linalg.norm(gradient, axis=1) for gradient in (ce, se)]
    plot = Plot(Axis(0, 16, 70, 690), Axis(1e-6, 4, 330, 50, log=True))
    ticks = [10.0**k for k in range(-6, 1)]
    at = 120  # a margin of 12
    return picture_file(
        400,
        words["title"],
        words["about"].format(ce=lengths[0][at], se=lengths[1][at], ratio=lengths[0][at] / lengths[1][at]),
        [
            *plot.frame(range(0, 17, 2), ticks, words["x"], words["y"], y_text=power_of_ten),
            plot.curve(margins, math.sqrt(112) * np.exp(-margins), "bound"),
            plot.curve(margins, lengths[1], "other"),
            plot.curve(margins, lengths[0], "key"),
            plot.dot(12, lengths[0][at], "key"),
            plot.dot(12, lengths[1][at], "other"),
            plot.words(12, lengths[0][at], words["ce"], "name key middle", 0, 24),
            plot.words(12, lengths[1][at], words["se"], "name other", 14, -22),
            plot.words(12, lengths[1][at], f"{lengths[1][at]:.1e}", "note", 14, -4),
            plot.words(7.2, 1.2e-2, words["limit"], "note", 18, 0),
            plot.words(0.3, 6e-3, words["most"], "note"),
        ],
    )


def _escape(words: Mapping[str, str]) -> str:
    plot = Plot(Axis(0, 30, 70, 690), Axis(1, 1e5, 330, 50, log=True))
    margins = {"cross_entropy": range(0, 31, 2), "squared_error": range(0, 13, 2), "eps": range(16, 31, 2)}
    counts = {loss: [logit_steps(m, 10, loss) or 0 for m in found] for loss, found in margins.items()}
    kinds = {"cross_entropy": "key", "squared_error": "other", "eps": "third"}
    fine = np.linspace(1.05, 30, 120)
    body = plot.frame(
        range(0, 31, 5), [10.0**k for k in range(6)], words["x"], words["y"], y_text=lambda value: f"{value:,.0f}"
    )
    for loss, kind in kinds.items():
        begin = {"squared_error": 4.0, "eps": 19.0}.get(loss, 1.05)
        times = [(m, escape_time(loss, 10, m, learning_rate=0.5)) for m in fine.tolist() if m >= begin]
        body.append(plot.curve([m for m, _ in times], [time for _, time in times], kind))
        body += [plot.dot(m, steps, kind) for m, steps in zip(margins[loss], counts[loss], strict=True)]
    return picture_file(
        400,
        words["title"],
        words["about"].format(fast=counts["cross_entropy"][6], slow=counts["squared_error"][6], eps=counts["eps"][-1]),
        [
            *body,
            plot.upright(math.log(1e7 - 9)),
            plot.words(12, counts["squared_error"][6], words["se"], "name other end", -14, 0),
            plot.words(12, counts["squared_error"][6], f"{counts['squared_error'][6]:,}", "note end", -14, 18),
            plot.words(22, 23, words["ce"], "name key middle", 0, 30),
            plot.words(27, 700, words["eps"], "name third end", -14, -12),
            plot.words(16.12, 4e4, words["clip"], "note", 8, 0),
            plot.words(16.12, 4e4, words["never"], "note", 8, 18),
        ],
    )


def _rounding(words: Mapping[str, str]) -> str:
    plot = Plot(Axis(0, 110, 70, 690), Axis(1e-12, 100, 330, 50, log=True))
    margins = range(111)
    pushes = {
        name: [-float(loss_variant(name, row, 0, precision="float32")[1][0]) for row in _trailing(margins)]
        for name in ("shift", "eps", "clip", "logsumexp")
    }
    last = {name: max(m for m, push in zip(margins, found, strict=True) if push > 0) for name, found in pushes.items()}
    seen = {name: [(float(m), push) for m, push in enumerate(found) if push > 0] for name, found in pushes.items()}
    seen["clip"].append((last["clip"] + 1e-6, 1e-12))
    return picture_file(
        400,
        words["title"],
        words["about"].format(clip=last["clip"], shift=last["shift"]),
        [
            *plot.frame(
                range(0, 111, 10), [10.0**k for k in range(-12, 1, 2)], words["x"], words["y"], y_text=power_of_ten
            ),
            *(
                plot.curve([m for m, _ in seen[name]], [push for _, push in seen[name]], kind)
                for name, kind in (("clip", "corner"), ("eps", "other"), ("logsumexp", "key"), ("shift", "third"))
            ),
            plot.dot(last["shift"], 1.0, "third"),
            plot.words(88, 1.0, words["shift"], "name third end", 0, 26),
            plot.words(88, 1.0, words["nan"].format(last["shift"] + 1), "note end", 0, 44),
            plot.words(110, 1.0, words["ours"], "name key end", 0, -12),
            plot.words(36, 2e-7, words["eps"], "name other", 14, 0),
            plot.words(last["clip"], 1e-9, words["clip"], "name end", -10, 0),
            plot.words(last["clip"], 1e-9, words["zero"], "note end", -10, 18),
        ],
    )


def _plane(words: Mapping[str, str]) -> str:
    plot = Plot(Axis(1, 1000, 60, 690, log=True), Axis(0, 1.15, 330, 50))
    shares = {head: [float(share[0]) for share, _ in islice(plane_run(2.0, head), 1001)] for head in HEADS}
    reached = {head: next(n for n, share in enumerate(found) if share >= 0.95) for head, found in shares.items()}
    epochs = range(1, 1001)
    names = {
        "softmax_ce": "name key",
        "softmax_se": "name other end",
        "sigmoid_ce": "name third",
        "sigmoid_se": "name end",
    }
    places = {"softmax_ce": (13, 0.4), "softmax_se": (980, 1.06), "sigmoid_ce": (1.3, 1.06), "sigmoid_se": (240, 0.7)}
    body = plot.frame((1, 3, 10, 30, 100, 300, 1000), SHARES, words["x"], words["y"], y_text=_share)
    body += [plot.curve((1, 1000), (0.95, 0.95), "bound")]
    body += [plot.curve(epochs, shares[head][1:], kind) for head, kind in reversed(KIND_OF.items())]
    return picture_file(
        400,
        words["title"],
        words["about"].format(**reached),
        [
            *body,
            plot.dot(reached["softmax_ce"], shares["softmax_ce"][reached["softmax_ce"]], "key"),
            plot.dot(reached["softmax_se"], shares["softmax_se"][reached["softmax_se"]], "other"),
            *(plot.words(*places[head], words[head].format(reached[head]), names[head]) for head in HEADS),
        ],
    )


def _network(words: Mapping[str, str], curves: Sequence[Mapping[str, Any]]) -> str:
    plot = Plot(Axis(1, 30, 60, 690), Axis(0, 1.15, 330, 50))
    shares = {one["head"]: one["accuracy"] for one in curves if one["start_scale"] == 10}
    epochs = range(1, 31)
    return picture_file(
        400,
        words["title"],
        words["about"].format(first=shares["softmax_ce"][0], last=shares["softmax_se"][-1]),
        [
            *plot.frame((1, 5, 10, 15, 20, 25, 30), SHARES, words["x"], words["y"], y_text=_share),
            plot.curve((1, 30), (0.9, 0.9), "bound"),
            *(plot.curve(epochs, shares[head], kind) for head, kind in reversed(KIND_OF.items())),
            plot.dot(1, shares["softmax_ce"][0], "key"),
            plot.words(3, 1.06, words["softmax_ce"], "name key"),
            plot.words(4, shares["softmax_se"][3], words["softmax_se"], "name other", 0, 26),
            plot.words(18, 1.06, words["sigmoid_ce"], "name third"),
            plot.words(6, 0.82, words["sigmoid_se"], "name"),
        ],
    )


_FIGURES: dict[str, Callable[[Mapping[str, str]], str]] = {
    "neuron": _neuron,
    "gradients": _gradients,
    "escape": _escape,
    "rounding": _rounding,
    "plane": _plane,
}
