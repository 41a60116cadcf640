"""Slow learning with data: a linear model of points in the plane, in float64 NumPy.

Several runs that differ in learning rate or seed go side by side: the first axis of every array is the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from softclass.functions.experiment_checks import check_choice, check_count, check_number
from softclass.functions.head_losses import HEADS
from softclass.functions.random import Generator

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

POINTS_A_CLASS, RADIUS, ANGLES = 100, 2.0, (90.0, 210.0, 330.0)


def plane_points(seed: int = 7, spread: float = 0.6) -> tuple[Float64, Int64]:
    """
    Return points round three centres, a hundred each.

    Parameters
    ----------
    seed : int, default 7
        Of `Generator`.
    spread : float, default 0.6
        Standard deviation, at least 0.

    Returns
    -------
    features : float64 array of shape (300, 2)
        Class by class; x was drawn before y.
    targets : int64 array of shape (300,)
        Classes 0, 1, 2, with centres at 90, 210 and 330 degrees of a circle of radius 2.

    Raises
    ------
    OptionError
        SC141, if a number is out of its range.

    Examples
    --------
    >>> features, targets = plane_points()
    >>> features[0].round(6).tolist(), targets[0].item()
    ([1.655624, 1.959169], 0)
    """
    check_number("plane_points", "spread", spread)
    generator = Generator(seed)
    drawn = np.array([generator.normal() for _ in range(6 * POINTS_A_CLASS)]).reshape(-1, 2)
    targets = np.repeat(np.arange(3), POINTS_A_CLASS)
    return _centres()[targets] + spread * drawn, targets


def plane_run(
    start_scale: float,
    head: str,
    *,
    learning_rates: Sequence[float] = (0.5,),
    seed: int = 7,
    spread: float = 0.6,
    start: str = "all wrong",
) -> Iterator[tuple[Float64, Float64]]:
    """
    Yield accuracy and loss of a linear model of these points: before the first epoch, then after each.

    Parameters
    ----------
    start_scale : float
        Factor of the start weights, at least 0; they are centres of classes, so it is also a measure of confidence.
    head : {"softmax_ce", "softmax_se", "sigmoid_ce", "sigmoid_se"}
        The loss at the logits.
    learning_rates : sequence of float, default (0.5,)
        One run each; an epoch is one step with all points.
    seed, spread : int, float
        Of `plane_points`.
    start : {"all wrong", "two swapped"}
        The weights of each class are the centre of the next one, or those of classes 0 and 1 are exchanged.

    Yields
    ------
    accuracy, loss : float64 arrays of shape (n_rates,)
        Of a draw of equal logits the lower class is taken. The loss is the mean of the rows.

    Raises
    ------
    OptionError
        SC141, for another head or start, or a number out of its range.

    Examples
    --------
    >>> for accuracy, loss in list(zip(range(16), plane_run(2.0, "softmax_ce")))[15:]:
    ...     print(loss[0].item() > 0.95)
    True
    """
    where = "plane_run"
    check_choice(where, "head", head, HEADS)
    check_choice(where, "start", start, ("all wrong", "two swapped"))
    check_number(where, "start_scale", start_scale)
    for rate in learning_rates:
        check_number(where, "learning_rates", rate, may_equal=False)
    return _plane_run(start_scale, head, np.array(learning_rates), *plane_points(seed, spread), start)


def _plane_run(
    start_scale: float, head: str, rates: Float64, features: Float64, targets: Int64, start: str
) -> Iterator[tuple[Float64, Float64]]:
    order = [1, 2, 0] if start == "all wrong" else [1, 0, 2]
    weight = np.repeat(start_scale * _centres()[order][None], len(rates), axis=0)  # (runs, 3, 2)
    bias = np.zeros((len(rates), 1, 3))
    wanted = np.broadcast_to(targets, (len(rates), len(targets)))
    while True:
        logits = features @ weight.transpose(0, 2, 1) + bias  # (runs, 300, 3)
        losses, gradient = HEADS[head](logits, wanted)
        yield (logits.argmax(axis=-1) == targets).mean(axis=-1), losses.mean(axis=-1)
        step = rates[:, None, None] / len(targets)
        weight = weight - step * (gradient.transpose(0, 2, 1) @ features)
        bias = bias - step * gradient.sum(axis=1, keepdims=True)


def plane_epochs(
    start_scale: float,
    head: str,
    *,
    learning_rate: float = 0.5,
    seed: int = 7,
    spread: float = 0.6,
    accuracy: float = 0.95,
    max_epochs: int = 5000,
) -> int | None:
    """
    Count the epochs until a linear model, at first wrong about every point, is right about most.

    Parameters
    ----------
    start_scale : float
        How sure the model is of its mistakes, at least 0; the mean lead of the wrong class is about six times that.
    head : {"softmax_ce", "softmax_se", "sigmoid_ce", "sigmoid_se"}
        The loss at the logits.
    learning_rate : float, default 0.5
        The factor of the mean gradient in a step, above 0.
    seed, spread : int, float
        Of `plane_points`.
    accuracy : float, default 0.95
        The share of the points that has to be right.
    max_epochs : int, default 5000
        When to give up.

    Returns
    -------
    int or None
        Epochs; None if they are more than `max_epochs`.

    Raises
    ------
    OptionError
        SC141, for another head or a number out of its range.

    Examples
    --------
    >>> plane_epochs(2.0, "softmax_ce"), plane_epochs(2.0, "softmax_se")
    (15, 586)
    """
    check_count("plane_epochs", "max_epochs", max_epochs, 0)
    run = plane_run(start_scale, head, learning_rates=(learning_rate,), seed=seed, spread=spread)
    found = zip(range(max_epochs + 1), run, strict=False)
    return next((epoch for epoch, (shares, _) in found if shares[0] >= accuracy), None)


def plane_margin(start_scale: float, *, seed: int = 7, spread: float = 0.6) -> float:
    """
    Return by how much the wrong class leads the right one at the start, in the mean of the points.

    Parameters
    ----------
    start_scale : float
        Factor of the start weights, at least 0.
    seed, spread : int, float
        Of `plane_points`.

    Returns
    -------
    float
        In nats.

    Raises
    ------
    OptionError
        SC141, if a number is out of its range.

    Examples
    --------
    >>> round(plane_margin(2.0), 3)
    12.036
    """
    check_number("plane_margin", "start_scale", start_scale)
    features, targets = plane_points(seed, spread)
    logits = start_scale * features @ _centres()[[1, 2, 0]].T
    rows = np.arange(len(targets))
    return float((logits[rows, (targets - 1) % 3] - logits[rows, targets]).mean())


def best_rate(
    start_scale: float,
    head: str,
    rates: Sequence[float],
    *,
    seed: int = 7,
    accuracy: float = 0.95,
    max_epochs: int = 200,
) -> tuple[float, int] | None:
    """
    Find the learning rate with which such a model is first right about most points.

    Parameters
    ----------
    start_scale, head
        Of `plane_epochs`.
    rates : sequence of float
        What is tried; of several that are equally fast the first is taken.
    seed, accuracy, max_epochs
        Of `plane_epochs`.

    Returns
    -------
    (float, int) or None
        The rate and its epochs; None if no rate is fast enough.

    Raises
    ------
    OptionError
        SC141, for another head or a number out of its range.

    Examples
    --------
    >>> best_rate(2.0, "softmax_ce", [0.5, 8.0]), best_rate(2.0, "softmax_se", [0.5, 8.0])
    ((8.0, 1), (8.0, 39))
    """
    run = plane_run(start_scale, head, learning_rates=rates, seed=seed)
    for epoch, (shares, _) in zip(range(max_epochs + 1), run, strict=False):
        if (shares >= accuracy).any():
            return float(rates[int(np.argmax(shares >= accuracy))]), epoch
    return None


def usable_rates(
    start_scale: float,
    head: str,
    rates: Sequence[float],
    *,
    seeds: Sequence[int] = (7, 1, 2),
    spread: float = 0.9,
    accuracy: float = 0.92,
    within: int = 100,
    until: int = 150,
) -> list[float]:
    """
    Return the learning rates that undo a mixed start and keep what they reach, whatever the points.

    Classes 0 and 1 start exchanged and class 2 right, so that the rows that need a large step stand beside others that
    a large step throws about.

    Parameters
    ----------
    start_scale, head
        Of `plane_run`.
    rates : sequence of float
        What is tried.
    seeds, spread : sequence of int, float
        Of `plane_points`.
    accuracy : float, default 0.92
        The share of the points that has to be right at some epoch up to `within`, and from then on.
    within, until : int
        By which epoch, and how long.

    Returns
    -------
    list of float
        Those that do it with every seed.

    Raises
    ------
    OptionError
        SC141, for another head or a number out of its range.

    Examples
    --------
    >>> usable_rates(2.0, "softmax_ce", [0.125, 1.0, 64.0])
    [0.125, 1.0]
    """
    does = np.ones(len(rates), dtype=bool)
    for seed in seeds:
        run = plane_run(start_scale, head, learning_rates=rates, seed=seed, spread=spread, start="two swapped")
        reached = np.array([shares for _, (shares, _) in zip(range(until + 1), run, strict=False)]) >= accuracy
        does &= reached[within:].all(axis=0)
    return [rate for rate, good in zip(rates, does.tolist(), strict=True) if good]


def _centres() -> Float64:
    angles = np.deg2rad(ANGLES)
    return RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)
