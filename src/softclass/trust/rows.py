"""What each row contributes to an evaluation: its losses, its confidence, and the rank of its class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from softclass.functions.softmax import logsumexp, softmax
from softclass.trust.checks import Floats, Integers
from softclass.trust.metrics import chunks, ranks, row_brier, row_log_losses


@dataclass(frozen=True, eq=False)
class RowScores:
    """What each row contributes."""

    loss: Floats
    brier: Floats
    confidence: Floats
    predicted: Integers
    rank: Integers
    log_partition: Floats

    @classmethod
    def of(cls, logits: Floats, targets: Integers) -> RowScores:
        """Work them out from logits, a bounded number of rows at a time."""
        n, n_classes = logits.shape
        brier, confidence, log_partition = np.empty(n), np.empty(n), np.empty(n)
        for part in chunks(n, n_classes):
            probabilities = np.asarray(softmax(logits[part]), dtype=np.float64)
            brier[part] = row_brier(probabilities, targets[part])
            confidence[part] = np.clip(probabilities.max(axis=1), 0.0, 1.0)
            log_partition[part] = logsumexp(logits[part])
        loss = row_log_losses(logits, targets)
        return cls(loss, brier, confidence, logits.argmax(axis=1), ranks(logits, targets), log_partition)
