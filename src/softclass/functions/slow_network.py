"""Slow learning in a network of one hidden layer, in float64 NumPy.

Several runs that differ in learning rate or seed go side by side: the first axis of every array is the run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.functions.experiment_checks import (
    check_choice,
    check_count,
    check_image_rows,
    check_number,
    check_seed,
    check_share,
)
from softclass.functions.head_losses import HEADS

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

HIDDEN, BATCH = 30, 10


def split_by_class(targets: Any, *, test_share: float = 0.25, seed: int = 0) -> tuple[Int64, Int64]:
    """
    Split rows in two so that every class has the same share in both.

    The same rows in the same order as ``train_test_split(test_size=test_share, random_state=seed, stratify=targets)``
    of scikit-learn 1.9, whose figures these experiments repeat; NumPy promises that this generator stays as it is.

    Parameters
    ----------
    targets : int array of shape (n,)
        Classes.
    test_share : float, default 0.25
        Share of the rows behind the split, in (0, 1).
    seed : int, default 0
        Of NumPy's ``RandomState``.

    Returns
    -------
    train, test : int64 arrays
        Row numbers.

    Raises
    ------
    OptionError
        SC141, if a number is out of its range.

    Examples
    --------
    >>> train, test = split_by_class([0, 1] * 4)
    >>> train.tolist(), test.tolist()
    ([6, 1, 5, 4, 2, 3], [7, 0])
    """
    check_share("split_by_class", "test_share", test_share)
    _, classes, counts = np.unique(np.asarray(targets), return_inverse=True, return_counts=True)
    n_test = math.ceil(test_share * len(classes))
    random = np.random.RandomState(check_seed("split_by_class", seed))
    n_train = _shares(counts, len(classes) - n_test, random)
    n_behind = _shares(counts - n_train, n_test, random)
    train, test = [], []
    for number, rows in enumerate(np.split(np.argsort(classes, kind="stable"), np.cumsum(counts)[:-1])):
        mixed = rows[random.permutation(len(rows))]
        train.append(mixed[: n_train[number]])
        test.append(mixed[n_train[number] : n_train[number] + n_behind[number]])
    return random.permutation(np.concatenate(train)), random.permutation(np.concatenate(test))


def _shares(counts: Int64, total: int, random: Any) -> Int64:
    """Return how many of each class make up a total: rounded down, then one more for the largest remainders."""
    exact = counts / counts.sum() * total
    whole: Int64 = np.floor(exact).astype(np.int64)
    rest, missing = exact - whole, int(total - np.floor(exact).sum())
    for value in np.unique(rest)[::-1].tolist():
        if missing == 0:  # a choice of none would still take a number from the generator
            break
        [equal] = np.where(rest == value)
        chosen = random.choice(equal, size=min(len(equal), missing), replace=False)
        whole[chosen] += 1
        missing -= len(chosen)
    return whole


def network_start(n_features: int, n_classes: int, start_scale: float, seed: int) -> tuple[Any, dict[str, Float64]]:
    """
    Return the start weights of a network of 30 sigmoid units, its last layer too large by a factor.

    Parameters
    ----------
    n_features, n_classes : int
        Width of the input and of the output.
    start_scale : float
        Factor of the weights of the last layer, at least 0; 1 is usual, 10 makes it sure of its guesses.
    seed : int
        Of NumPy's ``default_rng``.

    Returns
    -------
    generator : numpy.random.Generator
        Behind the draws; it gives one permutation of the rows an epoch.
    weights : dict of float64 arrays
        "dense1.weight" (30, n_features), "dense1.bias", "dense2.weight" (n_classes, 30), "dense2.bias".

    Raises
    ------
    OptionError
        SC141, if a number is out of its range.

    Examples
    --------
    >>> _, weights = network_start(64, 10, 10.0, 0)
    >>> weights["dense1.weight"].shape, weights["dense2.weight"].shape
    ((30, 64), (10, 30))
    """
    check_number("network_start", "start_scale", start_scale)
    generator = np.random.default_rng(check_seed("network_start", seed))
    first = generator.normal(0.0, n_features**-0.5, (n_features, HIDDEN)).T
    generator.normal(size=HIDDEN)  # biases once were random; without these draws the published figures would change
    last = start_scale * generator.normal(0.0, HIDDEN**-0.5, (HIDDEN, n_classes)).T
    zeros = {"dense1.bias": np.zeros(HIDDEN), "dense2.bias": np.zeros(n_classes)}
    return generator, {"dense1.weight": first, **zeros, "dense2.weight": last}


def network_runs(
    train: tuple[Any, Any],
    test: tuple[Any, Any],
    head: str,
    *,
    start_scale: float,
    runs: Sequence[tuple[float, int]],
    epochs: int,
) -> Float64:
    """
    Train a network of 30 sigmoid units several times, side by side; stochastic gradient descent with batches of 10.

    Parameters
    ----------
    train, test : pairs of features of shape (n, d) and class indices of shape (n,)
        What it learns from and what it is judged by. Rows behind the last whole batch of an epoch are left out.
    head : {"softmax_ce", "softmax_se", "sigmoid_ce", "sigmoid_se"}
        The loss at the logits.
    start_scale : float
        Of `network_start`.
    runs : sequence of (learning rate, seed)
        One run each.
    epochs : int
        Passes over the training rows.

    Returns
    -------
    float64 array of shape (n_runs, epochs)
        Share of right answers on the test rows after each epoch.

    Raises
    ------
    OptionError, ShapeError
        SC141, for another head or a number out of its range; SC101, for features and targets of different lengths.

    Examples
    --------
    >>> rows = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] * 50), np.array([0, 1, 1, 0] * 50)
    >>> network_runs(rows, rows, "softmax_ce", start_scale=1.0, runs=[(2.0, 0), (0.001, 0)], epochs=40)[:, -1]
    array([1. , 0.5])
    """
    where = "network_runs"
    check_choice(where, "head", head, HEADS)
    check_count(where, "epochs", epochs, 1)
    for rate, _ in runs:
        check_number(where, "learning rate", rate, may_equal=False)
    (x, t), (x_test, t_test) = check_image_rows(where, "train", train), check_image_rows(where, "test", test)
    starts = [network_start(x.shape[1], int(t.max()) + 1, start_scale, seed) for _, seed in runs]
    weights = {name: np.stack([one[name] for _, one in starts]) for name in starts[0][1]}
    rates = np.array([rate for rate, _ in runs])[:, None, None]
    shares = np.empty((len(runs), epochs))
    for epoch in range(epochs):
        orders = np.stack([generator.permutation(len(x)) for generator, _ in starts])
        for first in range(0, len(x) - BATCH + 1, BATCH):
            rows = orders[:, first : first + BATCH]
            _network_step(weights, x[rows], t[rows], head, rates / BATCH)
        logits = _logits(weights, np.broadcast_to(x_test, (len(runs), *x_test.shape)))[1]
        shares[:, epoch] = (logits.argmax(axis=-1) == t_test).mean(axis=-1)
    return shares


def _logits(weights: dict[str, Float64], x: Float64) -> tuple[Float64, Float64]:
    """Return hidden units and logits, (runs, rows, width) each."""
    with np.errstate(over="ignore", under="ignore"):  # exp(-z) of a unit that is off: 1 / (1 + inf) is 0, as it should
        hidden = 1 / (1 + np.exp(-(x @ weights["dense1.weight"].transpose(0, 2, 1) + weights["dense1.bias"][:, None])))
    return hidden, hidden @ weights["dense2.weight"].transpose(0, 2, 1) + weights["dense2.bias"][:, None]


def _network_step(weights: dict[str, Float64], x: Float64, t: Int64, head: str, rate: Float64) -> None:
    """Do one step in place; `rate` is divided by the rows of the batch."""
    hidden, logits = _logits(weights, x)
    _, push = HEADS[head](logits, t)
    back = (push @ weights["dense2.weight"]) * hidden * (1 - hidden)
    for layer, gradient, features in (("dense1", back, x), ("dense2", push, hidden)):
        weights[f"{layer}.weight"] -= rate * (gradient.transpose(0, 2, 1) @ features)
        weights[f"{layer}.bias"] -= rate[:, 0] * gradient.sum(axis=1)


def network_accuracies(
    train: tuple[Any, Any],
    test: tuple[Any, Any],
    head: str,
    *,
    start_scale: float,
    learning_rate: float,
    epochs: int,
    seed: int,
) -> list[float]:
    """
    Train a network of 30 sigmoid units whose last layer starts too sure, and judge it after every epoch.

    Parameters
    ----------
    train, test : pairs of features of shape (n, d) and class indices of shape (n,)
        What it learns from and what it is judged by.
    head : {"softmax_ce", "softmax_se", "sigmoid_ce", "sigmoid_se"}
        The loss at the logits.
    start_scale : float
        Factor of the start weights of the last layer; 1 is usual.
    learning_rate : float
        The factor of the mean gradient of a batch of 10 in a step, above 0.
    epochs : int
        Passes over the training rows.
    seed : int
        Of start weights and order of rows.

    Returns
    -------
    list of float
        Share of right answers on the test rows after each epoch.

    Raises
    ------
    OptionError, ShapeError
        SC141, for another head or a number out of its range; SC101, for features and targets of different lengths.

    See Also
    --------
    network_runs : Several of them at once.

    Examples
    --------
    Four corners, of which two opposite ones belong together:

    >>> corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] * 50)
    >>> rows = corners, np.array([0, 1, 1, 0] * 50)
    >>> network_accuracies(rows, rows, "softmax_ce", start_scale=1.0, learning_rate=2.0, epochs=40, seed=0)[-1]
    1.0
    """
    runs = [(learning_rate, seed)]
    shares = network_runs(train, test, head, start_scale=start_scale, runs=runs, epochs=epochs)
    return [float(share) for share in shares[0]]


def median_curves(
    train: tuple[Any, Any],
    test: tuple[Any, Any],
    *,
    start_scales: Sequence[float] = (1.0, 10.0, 30.0),
    learning_rate: float = 0.5,
    epochs: int = 30,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
) -> list[dict[str, Any]]:
    """
    Return how accurate such networks are after every epoch, the median over seeds, for every scale and head.

    Parameters
    ----------
    train, test : pairs of features of shape (n, d) and class indices of shape (n,)
        What they learn from and what they are judged by.
    start_scales : sequence of float
        Factors of the start weights of the last layer.
    learning_rate : float, default 0.5
        Of all of them.
    epochs : int, default 30
        Passes over the training rows.
    seeds : sequence of int
        One run each.

    Returns
    -------
    list of dict
        ``start_scale``, ``head``, ``accuracy`` (a list, one number an epoch) and ``epochs``: the median of the epochs
        until 90 % are right, None if most runs never get there.

    Raises
    ------
    OptionError, ShapeError
        As for `network_accuracies`.

    Examples
    --------
    >>> rows = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] * 50), np.array([0, 1, 1, 0] * 50)
    >>> curves = median_curves(rows, rows, start_scales=[1.0], learning_rate=2.0, epochs=40)
    >>> [(one["head"], one["accuracy"][-1]) for one in curves][:1]
    [('softmax_ce', 1.0)]
    """
    runs, found = [(learning_rate, seed) for seed in seeds], []
    for scale in start_scales:
        for head in HEADS:
            shares = network_runs(train, test, head, start_scale=scale, runs=runs, epochs=epochs)
            counts = sorted(epochs_until(one) or math.inf for one in shares.tolist())
            middle = counts[(len(counts) - 1) // 2]
            known = {"start_scale": scale, "head": head, "accuracy": np.median(shares, axis=0).tolist()}
            found.append({**known, "epochs": None if math.isinf(middle) else int(middle)})
    return found


def epochs_until(accuracies: Sequence[float], wanted: float = 0.9) -> int | None:
    """
    Return after which epoch a run is first so accurate.

    Parameters
    ----------
    accuracies : sequence of float
        After each epoch.
    wanted : float, default 0.9
        What it has to reach.

    Returns
    -------
    int or None
        The number of the epoch, from 1; None if it never is.

    Examples
    --------
    >>> epochs_until([0.3, 0.91, 0.89]), epochs_until([0.3])
    (2, None)
    """
    return next((epoch for epoch, share in enumerate(accuracies, start=1) if share >= wanted), None)
