"""Prediction sets that hold the true class with a stated probability: split conformal prediction from logits."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from softclass.errors import OptionError, ShapeError
from softclass.functions.softmax import log_softmax, softmax
from softclass.trust.beta import beta_quantile
from softclass.trust.checks import Floats, checked_logits, checked_targets
from softclass.trust.metrics import chunks

METHODS = ("lac", "aps", "raps")
# What is tried for RAPS: what a class beyond the free ones costs, and how many classes are free.
PENALTIES = (0.0, 0.001, 0.01, 0.1, 0.2, 0.5)
FREE_CLASSES = (0, 1, 2, 5)

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PredictionSets:
    r"""Sets of classes with a guaranteed coverage, from the scores of rows that the model was not fitted on.

    The set of a row holds each class whose score is at most the k-th smallest conformal score, with
    :math:`k = \lceil (n + 1) c \rceil` for coverage c. For rows exchangeable with the n conformal rows it contains the
    true class with probability at least c, averaged over draws of those rows; for this one model the true coverage is
    a draw from Beta(k, n + 1 - k), see `coverage_band`.

    Attributes
    ----------
    method : {"lac", "aps", "raps"}
        Which score, see `nonconformity_scores`.
    scores : float64 array of shape (n,)
        Scores of the true classes of the conformal rows, ascending; infinite for classes the model does not know.
    penalty, free_classes : float, int
        Constants of "raps".

    References
    ----------
    .. [1] Sadinle, Lei and Wasserman, "Least ambiguous set-valued classifiers with bounded error levels", JASA 114,
       2019 (LAC).
    .. [2] Romano, Sesia and Candes, "Classification with valid and adaptive coverage", NeurIPS 2020 (APS).
    .. [3] Angelopoulos, Bates, Malik and Jordan, "Uncertainty sets for image classifiers using conformal prediction",
       ICLR 2021 (RAPS).

    Examples
    --------
    >>> logits = np.log([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    >>> fitted = PredictionSets.fit(logits, [0, 0, 1, 0])
    >>> fitted.sets(np.log([[0.5, 0.5], [0.99, 0.01]]), coverage="0.8").tolist()
    [[True, True], [True, False]]
    """

    method: str
    scores: Floats
    penalty: float = 0.0
    free_classes: int = 0

    @classmethod
    def fit(
        cls,
        logits: npt.ArrayLike,
        targets: npt.ArrayLike,
        *,
        method: str = "lac",
        uniforms: npt.ArrayLike | None = None,
        penalty: float = 0.01,
        free_classes: int = 1,
    ) -> PredictionSets:
        """
        Return the sets that these rows promise.

        Parameters
        ----------
        logits : float array of shape (n, n_classes)
            Logits of rows that nothing of the model was fitted on.
        targets : int array of shape (n,)
            Class indices; -1 is a class that the model does not know, whose score is infinite.
        method : {"lac", "aps", "raps"}, default "lac"
            Which score, see `nonconformity_scores`.
        uniforms : float array of shape (n,), optional
            Number in [0, 1] of each row for "aps" and "raps", see `row_uniforms`.
        penalty, free_classes : float, int
            Constants of "raps", chosen on other rows, see `choose_raps`.

        Returns
        -------
        PredictionSets
            With the sorted scores.
        """
        array = checked_logits("PredictionSets.fit", logits)
        checked = checked_targets("PredictionSets.fit", targets, *array.shape)
        found = np.full(checked.size, np.inf)
        for rows in chunks(*array.shape):
            part, wanted = array[rows], checked[rows]
            some = None if uniforms is None else np.asarray(uniforms)[rows]
            known = np.flatnonzero(wanted >= 0)
            scores = nonconformity_scores(
                part, method=method, uniforms=some, penalty=penalty, free_classes=free_classes
            )
            found[rows][known] = scores[known, wanted[known]]
        regularised = method == "raps"
        return cls(method, np.sort(found), penalty if regularised else 0.0, free_classes if regularised else 0)

    @property
    def n(self) -> int:
        """Conformal rows."""
        return int(self.scores.size)

    def quantile(self, coverage: str | float | Fraction) -> float:
        """
        Return the largest score that a class of a set may have.

        Parameters
        ----------
        coverage : str, float or Fraction
            In (0, 1), see `conformal_rank`.

        Returns
        -------
        float
            The k-th smallest conformal score; infinite if k exceeds the number of conformal rows.
        """
        rank = conformal_rank(self.n, coverage)
        return float(self.scores[rank - 1]) if rank <= self.n else math.inf

    def sets(
        self,
        logits: npt.ArrayLike,
        *,
        coverage: str | float | Fraction,
        uniforms: npt.ArrayLike | None = None,
        allow_empty: bool = True,
    ) -> Booleans:
        """
        Return the set of each row.

        Parameters
        ----------
        logits : float array of shape (n, n_classes)
            Logits of new rows.
        coverage : str, float or Fraction
            In (0, 1), see `conformal_rank`.
        uniforms : float array of shape (n,), optional
            As in `fit`: needed if and only if `fit` had them.
        allow_empty : bool, default True
            Whether a set may hold no class. Otherwise empty sets get the class of the largest logit, and the coverage
            can only rise.

        Returns
        -------
        bool array of shape (n, n_classes)
            Whether the class is in the set. All true if too few conformal rows can promise this coverage.
        """
        array = checked_logits("PredictionSets.sets", logits)
        limit = self.quantile(coverage)
        inside = np.empty(array.shape, dtype=np.bool_)
        for rows in chunks(*array.shape):
            some = None if uniforms is None else np.asarray(uniforms)[rows]
            scores = nonconformity_scores(
                array[rows], method=self.method, uniforms=some, penalty=self.penalty, free_classes=self.free_classes
            )
            inside[rows] = scores <= limit
        if not allow_empty:
            empty = np.flatnonzero(~inside.any(axis=1))
            inside[empty, array[empty].argmax(axis=1)] = True
        return inside


def nonconformity_scores(
    logits: npt.ArrayLike,
    *,
    method: str = "lac",
    uniforms: npt.ArrayLike | None = None,
    penalty: float = 0.01,
    free_classes: int = 1,
) -> Floats:
    r"""
    Return how untypical each class is for each row; low is typical.

    - "lac": :math:`\mathrm{lse}(z) - z_y`, the cross-entropy of the row if y were true. It orders classes and rows like
      :math:`1 - p_y` and does not saturate when p rounds to 1.
    - "aps": with classes by falling logit, ties by index, and y at rank r: :math:`p_{(1)} + \dots + p_{(r-1)} +
      u\,p_{(r)}`.
    - "raps": that plus `penalty` times :math:`\max(0, r - k)` with k = `free_classes`.

    Parameters
    ----------
    logits : float array of shape (n, n_classes)
        Logits; -inf stands for probability 0.
    method : {"lac", "aps", "raps"}, default "lac"
        Which score.
    uniforms : float array of shape (n,), optional
        One number u in [0, 1] a row, for "aps" and "raps"; without them u = 1, which promises as much and gives larger
        sets. "lac" takes none.
    penalty : float, default 0.01
        For "raps": at least 0.
    free_classes : int, default 1
        For "raps": at least 0.

    Returns
    -------
    float64 array of shape (n, n_classes)
        Of "aps" and "raps" the scores never fall along the ranking, so their sets are its first classes.

    Examples
    --------
    >>> nonconformity_scores(np.log([[0.7, 0.2, 0.1]]), method="aps", uniforms=[0.5]).round(3).tolist()
    [[0.35, 0.8, 0.95]]
    """
    where = "nonconformity_scores"
    array = checked_logits(where, logits)
    if method not in METHODS:
        raise OptionError("SC141", f'`method` must be "lac", "aps" or "raps"; got {method!r}', where=where)
    if method == "lac":
        if uniforms is not None:
            raise OptionError("SC141", '`uniforms` must be None for "lac", which is not randomised', where=where)
        return np.abs(np.asarray(log_softmax(array), dtype=np.float64))
    if not (math.isfinite(penalty) and penalty >= 0 and free_classes >= 0):
        raise OptionError(
            "SC141",
            f"`penalty` and `free_classes` must be finite and at least 0; got {penalty} and {free_classes}",
            where=where,
        )
    share = _checked_uniforms(where, uniforms, array.shape[0])
    probabilities = np.asarray(softmax(array), dtype=np.float64)
    order = np.argsort(-array, axis=1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, axis=1)
    before = np.zeros_like(ordered)
    np.cumsum(ordered[:, :-1], axis=1, out=before[:, 1:])
    ordered = before + share[:, None] * ordered
    if method == "raps":
        ordered += penalty * np.maximum(0, np.arange(1, array.shape[1] + 1) - free_classes)
    scores = np.empty_like(ordered)
    np.put_along_axis(scores, order, ordered, axis=1)
    return scores


def conformal_rank(n: int, coverage: str | float | Fraction) -> int:
    r"""
    Return which of the sorted conformal scores is the limit: :math:`\lceil (n + 1) c \rceil`, exactly.

    Parameters
    ----------
    n : int
        Conformal rows.
    coverage : str, float or Fraction
        In (0, 1). A float means the decimal number that it is printed as, so 0.7 is 7/10 and no binary neighbour.

    Returns
    -------
    int
        From 1 to n + 1; n + 1 means that n rows cannot promise this coverage, and each set is full.

    Examples
    --------
    >>> conformal_rank(9, 0.3), conformal_rank(539, "0.9"), conformal_rank(9, 0.95)
    (3, 486, 10)
    """
    if n < 0:
        raise OptionError("SC141", f"`n` must be at least 0; got {n}", where="conformal_rank")
    return math.ceil((n + 1) * _as_fraction(coverage))


def coverage_band(
    n: int, coverage: str | float | Fraction, *, shares: tuple[float, float] = (0.05, 0.95)
) -> tuple[float, float]:
    """
    Return the range of the true coverage over draws of the conformal rows.

    With continuous scores and rank k the true coverage of one model is a draw from Beta(k, n + 1 - k).

    Parameters
    ----------
    n : int
        Conformal rows.
    coverage : str, float or Fraction
        In (0, 1), see `conformal_rank`.
    shares : tuple of float, default (0.05, 0.95)
        Which quantiles.

    Returns
    -------
    tuple of float
        Both ends; 1 and 1 if each set is full.

    Examples
    --------
    >>> [round(end, 3) for end in coverage_band(100, 0.9)]
    [0.848, 0.945]
    """
    rank = conformal_rank(n, coverage)
    if rank > n:
        return 1.0, 1.0
    low, high = (beta_quantile(share, rank, n + 1 - rank) for share in shares)
    return low, high


@dataclass(frozen=True)
class SetCounts:
    """What prediction sets did on rows whose class is known.

    Attributes
    ----------
    n : int
        Rows.
    covered : int
        Rows whose class is in their set.
    empty : int
        Rows whose set holds no class.
    mean_size : float
        Classes a set.
    sizes : tuple of int
        Rows with sets of 0, 1, ... n_classes classes.
    class_rows, class_covered : tuple of int
        Rows and covered rows of each class.
    class_mean_sizes : tuple of float or None
        Mean size of the sets of the rows of each class; None without rows.
    """

    n: int
    covered: int
    empty: int
    mean_size: float
    sizes: tuple[int, ...]
    class_rows: tuple[int, ...]
    class_covered: tuple[int, ...]
    class_mean_sizes: tuple[float | None, ...]


def count_sets(sets: npt.ArrayLike, targets: npt.ArrayLike) -> SetCounts:
    """
    Return what the sets did on rows whose class is known.

    Parameters
    ----------
    sets : bool array of shape (n, n_classes)
        From `PredictionSets.sets`.
    targets : int array of shape (n,)
        Class indices; -1 is a class that the model does not know, which no set covers.

    Returns
    -------
    SetCounts
        Over all rows and a class.

    Examples
    --------
    >>> count_sets([[True, False], [True, True], [False, False]], [0, 1, 1]).sizes
    (1, 1, 1)
    """
    inside = np.asarray(sets)
    if inside.ndim != 2 or inside.dtype != np.bool_:
        raise ShapeError(
            "SC102", f"`sets` must be bool with 2 axes; got {inside.dtype} of shape {inside.shape}", where="count_sets"
        )
    n, n_classes = inside.shape
    checked = checked_targets("count_sets", targets, n, n_classes)
    known = np.flatnonzero(checked >= 0)
    covered = np.zeros(n, dtype=np.bool_)
    covered[known] = inside[known, checked[known]]
    sizes = inside.sum(axis=1)

    def by_class(weights: npt.NDArray[np.generic]) -> list[float]:
        return np.bincount(checked[known], weights=weights[known], minlength=n_classes).tolist()  # type: ignore[no-any-return]

    rows, added = by_class(np.ones(n)), by_class(sizes)
    return SetCounts(
        n=n,
        covered=int(covered.sum()),
        empty=int(np.count_nonzero(sizes == 0)),
        mean_size=float(sizes.mean()) if n else math.nan,
        sizes=tuple(np.bincount(sizes, minlength=n_classes + 1).tolist()),
        class_rows=tuple(int(count) for count in rows),
        class_covered=tuple(int(count) for count in by_class(covered)),
        class_mean_sizes=tuple(size / count if count else None for size, count in zip(added, rows, strict=True)),
    )


def choose_raps(
    logits: npt.ArrayLike, targets: npt.ArrayLike, uniforms: npt.ArrayLike, *, coverage: str | float | Fraction
) -> tuple[float, int]:
    """
    Return the penalty and the number of free classes of "raps" that give the smallest sets.

    Each pair of `PENALTIES` and `FREE_CLASSES` is fitted on one half of the rows and measured on the other, both ways.

    Parameters
    ----------
    logits : float array of shape (n, n_classes)
        Logits of rows that are neither fitted on nor conformal: with conformal rows nothing would be promised.
    targets : int array of shape (n,)
        Class indices; -1 is a class that the model does not know.
    uniforms : float array of shape (n,)
        One number in [0, 1] a row.
    coverage : str, float or Fraction
        In (0, 1).

    Returns
    -------
    tuple of float and int
        Penalty and free classes of the least mean size; the first in the order of the lists if several are equal.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(400, 20))
    >>> targets = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    >>> choose_raps(logits, targets, rng.random(400), coverage=0.9)
    (0.1, 0)
    """
    array = checked_logits("choose_raps", logits)
    checked = checked_targets("choose_raps", targets, *array.shape)
    share = _checked_uniforms("choose_raps", uniforms, checked.size)
    if checked.size < 2:
        raise ShapeError("SC103", f"at least two rows are needed; got {checked.size}", where="choose_raps")
    halves = (np.arange(checked.size) % 2 == 0, np.arange(checked.size) % 2 == 1)

    def added_size(penalty: float, free: int) -> int:
        added = 0
        for fitted, measured in (halves, halves[::-1]):
            sets = PredictionSets.fit(
                array[fitted],
                checked[fitted],
                method="raps",
                uniforms=share[fitted],
                penalty=penalty,
                free_classes=free,
            )
            added += int(sets.sets(array[measured], coverage=coverage, uniforms=share[measured]).sum())
        return added

    pairs = [(penalty, free) for penalty in PENALTIES for free in FREE_CLASSES]
    return min(pairs, key=lambda pair: added_size(*pair))


def row_uniforms(rows: Iterable[bytes], *, seed: int = 0) -> Floats:
    """
    Return one number in [0, 1) a row that depends on nothing but the row and the seed.

    Sets are then equal for any order, batch, process and machine, and equal rows get equal sets.

    Parameters
    ----------
    rows : iterable of bytes
        What stands in each row, in a form that is the same wherever the row is read.
    seed : int, default 0
        Taken modulo 2**64.

    Returns
    -------
    float64 array of shape (n,)
        The top 53 bits of BLAKE2b with 8 bytes, its key the seed as 8 little-endian bytes, times 2**-53.

    Examples
    --------
    >>> row_uniforms([b"one", b"two", b"one"]).round(4).tolist()
    [0.9529, 0.5882, 0.9529]
    """
    key = (seed % 2**64).to_bytes(8, "little")
    digests = b"".join(hashlib.blake2b(row, digest_size=8, key=key).digest() for row in rows)
    return np.asarray((np.frombuffer(digests, dtype="<u8") >> np.uint64(11)) * 2.0**-53)


def _as_fraction(coverage: str | float | Fraction) -> Fraction:
    """Return the coverage that was written, exactly."""
    try:
        exact = Fraction(coverage if isinstance(coverage, (str, Fraction)) else repr(float(coverage)))
    except (ValueError, TypeError, ZeroDivisionError):
        exact = Fraction(0)
    if not 0 < exact < 1:
        raise OptionError("SC141", f"`coverage` must lie in (0, 1); got {coverage!r}", where="conformal_rank")
    return exact


def _checked_uniforms(where: str, uniforms: npt.ArrayLike | None, n_rows: int) -> Floats:
    """Return one number in [0, 1] a row; ones when there are none."""
    if uniforms is None:
        return np.ones(n_rows)
    array = np.asarray(uniforms, dtype=np.float64)
    if array.shape != (n_rows,):
        raise ShapeError("SC101", f"`uniforms` must have shape ({n_rows},); got {array.shape}", where=where)
    if not np.all((array >= 0) & (array <= 1)):
        raise OptionError("SC141", "`uniforms` must lie in [0, 1]", where=where)
    return array
