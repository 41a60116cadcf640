"""What a fit says in words: separation, dependent columns, and where it stopped short."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softclass.errors import first_quoted, shown
from softclass.estimators.column_rank import ColumnRank
from softclass.estimators.findings import Findings
from softclass.estimators.scaling import Array
from softclass.estimators.separation import Direction
from softclass.estimators.solve import Optimum

WHERE = "SoftmaxRegression"
MOST_NAMES = 6
MOST_SUMS = 3


@dataclass(frozen=True, eq=False)
class Separation:
    """
    Classes that can be told apart by a plane, so that without a penalty no finite weights are best.

    Attributes
    ----------
    kind : str
        "complete": all rows lie on their own side; "quasi-complete": some, and no row on a wrong side.
    classes : tuple of str
        The classes that are separated from others.
    columns : tuple of str
        Columns that are enough to separate them.
    never : tuple of (str, str)
        Columns of zeros and ones with a class in whose rows they are always zero.
    margin : float
        For complete separation the least lead of the right logit where fitting stopped; else 0.
    direction : float64 array of shape (n_classes, n_features), or (1, n_features) for two classes
        Weights along which the loss falls for ever.
    offset : float64 array of shape (n_classes,) or (1,)
        Its intercepts.
    """

    kind: str
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    never: tuple[tuple[str, str], ...]
    margin: float
    direction: Array
    offset: Array


def separation_of(
    findings: Findings | None, known: npt.NDArray[np.bool_], labels: list[str], names: list[str]
) -> Separation | None:
    """Return the separation with the names of classes and columns."""
    if findings is None or findings.direction is None or findings.separating is None:
        return None
    direction, classes = findings.direction, np.flatnonzero(known)
    kept = np.flatnonzero(~findings.constant) if findings.rank is None else findings.rank.kept
    marked = direction.columns
    columns = np.flatnonzero(marked) if len(marked) == len(names) else kept[marked]
    weight, bias = findings.separating
    if len(classes) < len(known):  # rows of the classes without weight are zero
        if len(weight) == 1:
            weight, bias = np.concatenate([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
        whole, offset = np.zeros((len(known), weight.shape[1])), np.zeros(len(known))
        whole[classes], offset[classes] = weight, bias
        weight, bias = whole, offset
    return Separation(
        direction.kind,
        tuple(labels[classes[k]] for k in _separated(direction)),
        tuple(names[j] for j in columns),
        tuple((names[j], labels[classes[k]]) for j, k in findings.never),
        direction.margin,
        weight,
        bias,
    )


def _separated(direction: Direction) -> list[int]:
    """Return the classes that are apart from all others, or from some, or that have some rows apart from others."""
    n = len(direction.losing)
    others = ~np.eye(n, dtype=bool)
    both = direction.losing & direction.losing.T
    for apart in ((both | ~others).all(axis=1), (both & others).any(axis=1), (direction.touched & others).any(axis=1)):
        if apart.any():
            return [int(k) for k in np.flatnonzero(apart)]
    return []


def _named(texts: tuple[str, ...]) -> str:
    return first_quoted(texts, MOST_NAMES)


def separation_message(found: Separation, passes: int) -> str:
    """Return the warning of separated classes."""
    if found.kind == "quasi-complete" and found.never:
        column, label = found.never[0]
        more = f", and {len(found.never) - 1:,} more such pairs" if len(found.never) > 1 else ""
        return (
            f'[SC846] {WHERE}: column "{shown(column)}" never occurs with class "{shown(label)}"{more} (quasi-complete'
            " separation): its coefficient tends to -inf; summary() leaves it blank. Set C, or merge the category"
        )
    by = f" by {_named(found.columns)}" if found.columns else ""
    if found.kind == "complete":
        which = "all classes are" if len(found.classes) > 2 else f"classes {_named(found.classes)} are"
        proof = f"complete: every row has margin > {found.margin:.2g}" if found.margin > 0 else "complete"
        who = f"{which} separated from each other{by} ({proof} after {passes:,} passes)"
    elif len(found.classes) == 1:
        who = f"class {_named(found.classes)} is separated from the others{by} (quasi-complete: the others are not)"
    else:
        who = f"rows of the classes {_named(found.classes)} are separated{by} (quasi-complete: not all rows are)"
    return (
        f"[SC846] {WHERE}: {who}, so with C=inf coefficients grow without end. Set C (C=1.0 is the default)."
        " separation_.direction holds the separating weights"
    )


def rank_message(rank: ColumnRank, constant: npt.NDArray[np.bool_], names: list[str]) -> str:
    """Return the warning of linearly dependent columns."""
    varying = int((~constant).sum())
    if not len(rank.dependent):
        return (
            f"[SC849] {WHERE}: the columns are linearly dependent (rank {len(rank.kept)} of {varying}): there are not"
            " more rows than columns. Predictions are unaffected; the shortest of all equivalent weights are taken"
        )
    sums = [_sum_text(rank, place, names) for place in range(min(len(rank.dependent), MOST_SUMS))]
    more = f"; and {len(rank.dependent) - MOST_SUMS:,} more" if len(rank.dependent) > MOST_SUMS else ""
    used = np.abs(rank.terms).max(axis=0) > 0
    involved = tuple(names[j] for j in (*rank.dependent, *rank.kept[used]))
    return (
        f"[SC849] {WHERE}: columns {_named(involved)} are linearly dependent (rank {len(rank.kept)} of {varying}):"
        f" {'; '.join(sums)}{more}. Predictions are unaffected; the shortest of all equivalent weights are taken"
    )


def _sum_text(rank: ColumnRank, place: int, names: list[str]) -> str:
    """Return a dependency as an equation, such as ``total = a + b``."""
    text = ""
    parts = [(float(rank.offsets[place]), "")] if rank.offsets[place] else []
    parts += [(float(rank.terms[place, j]), shown(names[rank.kept[j]])) for j in np.flatnonzero(rank.terms[place])]
    for number, name in parts[:MOST_NAMES]:
        size = f"{abs(number):.4g}"
        term = size if not name else name if size == "1" else f"{size} {name}"
        sign = "-" if number < 0 else "+"
        text += f" {sign} {term}" if text else f"-{term}" if number < 0 else term
    tail = " + ..." if len(parts) > MOST_NAMES else ""
    return f"{shown(names[rank.dependent[place]])} = {text or '0'}{tail}"


def convergence_message(optimum: Optimum) -> str:
    """Return the warning of a fit that stopped before its test was met."""
    gap, passes = np.inf, 0
    if optimum.findings is not None:
        gap, passes = optimum.findings.certificate.gap, optimum.findings.passes
    bound = f"at most {gap:.3g} above the minimum" if np.isfinite(gap) else "no bound on its distance from the minimum"
    cure = "Raise `max_iter`" if optimum.reason == "max_iter" else "No step lowers it further; raise `tol`"
    return (
        f"[SC847] {WHERE}: not converged after {optimum.iterations:,} iterations and {passes:,} passes; objective"
        f" {optimum.objective:.8g} nats a row, {bound}, largest derivative {optimum.gradient_norm:.3g}. {cure}"
    )
