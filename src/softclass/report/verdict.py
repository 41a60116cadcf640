"""The one plain sentence on whether the probabilities can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

from softclass.trust.evaluation import Evaluation

FEW_ROWS = 100
# Calibration errors below this, once luck is taken out, matter to few decisions.
SMALL_ERROR = 0.02
LUCK = 0.05


@dataclass(frozen=True)
class Verdict:
    """How far the probabilities can be trusted.

    Attributes
    ----------
    level : {"good", "unsure", "warn", "bad"}
        For the mark beside the sentence.
    key : str
        Name of the sentence; its reason has ``_why`` behind it.
    few_rows : bool
        Whether so few rows stand behind it that only gross errors would show.
    """

    level: str
    key: str
    few_rows: bool


def verdict_on(evaluation: Evaluation | None) -> Verdict:
    """Return the verdict that the figures allow.

    Examples
    --------
    >>> verdict_on(None)
    Verdict(level='unsure', key='verdict_none', few_rows=False)
    """
    if evaluation is None:
        return Verdict("unsure", "verdict_none", False)
    few = evaluation.n < FEW_ROWS
    known = evaluation.log_loss_known_rows
    if known is None or known >= evaluation.log_loss_prior:
        return Verdict("bad", "verdict_useless", few)
    if evaluation.ece_p_value >= LUCK:
        return Verdict("unsure" if few else "good", "verdict_good", few)
    if evaluation.ece_debiased < SMALL_ERROR:
        return Verdict("good", "verdict_near", few)
    gap = evaluation.mean_confidence - evaluation.accuracy
    # The binned error is at least the overall gap; when most of it is the gap, all confidences err the same way.
    if abs(gap) < 0.5 * evaluation.ece:
        return Verdict("warn", "verdict_mixed", few)
    return Verdict("warn", "verdict_over" if gap > 0 else "verdict_under", few)
