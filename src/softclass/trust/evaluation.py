"""Evaluation: every number that softclass states about a model, from logits and targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.errors import OptionError, ShapeError
from softclass.trust.calibration_error import ECE_DEFINITION, binned_error, calibration_error
from softclass.trust.checks import Floats, Integers, checked_logits, checked_targets, checked_weight
from softclass.trust.intervals import intervals_of
from softclass.trust.metrics import (
    Decomposition,
    aurc,
    chunks,
    class_wise_errors,
    decomposition_of,
    isotonic_brier,
    weighted_mean,
)
from softclass.trust.per_class import ClassEvaluation, evaluate_classes, finite_or_none
from softclass.trust.reliability import ReliabilityDiagram, reliability_diagram
from softclass.trust.rows import RowScores

CLASS_DIAGRAMS = 10
FEW_ROWS = 30


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Every number about a model on one part of the data.

    Attributes
    ----------
    split : str
        Name of the part.
    n, n_classes : int
        Rows and classes.
    classes : tuple of str
        Names in the order of the probabilities.
    unknown_class_rows : int
        Rows of a class that the model does not know: wrong, with probability 0.
    accuracy, balanced_accuracy, top_5_accuracy : float or None
        Shares; the last one only with more than five classes.
    log_loss, log_loss_known_rows, log_loss_uncalibrated, log_loss_prior : float
        In nats: all rows (infinite with unknown classes), rows of known classes, the same logits before temperature,
        and the class shares as the only prediction.
    brier, brier_miscalibration, brier_discrimination, brier_uncertainty : float
        Score summed over classes and its CORP parts.
    brier_binary : float or None
        Half of it, the usual score of two classes.
    mean_confidence : float
        What the model promises on average; more than the accuracy is overconfidence.
    ece, ece_uncalibrated, ece_debiased, ece_null_mean, ece_null_95, ece_p_value, class_wise_ece : float
        Calibration errors, and what a perfectly calibrated model would show by luck.
    ece_definition : str
        How the calibration error is computed, in words.
    aurc, excess_aurc : float
        Area under the risk-coverage curve, and its excess over a perfect order.
    intervals : dict of str to (float, float)
        95 % intervals.
    per_class : dict of str to ClassEvaluation
        A class each.
    confusion : int64 array of shape (n_classes, n_classes)
        Rows of each true class (first axis) predicted as each class, in the order of `classes`.
    reliability, reliability_uncalibrated : ReliabilityDiagram
        Top label, after and before temperature.
    class_reliability, class_reliability_uncalibrated : dict of str to ReliabilityDiagram
        The ten largest classes.
    by : dict of str to dict
        Rows, accuracy, log loss, Brier score and ECE of each group, if groups were asked for; ``few`` marks those of
        fewer than 30 rows.

    Examples
    --------
    >>> found = evaluate(np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), np.array([0, 1, 1]), ["cat", "dog"])
    >>> found.n, round(found.accuracy, 3), round(found.log_loss, 3)
    (3, 0.667, 0.584)
    """

    split: str
    n: int
    n_classes: int
    classes: tuple[str, ...]
    unknown_class_rows: int
    accuracy: float
    balanced_accuracy: float | None
    top_5_accuracy: float | None
    log_loss: float
    log_loss_known_rows: float | None
    log_loss_uncalibrated: float
    log_loss_prior: float
    brier: float
    brier_binary: float | None
    brier_miscalibration: float
    brier_discrimination: float
    brier_uncertainty: float
    mean_confidence: float
    ece: float
    ece_uncalibrated: float
    ece_debiased: float
    ece_null_mean: float
    ece_null_95: float
    ece_p_value: float
    ece_definition: str
    class_wise_ece: float
    aurc: float
    excess_aurc: float
    intervals: dict[str, tuple[float, float]]
    per_class: dict[str, ClassEvaluation]
    confusion: npt.NDArray[np.int64]
    reliability: ReliabilityDiagram
    reliability_uncalibrated: ReliabilityDiagram
    class_reliability: dict[str, ReliabilityDiagram]
    class_reliability_uncalibrated: dict[str, ReliabilityDiagram]
    by: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_dict(self, *, details: bool = True) -> dict[str, Any]:
        """
        Return the flat, stable keys of ``metrics.json``.

        Parameters
        ----------
        details : bool, default True
            Whether the confusion matrix and the reliability diagrams are there, whose size grows with the square of the
            number of classes; without them the facts cannot become an Evaluation again.

        Returns
        -------
        dict
            Plain values for JSON: no NaN, no infinity, nothing rounded.
        """
        facts: dict[str, Any] = {
            name: finite_or_none(getattr(self, name)) for name in self.__dataclass_fields__ if name not in _NESTED
        }
        facts["classes"] = list(self.classes)
        facts["intervals"] = {name: list(interval) for name, interval in self.intervals.items()}
        facts["per_class"] = {
            name: {key: finite_or_none(value) for key, value in vars(row).items()}
            for name, row in self.per_class.items()
        }
        if self.by:
            facts["by"] = self.by
        if details:
            facts["confusion"] = self.confusion.tolist()
            facts["reliability"] = {
                "top_label": self.reliability.to_dict(),
                "top_label_uncalibrated": self.reliability_uncalibrated.to_dict(),
                "per_class": {name: one.to_dict() for name, one in self.class_reliability.items()},
                "per_class_uncalibrated": {
                    name: one.to_dict() for name, one in self.class_reliability_uncalibrated.items()
                },
            }
        return facts

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> Evaluation:
        """
        Return the evaluation that `to_dict` described.

        Parameters
        ----------
        facts : dict
            What `to_dict` gave, or the whole of ``metrics.json``, whose other keys are passed over.

        Returns
        -------
        Evaluation
            Equal to the one described.
        """
        plain = {name: facts[name] for name in cls.__dataclass_fields__ if name not in _NESTED}
        for name in _MAY_BE_INFINITE:
            plain[name] = math.inf if plain[name] is None else plain[name]
        diagrams = facts["reliability"]
        return cls(
            **plain,
            classes=tuple(facts["classes"]),
            intervals={name: (low, high) for name, (low, high) in facts["intervals"].items()},
            per_class={name: ClassEvaluation(**row) for name, row in facts["per_class"].items()},
            confusion=np.array(facts["confusion"], dtype=np.int64),
            reliability=ReliabilityDiagram.from_dict(diagrams["top_label"]),
            reliability_uncalibrated=ReliabilityDiagram.from_dict(diagrams["top_label_uncalibrated"]),
            class_reliability=_diagrams(diagrams["per_class"]),
            class_reliability_uncalibrated=_diagrams(diagrams["per_class_uncalibrated"]),
            by=facts.get("by", {}),
        )


_NESTED = (
    "classes",
    "intervals",
    "per_class",
    "confusion",
    "reliability",
    "reliability_uncalibrated",
    "class_reliability",
    "class_reliability_uncalibrated",
    "by",
)
_MAY_BE_INFINITE = ("log_loss", "log_loss_uncalibrated", "log_loss_prior")


def _diagrams(facts: dict[str, Any]) -> dict[str, ReliabilityDiagram]:
    return {name: ReliabilityDiagram.from_dict(one) for name, one in facts.items()}


def evaluate(
    logits: npt.ArrayLike,
    targets: npt.ArrayLike,
    classes: Sequence[str],
    *,
    temperature: float = 1.0,
    prior: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    bootstrap: int = 1000,
    by: npt.ArrayLike | None = None,
    seed: int = 0,
    split: str = "test",
) -> Evaluation:
    """Return every number about logits that the saved model gave for rows of known class.

    Parameters
    ----------
    logits : float array of shape (n, n_classes)
        After temperature; ``logits * temperature`` are those before it.
    targets : int array of shape (n,)
        Class indices; -1 is a class that the model does not know.
    classes : sequence of str
        Names, in the order of the logits.
    temperature : float, default 1.0
        What the logits were divided by.
    prior : float array of shape (n_classes,), optional
        Class shares that the prior predicts; those of these rows when absent.
    sample_weight : float array of shape (n,), optional
        Weights of the rows. Counts stay counts of rows.
    groups : array of shape (n,), optional
        Rows of one group are resampled together for the intervals.
    bootstrap : int, default 1000
        Resamples behind the intervals, none for 0, and draws behind the bands, then 1000.
    by : array of shape (n,), optional
        Also give the main figures of the rows of each value.
    seed : int, default 0
        Seed of all draws.
    split : str, default "test"
        Name of the part.

    Returns
    -------
    Evaluation
        All numbers; the same arguments always give the same ones.

    Raises
    ------
    ShapeError, TargetError, NotFiniteError, OptionError
        SC101-SC103, SC121, SC131, SC141, SC142.

    Examples
    --------
    >>> found = evaluate([[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]], [0, 1], ["a", "b", "c"], bootstrap=100)
    >>> found.accuracy, round(found.log_loss, 6)
    (1.0, 0.298067)
    """
    logits = checked_logits("evaluate", logits)
    n, n_classes = logits.shape
    targets = checked_targets("evaluate", targets, n, n_classes)
    weight = checked_weight("evaluate", sample_weight, n)
    names = tuple(str(name) for name in classes)
    if len(names) != n_classes or len(set(names)) != n_classes:
        raise ShapeError(
            "SC101", f"`classes` must be {n_classes} different names; got {len(set(names))}", where="evaluate"
        )
    if not (math.isfinite(temperature) and temperature > 0):
        raise OptionError("SC141", f"`temperature` must be positive; got {temperature}", where="evaluate")

    rows = RowScores.of(logits, targets)
    before = rows if temperature == 1.0 else RowScores.of(logits * temperature, targets)
    correct = rows.rank == 0
    known = targets >= 0
    counts = np.bincount(targets[known], minlength=n_classes)
    confusion = np.bincount(targets[known] * n_classes + rows.predicted[known], minlength=n_classes**2)
    draws = bootstrap or 1000  # an ECE is never stated without what luck alone would show
    errors = calibration_error(rows.confidence, correct, sample_weight=weight, n_resamples=draws, seed=seed)
    parts, class_errors = _class_wise(logits, rows, targets, weight)
    area, excess = aurc(rows.confidence, correct, sample_weight=weight)
    per_class = evaluate_classes(names, counts, targets, rows, weight, class_errors)
    recalls = [row.recall for row in per_class.values() if row.recall is not None]
    largest = sorted(int(k) for k in np.argsort(-counts, kind="stable")[:CLASS_DIAGRAMS] if counts[k])

    def diagrams(of: RowScores, scale: float) -> tuple[ReliabilityDiagram, dict[str, ReliabilityDiagram]]:
        top = reliability_diagram(of.confidence, correct, sample_weight=weight, n_resamples=draws, seed=seed)
        return top, {
            names[k]: reliability_diagram(
                np.clip(np.exp(scale * logits[:, k] - of.log_partition), 0.0, 1.0),
                targets == k,
                sample_weight=weight,
                n_resamples=draws,
                max_groups=200,
                seed=seed,
            )
            for k in largest
        }

    after_diagrams = diagrams(rows, 1.0)
    before_diagrams = after_diagrams if before is rows else diagrams(before, temperature)
    intervals = {}
    if bootstrap:
        intervals = intervals_of(rows, correct, weight, groups, bootstrap, seed)
        intervals["ece_debiased"] = (errors.low, errors.high)
    return Evaluation(
        split=split,
        n=n,
        n_classes=n_classes,
        classes=names,
        unknown_class_rows=int(np.count_nonzero(~known)),
        accuracy=weighted_mean(correct.astype(np.float64), weight),
        balanced_accuracy=float(np.mean(recalls)) if recalls else None,
        top_5_accuracy=weighted_mean((rows.rank < 5).astype(np.float64), weight) if n_classes > 5 else None,
        log_loss=weighted_mean(rows.loss, weight),
        log_loss_known_rows=finite_or_none(weighted_mean(rows.loss[known], weight[known])),
        log_loss_uncalibrated=weighted_mean(before.loss, weight),
        log_loss_prior=_prior_loss(targets, weight, n_classes, prior),
        brier=parts.score,
        brier_binary=parts.score / 2 if n_classes == 2 else None,
        brier_miscalibration=parts.miscalibration,
        brier_discrimination=parts.discrimination,
        brier_uncertainty=parts.uncertainty,
        mean_confidence=weighted_mean(rows.confidence, weight),
        ece=errors.plug_in,
        ece_uncalibrated=binned_error(before.confidence, correct, weight),
        ece_debiased=errors.debiased,
        ece_null_mean=errors.null_mean,
        ece_null_95=errors.null_95,
        ece_p_value=errors.p_value,
        ece_definition=ECE_DEFINITION,
        class_wise_ece=float(class_errors.mean()),
        aurc=area,
        excess_aurc=excess,
        intervals=intervals,
        per_class=per_class,
        confusion=confusion.reshape(n_classes, n_classes),
        reliability=after_diagrams[0],
        reliability_uncalibrated=before_diagrams[0],
        class_reliability=after_diagrams[1],
        class_reliability_uncalibrated=before_diagrams[1],
        by={} if by is None else _by_group(rows, correct, weight, np.asarray(by)),
    )


def _by_group(
    rows: RowScores, correct: npt.NDArray[np.bool_], weight: Floats, by: npt.NDArray[Any]
) -> dict[str, dict[str, Any]]:
    """Return the main figures of each group."""
    if by.shape != (len(correct),):
        raise ShapeError("SC101", f"`by` must have one value a row; got shape {by.shape}", where="evaluate")
    names, codes = np.unique(by.astype(str), return_inverse=True)
    found = {}
    for code, name in enumerate(names.tolist()):
        inside = codes == code
        found[name] = {
            "n": int(inside.sum()),
            "few": int(inside.sum()) < FEW_ROWS,
            "accuracy": finite_or_none(weighted_mean(correct[inside].astype(np.float64), weight[inside])),
            "log_loss": finite_or_none(weighted_mean(rows.loss[inside], weight[inside])),
            "brier": finite_or_none(weighted_mean(rows.brier[inside], weight[inside])),
            "ece": binned_error(rows.confidence[inside], correct[inside], weight[inside])
            if weight[inside].any()
            else None,
        }
    return found


def _class_wise(logits: Floats, rows: RowScores, targets: Integers, weight: Floats) -> tuple[Decomposition, Floats]:
    """Brier decomposition and class-wise calibration errors, a bounded number of classes at a time."""
    recalibrated = uncertainty = 0.0
    errors = []
    for part in chunks(logits.shape[1], logits.shape[0]):
        columns = np.exp(logits[:, part] - rows.log_partition[:, None]).clip(0.0, 1.0)
        of_class, of_share = isotonic_brier(columns, targets, weight, part.start)
        recalibrated, uncertainty = recalibrated + of_class, uncertainty + of_share
        errors.append(class_wise_errors(columns, targets, weight, part.start))
    score = weighted_mean(rows.brier, weight)
    return decomposition_of(score, recalibrated, uncertainty, targets, weight), np.concatenate(errors)


def _prior_loss(targets: Integers, weight: Floats, n_classes: int, prior: npt.ArrayLike | None) -> float:
    """Log loss of the class shares on the rows of known classes."""
    known = targets >= 0
    seen = np.bincount(targets[known], weights=weight[known], minlength=n_classes)
    shares = seen if prior is None else np.asarray(prior, dtype=np.float64)
    if shares.shape != (n_classes,) or not np.all(np.isfinite(shares)) or np.any(shares < 0):
        raise OptionError("SC141", f"`prior` must be {n_classes} shares, none negative", where="evaluate")
    present = seen > 0
    if not present.any():
        return math.inf
    with np.errstate(divide="ignore"):
        losses = -np.log(shares[present] / shares.sum())
    return float(np.sum(seen[present] * losses) / seen.sum())
