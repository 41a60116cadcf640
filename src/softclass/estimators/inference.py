"""Standard errors, tests and odds ratios of an unpenalised fit, from its information matrix.

With :math:`I = \\sum_i a_i (\\mathrm{diag}\\,p_i - p_i p_i^T) \\otimes x_i x_i^T`, weights counted as frequencies, the
covariance of the coefficients is :math:`V = I^+`; robust, :math:`I^+ (\\sum_g u_g u_g^T) I^+` with
:math:`u_g` the sum of :math:`a_i (p_i - e_{y_i}) \\otimes x_i` over a row or a cluster. All is computed in the solver's
columns, which are centred and scaled, and mapped to the caller's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse, special, stats

from softclass.errors import InputError, OptionError, shown
from softclass.estimators.findings import Findings, Information, regular_part
from softclass.estimators.information import FittedRows, information_of
from softclass.estimators.scaling import BLOCK_BYTES, Array
from softclass.estimators.summary_table import Coefficient, ColumnTest, Summary

PENALISED = "standard errors need C=inf: a penalty biases the coefficients"
INFINITE = "infinite: the classes are separated"
SEPARATED = "no finite optimum: the classes are separated completely"
DEPENDENT = "not estimable: the column is linearly dependent on others"
CONSTANT = "not estimable: the column is constant"
WEIGHTLESS = "the class has no weight"
INTERCEPT = "(intercept)"
NULL = 1e-9  # eigenvalues of the information, of the largest, that count as zero where classes are separated
OUTSIDE = 1e-6  # share of a contrast in the null space from which it is not finite
SAME_FIT = 1e-6  # relative difference of log-likelihoods: the rows are those of the fit


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a fit keeps for `summary`: sums over the rows, never rows.

    Attributes
    ----------
    known : bool array of shape (K,)
        Classes that have weight.
    class_weights : float64 array of shape (K,)
        Sum of the weights of each class.
    log_likelihood : float
        Sum over the rows, weighted.
    findings : Findings
        Rank, separation, information.
    intercept : bool
        Whether there is one.
    penalised : bool
        Whether C is finite.
    """

    known: npt.NDArray[np.bool_]
    class_weights: Array
    log_likelihood: float
    findings: Findings | None
    intercept: bool
    penalised: bool

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return float(self.class_weights.sum())

    @property
    def null_log_likelihood(self) -> float:
        """Log-likelihood of the best constant answer."""
        weights = self.class_weights[self.known]
        if not self.intercept:
            return -self.total * float(np.log(len(weights)))
        return float(np.sum(weights * np.log(weights / self.total)))


@dataclass(frozen=True, eq=False)
class Coding:
    """Which contrasts of the classes are shown: `matrix` (contrasts, rows of the parameters), the class of each."""

    matrix: Array
    shown: npt.NDArray[np.int64]


def reference_place(reference: Any, labels: list[Any], covariance: str, coverage: float) -> int | None:
    """Return the index of the reference class, None for "symmetric"."""
    where = "SoftmaxRegression.summary"
    if covariance not in ("fisher", "robust"):
        raise OptionError("SC141", f'`covariance` must be "fisher" or "robust"; got {covariance!r}', where=where)
    if not 0.0 < coverage < 1.0:
        raise OptionError("SC141", f"`coverage` must lie between 0 and 1; got {coverage:g}", where=where)
    if reference is None:
        return 0
    if reference in labels:
        return labels.index(reference)
    if reference == "symmetric":
        return None
    text = f'`reference` must be a class or "symmetric"; got "{shown(reference)}"'
    raise OptionError("SC141", text, where=where)


def coding_of(known: npt.NDArray[np.bool_], reference: int | None) -> Coding:
    """Return contrasts with a reference class, or with None coefficients that sum to zero over the classes."""
    classes = np.flatnonzero(known)
    k = len(classes)
    if reference is None:
        matrix, shown = np.eye(k) - 1.0 / k, classes
    else:
        place = int(np.searchsorted(classes, reference))
        matrix = np.delete(np.eye(k), place, axis=0)
        matrix[:, place] = -1.0
        shown = np.delete(classes, place)
    if k == 2:  # one row w stands for (-w/2, w/2)
        matrix = (matrix @ np.array([[-0.5], [0.5]])).reshape(-1, 1)
    return Coding(matrix, shown)


def summarise(
    evidence: Evidence,
    *,
    weight: Array,
    bias: Array,
    labels: list[str],
    names: list[str],
    reference: int | None,
    covariance: str,
    coverage: float,
    rows: FittedRows | None,
    converged: bool,
) -> Summary:
    """Return the table of an estimator; `weight` and `bias` have one row a class."""
    coding = coding_of(evidence.known, reference)
    symmetric = np.eye(len(labels))
    if reference is None:
        contrast = symmetric[coding.shown] - evidence.known / evidence.known.sum()
    else:
        contrast = symmetric[coding.shown] - symmetric[reference]
    finite_bias = np.where(evidence.known, bias, 0.0)
    estimates = contrast @ np.column_stack([weight, finite_bias])  # (contrasts, D + 1)
    if not evidence.intercept:
        estimates = estimates[:, :-1]
    blanks = _blanks(evidence, coding, estimates.shape)
    errors: Array | None = None
    joint: Array | None = None
    if not evidence.penalised:
        if rows is not None:
            _check_same(evidence, rows, weight, bias)
        evidence = _with_information(evidence, rows, weight, finite_bias)
        joint = _covariance(evidence, coding, covariance, rows, weight, bias)
        if joint is not None:
            errors = np.sqrt(np.maximum(np.einsum("kjkj->kj", joint), 0.0))
            blanks = _infinite(evidence, coding, blanks)
            estimates = _with_infinities(evidence, contrast, estimates, blanks)
    columns = [*names, INTERCEPT] if evidence.intercept else names
    table = tuple(
        _coefficient(labels[k], columns[j], float(estimates[row, j]), None if errors is None else float(errors[row, j]),
                     blanks[row][j], coverage)
        for row, k in enumerate(coding.shown)
        for j in range(len(columns))
    )  # fmt: skip
    weightless = tuple(
        _coefficient(labels[k], column, None, None, WEIGHTLESS, coverage)
        for k in np.flatnonzero(~evidence.known)
        for column in columns
    )
    tests = () if joint is None else _column_tests(columns, estimates, joint, blanks, reference is None)
    return _whole(evidence, table + weightless, tests, labels, reference, covariance, coverage, converged, rows)


def _blanks(evidence: Evidence, coding: Coding, shape: tuple[int, ...]) -> list[list[str]]:
    """Return why a coefficient has no standard error, or empty text."""
    blanks = [[""] * shape[1] for _ in range(shape[0])]
    findings = evidence.findings
    if evidence.penalised:
        return [[PENALISED] * shape[1] for _ in range(shape[0])]
    if findings is None:
        return blanks
    if findings.direction is not None and findings.direction.kind == "complete":
        return [[SEPARATED] * shape[1] for _ in range(shape[0])]
    for j, reason in _inestimable(evidence).items():
        for row in blanks:
            row[j] = reason
    return blanks


def _inestimable(evidence: Evidence) -> dict[int, str]:
    """Return the columns whose coefficients the data do not determine; the intercept counts as the last column."""
    findings = evidence.findings
    assert findings is not None  # noqa: S101 - asked for without penalty only
    found = {int(j): CONSTANT for j in np.flatnonzero(findings.constant)} if evidence.intercept else {}
    rank = findings.rank
    if rank is None or not len(rank.dependent):
        return found
    used = np.flatnonzero(np.abs(rank.mixing).max(axis=0) > 0)
    found |= {int(j): DEPENDENT for j in (*rank.dependent, *rank.kept[used])}
    if evidence.intercept and rank.offsets.any():
        found[rank.n_columns] = DEPENDENT
    return found


def _map(information: Information, n_columns: int) -> Array:
    """Return the matrix from coordinates of a row of parameters to the caller's columns, the intercept last."""
    c = len(information.kept) + information.intercept
    matrix = np.zeros((n_columns + information.intercept, c))
    matrix[information.kept, np.arange(len(information.kept))] = 1.0 / information.scale
    if information.intercept:
        matrix[-1, :-1] = -information.mean / information.scale
        matrix[-1, -1] = 1.0
    return matrix


def _with_information(evidence: Evidence, rows: FittedRows | None, weight: Array, bias: Array) -> Evidence:
    """Return the evidence with the information that a large fit does not keep."""
    findings = evidence.findings
    if findings is None or findings.information is not None:
        return evidence
    if findings.direction is not None and findings.direction.kind == "complete":
        return evidence
    found = information_of(rows, findings, evidence.known, weight, bias, intercept=evidence.intercept)
    return replace(evidence, findings=replace(findings, information=found))


def _covariance(
    evidence: Evidence, coding: Coding, covariance: str, rows: FittedRows | None, weight: Array, bias: Array
) -> Array | None:
    """Return the covariance of the contrasts, of shape (contrasts, columns, contrasts, columns)."""
    findings = evidence.findings
    if findings is None or (findings.direction is not None and findings.direction.kind == "complete"):
        return None
    information = findings.information
    assert information is not None  # noqa: S101 - asked for before
    if findings.direction is None:
        inverse = linalg.inv(information.matrix, check_finite=False)
        inverse = 0.5 * (inverse + inverse.T)
    else:
        inverse, _ = regular_part(information.matrix, NULL)
    inverse /= evidence.total
    if covariance == "robust":
        if rows is None:
            raise InputError(
                "SC144",
                'covariance="robust" needs the rows of the fit, which the estimator does not keep',
                where="SoftmaxRegression.summary",
                hint='Pass them: summary(X, y, covariance="robust")',
            )
        inverse = inverse @ _meat(evidence, information, rows, weight, bias) @ inverse
    k, c = coding.matrix.shape[1], len(information.kept) + information.intercept
    to_columns = _map(information, len(findings.constant))
    blocks = np.einsum("ak,kilj,bl->aibj", coding.matrix, inverse.reshape(k, c, k, c), coding.matrix, optimize=True)
    return np.asarray(np.einsum("pi,aibj,qj->apbq", to_columns, blocks, to_columns, optimize=True))


def _infinite(evidence: Evidence, coding: Coding, blanks: list[list[str]]) -> list[list[str]]:
    """Mark the contrasts that separation makes infinite: those outside the span of the information."""
    findings = evidence.findings
    if findings is None or findings.direction is None or findings.information is None:
        return blanks
    information = findings.information
    _, null = regular_part(information.matrix, NULL)
    k = coding.matrix.shape[1]
    to_columns = _map(information, len(findings.constant))
    directions = null.reshape(k, to_columns.shape[1], -1)
    outside = np.einsum("ak,pi,kim->apm", coding.matrix, to_columns, directions, optimize=True)
    size = np.sqrt((coding.matrix**2).sum(axis=1))[:, None] * np.sqrt((to_columns**2).sum(axis=1))
    share = np.sqrt((outside**2).sum(axis=2)) / np.where(size > 0, size, 1.0)
    return [
        [reason or (INFINITE if share[row, j] > OUTSIDE else "") for j, reason in enumerate(reasons)]
        for row, reasons in enumerate(blanks)
    ]


def _with_infinities(evidence: Evidence, contrast: Array, estimates: Array, blanks: list[list[str]]) -> Array:
    """Return the estimates with the limits of those that grow without end."""
    findings = evidence.findings
    if findings is None or findings.separating is None:
        return estimates
    weight, bias = findings.separating
    if len(weight) == 1:
        weight, bias = np.concatenate([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    whole = np.zeros((len(evidence.known), weight.shape[1] + 1))
    whole[evidence.known] = np.column_stack([weight, bias])
    slopes = (contrast @ whole)[:, : estimates.shape[1]]
    infinite = np.array([[reason == INFINITE for reason in row] for row in blanks])
    steep = np.abs(slopes) > 1e-7 * np.abs(whole).max(axis=0)[: estimates.shape[1]]
    return np.where(infinite & steep, np.copysign(np.inf, slopes), estimates)


def blocks_of(rows: FittedRows, weight: Array, bias: Array) -> Iterator[tuple[slice, Array, Array]]:
    """Yield the rows of blocks, their features in float64, and their logits."""
    n, d = rows.features.shape
    size = max(16, BLOCK_BYTES // (8 * d + 24 * len(weight)))
    for first in range(0, n, size):
        block = rows.features[first : first + size]
        block = block.toarray() if sparse.issparse(block) else block
        dense = np.asarray(block, dtype=np.float64)
        yield slice(first, first + len(dense)), dense, dense @ weight.T + bias


def _check_same(evidence: Evidence, rows: FittedRows, weight: Array, bias: Array) -> None:
    """Refuse rows that are not those of the fit."""
    found = 0.0
    for span, _, logits in blocks_of(rows, weight, bias):
        used = rows.weights[span] > 0
        right = logits[np.arange(len(logits)), rows.targets[span]]
        losses = special.logsumexp(logits, axis=1) - right
        found -= float(rows.weights[span][used] @ losses[used])
    if not abs(found - evidence.log_likelihood) <= SAME_FIT * abs(evidence.log_likelihood) + 1e-9:
        raise InputError(
            "SC144",
            "the rows must be those of the fit; their log-likelihood is "
            f"{found:.8g}, that of the fit {evidence.log_likelihood:.8g}",
            where="SoftmaxRegression.summary",
        )


def _meat(evidence: Evidence, information: Information, rows: FittedRows, weight: Array, bias: Array) -> Array:
    """Return the sum of the outer products of the scores, summed within clusters first."""
    n_known = int(evidence.known.sum())
    k, c = (1 if n_known == 2 else n_known), len(information.kept) + information.intercept
    order = None
    clusters = rows.clusters
    if clusters is not None:
        order = np.argsort(clusters, kind="stable")
        rows = FittedRows(rows.features[order], rows.targets[order], rows.weights[order], clusters[order])
    place = np.cumsum(evidence.known) - 1
    meat, rest, last = np.zeros((k * c, k * c)), np.zeros(k * c), None
    for span, features, logits in blocks_of(rows, weight, bias):
        probabilities = np.asarray(special.softmax(logits, axis=1))[:, evidence.known]
        used = rows.weights[span] > 0
        residual = probabilities
        residual[np.flatnonzero(used), place[rows.targets[span][used]]] -= 1.0
        residual = (residual[:, 1:] if k == 1 else residual) * rows.weights[span, None]
        scaled = (features[:, information.kept] - information.mean) / information.scale
        if not information.intercept:
            scaled = features[:, information.kept] / information.scale
        else:
            scaled = np.column_stack([scaled, np.ones(len(scaled))])
        scores = (residual[:, :, None] * scaled[:, None, :]).reshape(len(scaled), -1)
        if rows.clusters is None:
            meat += scores.T @ scores
            continue
        numbers = rows.clusters[span]
        starts = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]])
        sums = np.add.reduceat(scores, starts, axis=0)
        if last is not None and last == numbers[0]:  # a cluster that began in the block before
            sums[0] += rest
        elif last is not None:
            meat += np.outer(rest, rest)
        meat += sums[:-1].T @ sums[:-1]
        rest, last = sums[-1], numbers[-1]
    if rows.clusters is not None:
        meat += np.outer(rest, rest)
        n_clusters = len(np.unique(rows.clusters))
        meat *= n_clusters / max(n_clusters - 1, 1)
    return meat


def _coefficient(
    label: str, column: str, estimate: float | None, error: float | None, reason: str, coverage: float
) -> Coefficient:
    if estimate is None:
        return Coefficient(label, column, None, None, None, None, None, None, None, reason)
    if reason or error is None:
        return Coefficient(label, column, estimate, None, None, None, None, None, None, reason)
    z = estimate / error if error > 0 else float(np.copysign(np.inf, estimate))
    log_p = float(np.log(2.0) + special.log_ndtr(-abs(z)))
    reach = float(special.ndtri(0.5 + 0.5 * coverage)) * error
    return Coefficient(
        label, column, estimate, error, z, float(np.exp(log_p)), log_p, estimate - reach, estimate + reach, ""
    )


def _column_tests(
    columns: list[str], estimates: Array, joint: Array, blanks: list[list[str]], symmetric: bool
) -> tuple[ColumnTest, ...]:
    """Return a Wald test for each column that all its contrasts are zero."""
    tests = []
    rows = len(estimates) - symmetric  # coefficients that sum to zero: the last one says nothing new
    for j, column in enumerate(columns):
        reasons = [blanks[row][j] for row in range(len(estimates)) if blanks[row][j]]
        if reasons:
            tests.append(ColumnTest(column, None, rows, None, None, reasons[0]))
            continue
        vector, matrix = estimates[:rows, j], joint[:rows, j, :rows, j]
        statistic = float(vector @ np.linalg.solve(matrix, vector))
        log_p = float(stats.chi2.logsf(statistic, rows))
        tests.append(ColumnTest(column, statistic, rows, float(np.exp(log_p)), log_p, ""))
    return tuple(tests)


def _whole(
    evidence: Evidence,
    table: tuple[Coefficient, ...],
    tests: tuple[ColumnTest, ...],
    labels: list[str],
    reference: int | None,
    covariance: str,
    coverage: float,
    converged: bool,
    rows: FittedRows | None,
) -> Summary:
    notes = [PENALISED] if evidence.penalised else []
    notes += sorted({one.reason for one in table if one.reason and one.reason != PENALISED})
    if not converged and not evidence.penalised:
        notes.append("the fit did not converge: the numbers are those of where it stopped")
    named = None if reference is None else labels[reference]
    n_clusters = None if rows is None or rows.clusters is None else len(np.unique(rows.clusters))
    if evidence.penalised or evidence.findings is None:
        return Summary(table, tests, named, covariance, coverage, tuple(notes), evidence.total)
    rank = evidence.findings.rank
    n_columns = int((~evidence.findings.constant).sum()) if rank is None else len(rank.kept)
    n_contrasts = int(evidence.known.sum()) - 1
    likelihood, null = evidence.log_likelihood, evidence.null_log_likelihood
    n_free = n_contrasts * (n_columns + evidence.intercept)
    ratio = max(2.0 * (likelihood - null), 0.0)
    log_p = float(stats.chi2.logsf(ratio, n_contrasts * n_columns)) if n_columns else 0.0
    return Summary(
        table,
        tests,
        named,
        covariance,
        coverage,
        tuple(notes),
        evidence.total,
        log_likelihood=likelihood,
        null_log_likelihood=null,
        mcfadden_r2=1.0 - likelihood / null if null else None,
        aic=2.0 * n_free - 2.0 * likelihood,
        bic=float(n_free * np.log(evidence.total) - 2.0 * likelihood),
        rank=n_columns,
        n_parameters=n_free,
        likelihood_ratio=ratio,
        likelihood_ratio_log_p=log_p,
        n_clusters=n_clusters,
    )
