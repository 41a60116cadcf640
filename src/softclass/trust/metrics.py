"""Metrics of probabilities and labels: log loss, Brier score and its parts, accuracy, risk against coverage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softclass.functions.softmax import log_softmax
from softclass.trust.calibration_error import ECE_BINS
from softclass.trust.checks import Floats, Integers, checked_logits, checked_targets, checked_weight
from softclass.trust.isotonic import pool
from softclass.trust.reliability import bins_of

# Numbers worked on at once, so that a thousand classes do not multiply the memory of the logits.
CHUNK_NUMBERS = 4_000_000


@dataclass(frozen=True)
class LogLoss:
    """Mean log loss in nats.

    Attributes
    ----------
    value : float
        Over all rows; infinite as soon as one row belongs to a class that the model does not know.
    known_rows_value : float
        Over the rows of known classes; NaN when there are none.
    unknown_class_rows : int
        Rows whose class the model does not know.
    """

    value: float
    known_rows_value: float
    unknown_class_rows: int


@dataclass(frozen=True)
class Decomposition:
    """A score split into ``miscalibration - discrimination + uncertainty``; all three are at least 0.

    Attributes
    ----------
    score : float
        The score itself.
    miscalibration : float
        What isotonic recalibration of each class would save.
    discrimination : float
        What the recalibrated probabilities save against the class shares.
    uncertainty : float
        Score of the class shares.
    """

    score: float
    miscalibration: float
    discrimination: float
    uncertainty: float


def row_log_losses(logits: Floats, targets: Integers) -> Floats:
    """Log loss of each row in nats, never clipped; infinite for class -1."""
    losses = np.full(targets.size, np.inf)
    for rows in chunks(targets.size, logits.shape[1]):
        known = np.flatnonzero(targets[rows] >= 0)
        log_probabilities = np.asarray(log_softmax(logits[rows]))
        # Minus zero would print as "-0.0".
        losses[rows][known] = np.abs(log_probabilities[known, targets[rows][known]])
    return losses


def chunks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices of rows that hold a bounded number of elements each."""
    step = max(1, CHUNK_NUMBERS // max(1, n_columns))
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def log_loss(logits: npt.ArrayLike, targets: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None) -> LogLoss:
    """Return the mean of ``-log_softmax(logits)[target]``, without clipping.

    Parameters
    ----------
    logits : float array of shape (n, n_classes)
        Logits; -inf stands for probability 0.
    targets : int array of shape (n,)
        Class indices; -1 is a class that the model does not know.
    sample_weight : float array of shape (n,), optional
        Weights of the rows.

    Returns
    -------
    LogLoss
        Over all rows and over the rows of known classes, in nats.

    Examples
    --------
    >>> round(log_loss([[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]], [0, 1]).value, 6)
    0.298067
    >>> log_loss([[0.0, 0.0], [0.0, 0.0]], [0, -1]).value
    inf
    """
    logits = checked_logits("log_loss", logits)
    targets = checked_targets("log_loss", targets, *logits.shape)
    weight = checked_weight("log_loss", sample_weight, targets.size)
    losses = row_log_losses(logits, targets)
    known = targets >= 0
    return LogLoss(
        weighted_mean(losses, weight), weighted_mean(losses[known], weight[known]), int(np.count_nonzero(~known))
    )


def weighted_mean(values: Floats, weight: Floats) -> float:
    """Mean of values; rows of weight 0 do not count even if infinite; NaN without rows."""
    used = weight > 0
    return float(np.sum(values[used] * weight[used]) / weight[used].sum()) if used.any() else float("nan")


def row_brier(probabilities: Floats, targets: Integers) -> Floats:
    """Sum over classes of (probability - one if it is the true class) squared; an unknown class adds its own 1."""
    known = np.flatnonzero(targets >= 0)
    own = np.zeros(targets.size)
    own[known] = probabilities[known, targets[known]]
    # The sum of squares less p_y^2 plus (p_y - 1)^2, arranged so that a certain right row gives exactly 0.
    others = np.einsum("nk,nk->n", probabilities, probabilities) - own**2
    return np.asarray(np.clip(others, 0.0, None) + (1.0 - own) ** 2)


def brier_score(
    probabilities: npt.ArrayLike, targets: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None
) -> float:
    """Return the Brier score, summed over classes, in [0, 2].

    Parameters
    ----------
    probabilities : float array of shape (n, n_classes)
        Rows that sum to 1.
    targets : int array of shape (n,)
        Class indices; -1 is a class that the model does not know.
    sample_weight : float array of shape (n,), optional
        Weights of the rows.

    Returns
    -------
    float
        Mean over the rows. The usual score of two classes is half of it.

    Examples
    --------
    >>> round(brier_score([[0.8, 0.2], [0.4, 0.6]], [0, 1]), 3)
    0.2
    """
    array = checked_logits("brier_score", probabilities, "probabilities")
    checked = checked_targets("brier_score", targets, *array.shape)
    return weighted_mean(row_brier(array, checked), checked_weight("brier_score", sample_weight, checked.size))


def decompose_brier(
    probabilities: npt.ArrayLike, targets: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None
) -> Decomposition:
    """Return the Brier score split by isotonic regression of each class (CORP).

    Parameters
    ----------
    probabilities : float array of shape (n, n_classes)
        Rows that sum to 1.
    targets : int array of shape (n,)
        Class indices; -1 is a class that the model does not know, treated as one more class of probability 0.
    sample_weight : float array of shape (n,), optional
        Weights of the rows.

    Returns
    -------
    Decomposition
        ``miscalibration - discrimination + uncertainty == score``, each at least 0.

    Examples
    --------
    >>> parts = decompose_brier([[0.9, 0.1], [0.6, 0.4], [0.4, 0.6]], [0, 1, 1])
    >>> round(parts.miscalibration - parts.discrimination + parts.uncertainty - parts.score, 12)
    0.0
    """
    array = checked_logits("decompose_brier", probabilities, "probabilities")
    checked = checked_targets("decompose_brier", targets, *array.shape)
    weight = checked_weight("decompose_brier", sample_weight, checked.size)
    score = weighted_mean(row_brier(array, checked), weight)
    recalibrated = uncertainty = 0.0
    for classes in chunks(array.shape[1], array.shape[0]):
        of_class, of_share = isotonic_brier(array[:, classes], checked, weight, classes.start)
        recalibrated, uncertainty = recalibrated + of_class, uncertainty + of_share
    return decomposition_of(score, recalibrated, uncertainty, checked, weight)


def decomposition_of(
    score: float, recalibrated: float, uncertainty: float, targets: Integers, weight: Floats
) -> Decomposition:
    """Put the sums over classes together, with one more class of probability 0 for unknown targets."""
    unknown = float(weight[targets < 0].sum() / weight.sum())
    # Its isotonic fit is its share, like its prior: it adds to miscalibration and uncertainty, not to discrimination.
    recalibrated, uncertainty = recalibrated + unknown * (1 - unknown), uncertainty + unknown * (1 - unknown)
    return Decomposition(score, max(0.0, score - recalibrated), max(0.0, uncertainty - recalibrated), uncertainty)


def isotonic_brier(columns: Floats, targets: Integers, weight: Floats, first: int) -> tuple[float, float]:
    """Summed over these classes: Brier score of the isotonic fits, and of the class shares."""
    n, count = columns.shape
    by_class = np.ascontiguousarray(columns.T)
    order = np.argsort(by_class, axis=1)
    ordered = np.take_along_axis(by_class, order, axis=1)
    hit = (targets[order] == first + np.arange(count)[:, None]) * weight[order]
    changes = np.ones((count, n), dtype=bool)
    changes[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    ties = np.flatnonzero(changes)
    sums, weights = np.add.reduceat(hit.ravel(), ties), np.add.reduceat(weight[order].ravel(), ties)
    usable = weights > 0
    sums, weights, segment = sums[usable], weights[usable], ties[usable] // n
    blocks = pool(sums, weights, segment)
    block_sums, block_weights = np.add.reduceat(sums, blocks), np.add.reduceat(weights, blocks)
    # Within a block the fit is m = S/W and y is 0 or 1, so sum of w (m - y)^2 = S - S^2/W = S (W - S)/W.
    total = float(weight.sum())
    share = hit.sum(axis=1) / total
    left = np.clip(block_weights - block_sums, 0.0, None)
    return float(np.sum(block_sums * left / block_weights) / total), float(np.sum(share * (1 - share)))


def class_wise_errors(columns: Floats, targets: Integers, weight: Floats, first: int) -> Floats:
    """Plug-in calibration error of each of these classes: its probability against being it, 15 equal-width bins."""
    count = columns.shape[1]
    gaps = weight[:, None] * columns
    inside = np.flatnonzero((targets >= first) & (targets < first + count))
    gaps[inside, targets[inside] - first] -= weight[inside]
    slots = bins_of(columns, ECE_BINS) + ECE_BINS * np.arange(count)
    sums = np.bincount(slots.ravel(), weights=gaps.ravel(), minlength=ECE_BINS * count).reshape(count, ECE_BINS)
    return np.asarray(np.abs(sums).sum(axis=1) / weight.sum())


def class_wise_ece(
    probabilities: npt.ArrayLike, targets: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None
) -> float:
    """Return the mean over classes of each class's own calibration error (15 equal-width bins).

    Parameters
    ----------
    probabilities : float array of shape (n, n_classes)
        Rows that sum to 1.
    targets : int array of shape (n,)
        Class indices; -1 is a class that the model does not know.
    sample_weight : float array of shape (n,), optional
        Weights of the rows.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> round(class_wise_ece([[0.8, 0.2], [0.8, 0.2]], [0, 0]), 2)
    0.2
    """
    array = checked_logits("class_wise_ece", probabilities, "probabilities")
    checked = checked_targets("class_wise_ece", targets, *array.shape)
    weight = checked_weight("class_wise_ece", sample_weight, checked.size)
    pieces = [class_wise_errors(array[:, part], checked, weight, part.start) for part in chunks(*array.shape[::-1])]
    return float(np.concatenate(pieces).mean())


def ranks(logits: Floats, targets: Integers) -> Integers:
    """Place of the true class among the logits, 0 the best; ties go to the lower index; K for unknown classes."""
    place = np.full(targets.size, logits.shape[1])
    for rows in chunks(targets.size, logits.shape[1]):
        part, wanted = logits[rows], targets[rows]
        known = np.flatnonzero(wanted >= 0)
        own = part[known, wanted[known]][:, None]
        before = np.arange(logits.shape[1]) < wanted[known][:, None]
        place[rows][known] = ((part[known] > own) | ((part[known] == own) & before)).sum(axis=1)
    return place


def top_k_accuracy(
    logits: npt.ArrayLike, targets: npt.ArrayLike, k: int = 1, *, sample_weight: npt.ArrayLike | None = None
) -> float:
    """Return the share of rows whose class is among the k largest logits; ties go to the lower index.

    Parameters
    ----------
    logits : float array of shape (n, n_classes)
        Logits.
    targets : int array of shape (n,)
        Class indices; -1 is a class that the model does not know and counts as wrong.
    k : int, default 1
        How many classes count as an answer.
    sample_weight : float array of shape (n,), optional
        Weights of the rows.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> top_k_accuracy([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]], [1, 0], k=2)
    0.5
    """
    array = checked_logits("top_k_accuracy", logits)
    checked = checked_targets("top_k_accuracy", targets, *array.shape)
    weight = checked_weight("top_k_accuracy", sample_weight, checked.size)
    return weighted_mean((ranks(array, checked) < k).astype(np.float64), weight)


def aurc(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None
) -> tuple[float, float]:
    """Return the area under the risk-coverage curve, and by how much it exceeds that of a perfect order.

    Rows are answered by falling confidence; the area is the mean of the error rate among those answered so far. Rows
    of equal confidence share their errors evenly.

    Parameters
    ----------
    confidence : float array of shape (n,)
        Confidence of each row.
    correct : bool array of shape (n,)
        Whether the row was right.
    sample_weight : float array of shape (n,), optional
        Weights of the rows.

    Returns
    -------
    tuple of float
        Area, and excess over the best order of the same errors.

    Examples
    --------
    >>> [round(value, 4) for value in aurc([0.9, 0.8, 0.7, 0.6], [True, True, False, True])]
    [0.1458, 0.0833]
    """
    order = np.argsort(-np.asarray(confidence, dtype=np.float64), kind="stable")
    weight = checked_weight("aurc", sample_weight, order.size)[order]
    falling = np.asarray(confidence, dtype=np.float64)[order]
    wrong = 1.0 - np.asarray(correct, dtype=np.float64)[order]
    starts = np.flatnonzero(np.concatenate(([True], falling[1:] != falling[:-1])))
    tie_weight = np.add.reduceat(weight, starts)
    rate = np.add.reduceat(weight * wrong, starts) / np.where(tie_weight > 0, tie_weight, 1.0)
    shared = np.repeat(rate, np.diff(np.append(starts, order.size)))
    best = np.argsort(wrong, kind="stable")
    area = _area(weight, shared)
    return area, max(0.0, area - _area(weight[best], wrong[best]))


def _area(weight: Floats, wrong: Floats) -> float:
    """Mean over rows of the weighted error rate up to and including the row."""
    used = weight > 0
    answered = np.cumsum(weight[used])
    return float(np.sum(weight[used] * np.cumsum(weight[used] * wrong[used]) / answered) / answered[-1])
