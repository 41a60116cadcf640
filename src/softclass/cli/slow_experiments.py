"""The experiments of slow learning as tables: what is measured, and beside it what theory says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from softclass.data import samples
from softclass.functions.head_losses import HEADS
from softclass.functions.precision import VARIANTS, loss_variant
from softclass.functions.slow_learning import (
    best_rate,
    escape_time,
    even_escape_time,
    logit_steps,
    neuron_run,
    neuron_steps,
    neuron_time,
    plane_epochs,
    split_by_class,
    usable_rates,
)
from softclass.functions.slow_network import epochs_until, network_runs
from softclass.functions.slow_plane import plane_margin
from softclass.networks.slow_network import engine_accuracies

SEEDS = range(5)
PLANE_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
MIXED_SCALES = (0.5, 1.0, 2.0, 4.0, 8.0)
NETWORK_RATES = tuple(2.0**exponent for exponent in range(-3, 11))
NETWORK_EPOCHS = 30


@dataclass(frozen=True)
class Experiment:
    """A table of results.

    Attributes
    ----------
    key, title : str
        "s1" to "s6", with a letter where there are parts; what it is.
    columns : tuple of str
        Their names.
    rows : tuple of tuples
        Whole numbers, numbers, text; None where a run never gets there.
    findings : tuple of str
        What the table shows, in sentences.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    findings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"title": self.title, "columns": self.columns, "rows": self.rows, "findings": self.findings}


def digits() -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return features and classes of three quarters of the digits that come along, and of the rest."""
    with np.load(samples.path("digits.npz")) as file:
        grey, targets = file["x"], file["y"].astype(np.int64)
    # The file holds 17 levels stretched to bytes; the experiment reads them as sixteenths.
    features = np.rint(grey.reshape(len(grey), -1) * (16 / 255)) / 16
    train, test = split_by_class(targets)
    return (features[train], targets[train]), (features[test], targets[test])


def experiments(curves: Sequence[dict[str, Any]], n_threads: int | None = 1) -> Iterator[Experiment]:
    """
    Yield the experiments one after the other, as they are done.

    Parameters
    ----------
    curves : sequence of dict
        Of `softclass.functions.slow_network.median_curves`, for the experiment with the network.
    n_threads : int or None, default 1
        Threads of the engine.

    Yields
    ------
    Experiment
        S1 to S6.
    """
    yield _neuron()
    yield _logits()
    yield _plane()
    yield _plane_best()
    yield _plane_mixed()
    yield _network(curves)
    yield _network_rates(n_threads)
    yield _written()
    yield _even()


def _neuron() -> Experiment:
    rows = []
    for start in (1.5, 4.0, 6.0, 8.0, 10.0):
        row: list[Any] = [start, next(neuron_run(start, "cross_entropy"))]
        for loss in ("squared_error", "cross_entropy"):
            for below in (0.5, 0.1):
                row += [neuron_steps(start, loss, below=below), neuron_time(loss, start, below=below)]
        rows.append(tuple(row))
    counted = ("SE<.5", "SE<.1", "CE<.5", "CE<.1")
    columns = ("z", "a", *(name for count in counted for name in (count, f"{count} theory")))
    return Experiment(
        "s1",
        "one neuron that should say 0 and says a: steps of 0.15 until a < .5 and a < .1",
        columns,
        tuple(rows),
        ("to one half, squared error (SE) takes about e^z / 0.3 steps, cross-entropy (CE) about z / 0.3",),
    )


def _logits() -> Experiment:
    rows = []
    for margin in range(0, 31, 2):
        row: list[Any] = [margin]
        for loss, first, last in (("cross_entropy", 0, 30), ("squared_error", 0, 12), ("eps", 14, 30)):
            measured = logit_steps(margin, 10, loss) if first <= margin <= last else ""
            row += [measured, _theory(loss, margin) if margin >= first else ""]
        rows.append((*row, logit_steps(margin, 10, "clip")))
    names = ("CE", "SE", "log(p+1e-9)")
    columns = ("margin", *(name for count in names for name in (count, f"{count} theory")), "clip 1e-7")
    return Experiment(
        "s2",
        "ten logits, a wrong one leads by a margin: steps of 0.5 until p > .5",
        columns,
        tuple(rows),
        (
            "one nat more costs cross-entropy one step and squared error e times as many; theory is for e^margin >> 10",
            "with 1e-9 in the logarithm the same happens from a margin of 20.7 on; a clipped p is stuck from 16.1 on",
        ),
    )


def _theory(loss: str, margin: int) -> float:
    """Return the time of theorem 8, or of theorem 6 where all logits are equal."""
    if margin == 0 and loss in ("cross_entropy", "squared_error"):
        return even_escape_time(loss, 10, learning_rate=0.5)
    return escape_time(loss, 10, margin, learning_rate=0.5)


def _plane() -> Experiment:
    rows = [(s, plane_margin(s), *(plane_epochs(s, head) for head in HEADS)) for s in PLANE_SCALES]
    return Experiment(
        "s3a",
        "softmax regression, at first wrong about all of 300 points: epochs to 95 % right, rate 0.5",
        ("scale", "mean margin", *HEADS),
        tuple(rows),
    )


def _plane_best() -> Experiment:
    rates = [2.0**exponent for exponent in range(-4, 15)]
    rows = []
    for scale in PLANE_SCALES:
        row: list[Any] = [scale]
        for head in ("softmax_ce", "softmax_se"):
            row += best_rate(scale, head, rates) or (None, None)
        rows.append(tuple(row))
    return Experiment(
        "s3b",
        "the same with the best of 19 rates: for one margin a rate can be found",
        ("scale", "best rate CE", "epochs CE", "best rate SE", "epochs SE"),
        tuple(rows),
    )


def _plane_mixed() -> Experiment:
    rates = [2.0**exponent for exponent in range(-6, 17)]
    rows, common = [], {"softmax_ce": set(rates), "softmax_se": set(rates)}
    for scale in MIXED_SCALES:
        row: list[Any] = [scale]
        for head in common:
            found = usable_rates(scale, head, rates)
            common[head] &= set(found)
            row += [min(found, default=None), max(found, default=None)]
        rows.append(tuple(row))
    return Experiment(
        "s3c",
        "two classes exchanged, one right: the rates that reach 92 % and keep it",
        ("scale", "CE from", "CE to", "SE from", "SE to"),
        tuple(rows),
        (
            f"rates that serve every scale: cross-entropy {len(common['softmax_ce'])} of {len(rates)}, "
            f"squared error {len(common['softmax_se'])}",
        ),
    )


def _network(curves: Sequence[dict[str, Any]]) -> Experiment:
    rows = [(one["start_scale"], one["head"], one["epochs"], one["accuracy"][-1]) for one in curves]
    return Experiment(
        "s4",
        f"a network 64-30-10 on digits, last layer too large: epochs to 90 %, accuracy after {NETWORK_EPOCHS}",
        ("scale", "head", "epochs", "accuracy"),
        tuple(rows),
    )


def _network_rates(n_threads: int | None) -> Experiment:
    train, test = digits()
    given: dict[str, Any] = {"start_scale": 10.0, "learning_rate": 0.5, "epochs": 1, "n_threads": n_threads}
    engine = float(np.median([engine_accuracies(train, test, **given, seed=seed)[0] for seed in SEEDS]))
    runs = [(rate, seed) for rate in NETWORK_RATES for seed in SEEDS]
    found = network_runs(train, test, "softmax_se", start_scale=10.0, runs=runs, epochs=NETWORK_EPOCHS)
    medians = np.median(found.reshape(len(NETWORK_RATES), len(SEEDS), -1), axis=1)
    rows = [
        (rate, epochs_until(shares), max(shares)) for rate, shares in zip(NETWORK_RATES, medians.tolist(), strict=True)
    ]
    reached = sum(epochs is not None for _, epochs, _ in rows)
    return Experiment(
        "s4b",
        "the same start at scale 10, squared error at 14 rates: epochs to 90 %, best accuracy; medians of five seeds",
        ("rate", "epochs", "accuracy"),
        tuple(rows),
        (
            f"cross-entropy, trained by softclass's own engine: {engine:.1%} after one epoch at rate 0.5",
            f"squared error reaches 90 % within {NETWORK_EPOCHS} epochs at {reached} of {len(rows)} rates; "
            f"its best is {medians.max():.1%}",
        ),
    )


def _written() -> Experiment:
    rows = []
    for margin in (10, 17, 25, 60, 89, 104):
        row: list[Any] = [margin]
        for name in VARIANTS:
            loss, gradient = loss_variant(name, [0.0, float(margin)] + [0.0] * 8, 0, precision="float32")
            row.append(f"{loss:.6g} ({gradient[0] + 0.0:.3g})")
        rows.append(tuple(row))
    return Experiment(
        "s5",
        "one loss written in five ways, float32: its value, and in brackets the gradient at the true logit",
        ("margin", "exp/sum, log", "shift, log", "log(p+1e-9)", "clip 1e-7", "logsumexp"),
        tuple(rows),
    )


def _even() -> Experiment:
    rows = []
    for n_classes in (10, 100, 1000, 3000):
        row: list[Any] = [n_classes]
        for loss in ("cross_entropy", "squared_error"):
            row += [logit_steps(0.0, n_classes, loss), even_escape_time(loss, n_classes, learning_rate=0.5)]
        rows.append(tuple(row))
    return Experiment(
        "s6",
        "all logits equal: steps of 0.5 until p > .5; the gradients differ by the number of classes",
        ("classes", "CE", "CE theory", "SE", "SE theory"),
        tuple(rows),
    )


def cell(value: Any, column: str) -> str:
    """Return a cell as a reader wants it.

    Examples
    --------
    >>> cell(28991, "SE"), cell(None, "SE"), cell(0.97333, "accuracy"), cell(230.149, "SE theory"), cell(2**-4, "rate")
    ('28,991', 'never', '0.973', '230.1', '0.0625')
    """
    if value is None or value == math.inf:
        return "never"
    if isinstance(value, str):
        return value
    if column.endswith("theory"):
        return f"{value:,.1f}" if value < 1e6 else f"{value:.1e}"
    if column == "accuracy":
        return f"{value:.3f}"
    if column == "a":
        return f"{value:.5f}"
    return f"{value:,}" if isinstance(value, int) else f"{round(value, 4):,.10g}"
