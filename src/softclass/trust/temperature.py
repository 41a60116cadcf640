"""One temperature for all logits, fitted on rows that the model has not seen; doing nothing is a candidate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.errors import NotFiniteError, OptionError
from softclass.functions.softmax import softmax
from softclass.trust.checks import Floats, Integers, checked_logits, checked_targets, checked_weight
from softclass.trust.metrics import row_log_losses

LOWEST_BETA, HIGHEST_BETA = 0.01, 100.0
MAX_EVALUATIONS = 60
FOLDS = 5
# Below this a fold would hold a single row and the comparison says nothing.
FEWEST_ROWS = 10


@dataclass(frozen=True)
class Temperature:
    """What was done to the logits after fitting.

    Attributes
    ----------
    temperature : float
        Logits are divided by it; 1 when nothing is done.
    method : {"none", "temperature"}
        What was chosen.
    n : int
        Rows that it was fitted on.
    candidates : dict of str to float
        Log loss of each candidate in 5-fold cross-validation; empty with fewer than 10 rows.
    reason : str
        Why, in a sentence for people.
    """

    temperature: float
    method: str
    n: int
    candidates: dict[str, float] = field(default_factory=dict)
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the ``calibration`` object of ``metrics.json``."""
        return {
            "method": self.method,
            "temperature": self.temperature,
            "n": self.n,
            "candidates": dict(self.candidates),
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> Temperature:
        """Return the temperature that `to_dict` described."""
        return cls(
            temperature=float(facts["temperature"]),
            method=str(facts["method"]),
            n=int(facts["n"]),
            candidates=dict(facts.get("candidates", {})),
            reason=str(facts.get("reason", "")),
        )


def fit_temperature(
    logits: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    method: str = "auto",
    seed: int = 0,
) -> Temperature:
    r"""Return the temperature that makes the probabilities of these rows true.

    With :math:`\beta = 1/T` and targets smoothed by :math:`\varepsilon = 1/(2(n+1))`, half a row spread over the
    classes, the mean of :math:`\mathrm{lse}(\beta z_i) - \beta\, t_i \cdot z_i` is convex in :math:`\beta`; its
    minimum in [0.01, 100] is found by Newton's method inside a shrinking bracket.

    Parameters
    ----------
    logits : float array of shape (n, n_classes)
        Finite logits of rows that the model was not fitted on.
    targets : int array of shape (n,)
        Class indices in ``[0, n_classes)``.
    sample_weight : float array of shape (n,), optional
        Weights of the rows.
    method : {"auto", "none", "temperature"}, default "auto"
        "auto" keeps the temperature only if it lowers the log loss of 5-fold cross-validation by more than one
        standard error of the difference.
    seed : int, default 0
        Seed of the folds.

    Returns
    -------
    Temperature
        The choice, its value and the log losses behind it.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(2000, 3))
    >>> targets = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    >>> fitted = fit_temperature(5 * logits, targets)
    >>> fitted.method, round(fitted.temperature, 1)
    ('temperature', 4.8)
    """
    if method not in ("auto", "none", "temperature"):
        raise OptionError(
            "SC141", f'`method` must be "auto", "none" or "temperature"; got {method!r}', where="fit_temperature"
        )
    logits = checked_logits("fit_temperature", logits)
    targets = checked_targets("fit_temperature", targets, *logits.shape, lowest=0)
    weight = checked_weight("fit_temperature", sample_weight, targets.size)
    if not np.all(np.isfinite(logits)):
        raise NotFiniteError("SC131", "`logits` must be finite to fit a temperature", where="fit_temperature")
    n = int(targets.size)
    if method == "none":
        return Temperature(1.0, "none", n, reason="no calibration was asked for")
    if method == "auto" and n < FEWEST_ROWS:
        rows = "1 row" if n == 1 else f"{n} rows"
        return Temperature(1.0, "none", n, reason=f"{rows} held out for calibration are too few to fit a temperature")
    candidates, gain, error = _compare(logits, targets, weight, seed) if n >= FEWEST_ROWS else ({}, 0.0, 0.0)
    if method == "auto" and not gain > error:
        better = "does not lower" if gain <= 0 else "lowers"
        reason = (
            f"a temperature {better} the cross-validated log loss of {n} rows"
            + (f" by only {gain:.2g}, less than one standard error ({error:.2g})" if gain > 0 else "")
            + "; the logits stay as they are"
        )
        return Temperature(1.0, "none", n, candidates, reason)
    beta = _best_beta(logits, targets, weight)
    reason = (
        f"it lowers the cross-validated log loss of {n} rows by {gain:.2g}, more than one standard error ({error:.2g})"
        if method == "auto"
        else "a temperature was asked for"
    )
    if beta in (LOWEST_BETA, HIGHEST_BETA):
        reason += "; it stands at the limit of its range, so more calibration rows are needed"
    return Temperature(1.0 / beta, "temperature", n, candidates, reason)


def best_temperature(logits: Floats, targets: Integers, weight: Floats) -> float:
    """
    Return the temperature of least smoothed log loss, without asking whether it is worth while.

    Parameters
    ----------
    logits : float array of shape (n, n_classes)
        Finite.
    targets : int array of shape (n,)
        Class indices in ``[0, n_classes)``.
    weight : float64 array of shape (n,)
        Weights of the rows.

    Returns
    -------
    float
        In [0.01, 100]; that of `fit_temperature`.

    Examples
    --------
    >>> logits = np.log([[0.9, 0.1]] * 4)
    >>> round(best_temperature(logits, np.array([0, 0, 0, 1]), np.ones(4)), 3)
    2.267
    """
    return 1.0 / _best_beta(logits, targets, weight)


def _compare(logits: Floats, targets: Integers, weight: Floats, seed: int) -> tuple[dict[str, float], float, float]:
    """Out-of-fold log loss of both candidates, what the temperature gains, and the standard error of that."""
    fold = _folds(targets, seed)
    plain, cooled = row_log_losses(logits, targets), np.empty(targets.size)
    for number in range(FOLDS):
        held = fold == number
        if weight[~held].any():
            beta = _best_beta(logits[~held], targets[~held], weight[~held])
            cooled[held] = row_log_losses(beta * logits[held], targets[held])
        else:
            cooled[held] = plain[held]
    gains, total = plain - cooled, float(weight.sum())
    gain = float(np.sum(weight * gains) / total)
    error = float(np.sqrt(np.sum(weight**2 * (gains - gain) ** 2)) / total)
    losses = {"none": float(weight @ plain / total), "temperature": float(weight @ cooled / total)}
    return losses, gain, error


def _folds(targets: Integers, seed: int) -> Integers:
    """Fold of each row: rows are shuffled, sorted by class and dealt out like cards."""
    shuffled = np.random.default_rng(seed).permutation(targets.size)
    dealt = shuffled[np.argsort(targets[shuffled], kind="stable")]
    fold = np.empty(targets.size, dtype=np.int64)
    fold[dealt] = np.arange(targets.size) % FOLDS
    return fold


def _best_beta(logits: Floats, targets: Integers, weight: Floats) -> float:
    """Minimise the smoothed log loss over the inverse temperature."""
    n = logits.shape[0]
    centred = logits - logits.mean(axis=1, keepdims=True)
    weight = weight / weight.sum()
    smoothing = 1.0 / (2.0 * (n + 1))
    # t . z for the smoothed target; the centred logits sum to 0, so the even share adds nothing.
    aimed = (1.0 - smoothing) * float(weight @ centred[np.arange(n), targets])
    size = float(np.abs(centred).max())

    def derivatives(beta: float) -> tuple[float, float]:
        probabilities = np.asarray(softmax(beta * centred))
        mean = np.einsum("nk,nk->n", probabilities, centred)
        spread = np.einsum("nk,nk->n", probabilities, (centred - mean[:, None]) ** 2)
        return float(weight @ mean) - aimed, float(weight @ spread)

    low, high, beta = LOWEST_BETA, HIGHEST_BETA, 1.0
    for _ in range(MAX_EVALUATIONS):
        slope, curvature = derivatives(beta)
        if abs(slope) <= 1e-10 * size:
            break
        low, high = (beta, high) if slope < 0 else (low, beta)
        step = beta - slope / curvature if curvature > 0 else high
        if not low < step < high:
            step = float(np.sqrt(low * high))
            if step in (low, high):
                break
            # A bracket that never moved off a bound: is the minimum there?
            if low == LOWEST_BETA or high == HIGHEST_BETA:
                bound = low if low == LOWEST_BETA else high
                at_bound = derivatives(bound)[0]
                if (bound == LOWEST_BETA and at_bound >= 0) or (bound == HIGHEST_BETA and at_bound <= 0):
                    return bound
        beta = step
    return beta
