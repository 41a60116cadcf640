"""The experiments refuse what makes no sense, each with one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from softclass.errors import SoftclassError
from softclass.functions import slow_network
from softclass.functions.precision import loss_variant, rounded
from softclass.functions.random import Generator
from softclass.functions.slow_learning import (
    escape_time,
    logit_steps,
    network_accuracies,
    neuron_steps,
    plane_epochs,
    sigmoid_cross_entropy,
    squared_error,
)

HEADS = "softmax_ce, softmax_se, sigmoid_ce, sigmoid_se"
ROWS = np.zeros((20, 3)), np.arange(20) % 2
SMALL: dict[str, Any] = {"start_scale": 1.0, "learning_rate": 0.5, "epochs": 1, "seed": 0}

CALLS: list[tuple[Callable[[], object], str]] = [
    (
        lambda: Generator(-1),
        "[SC141] Generator: `seed` must be an integer in [0, 2**32); got -1",
    ),
    (
        lambda: loss_variant("shifted", [0.0, 1.0], 0),
        "[SC141] loss_variant: `name` must be one of naive, shift, eps, clip, logsumexp; got 'shifted'. "
        "Did you mean shift?",
    ),
    (
        lambda: rounded(1.0, "float8"),
        "[SC141] rounded: `precision` must be one of float64, float32, bfloat16, float16; got 'float8'",
    ),
    (
        lambda: loss_variant("naive", [0.0, 1.0], 2),
        "[SC121] loss_variant: `targets` must lie in [0, 2); got 2 (1 of 1 are outside). "
        "If these are labels, fit SoftmaxRegression, which encodes them",
    ),
    (
        lambda: squared_error([[0.0, 1.0]], [[0.5, 0.4]]),
        "[SC122] squared_error: floating-point `targets` must hold numbers of at least 0 with sum 1 in each row",
    ),
    (
        lambda: sigmoid_cross_entropy([0.0], [1.5]),
        "[SC122] sigmoid_cross_entropy: floating-point `targets` must hold numbers in [0, 1]",
    ),
    (
        lambda: escape_time("mse", 10, 2.0, learning_rate=0.5),
        "[SC141] escape_time: `loss` must be one of cross_entropy, squared_error, eps, clip; got 'mse'",
    ),
    (
        lambda: escape_time("eps", 1, 2.0, learning_rate=0.5),
        "[SC141] escape_time: `n_classes` must be a whole number of at least 2; got 1",
    ),
    (
        lambda: logit_steps(-1.0, 10, "eps"),
        "[SC141] logit_run: `margin` must be a finite number of at least 0; got -1.0",
    ),
    (
        lambda: logit_steps(1.0, 10, "eps", learning_rate=0.0),
        "[SC141] logit_run: `learning_rate` must be a finite number above 0; got 0.0",
    ),
    (
        lambda: neuron_steps(1.0, "cross_entropy", below=0.0),
        "[SC141] neuron_steps: `below` must lie between 0 and 1; got 0.0",
    ),
    (
        lambda: plane_epochs(1.0, "softmax"),
        f"[SC141] plane_run: `head` must be one of {HEADS}; got 'softmax'",
    ),
    (
        lambda: network_accuracies(ROWS, ROWS, "softmax_ce", **{**SMALL, "epochs": 0}),
        "[SC141] network_runs: `epochs` must be a whole number of at least 1; got 0",
    ),
    (
        lambda: network_accuracies((ROWS[0], ROWS[1][:3]), ROWS, "softmax_ce", **SMALL),
        "[SC101] network_runs: `train` must be features of shape (n, d) and class indices of shape (n,); "
        "got (20, 3) and (3,)",
    ),
    (
        lambda: slow_network.split_by_class([0, 1], test_share=1.0),
        "[SC141] split_by_class: `test_share` must lie between 0 and 1; got 1.0",
    ),
]


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[message[8:60] for _, message in CALLS])
def test_the_sentence(call: Callable[[], object], message: str) -> None:
    with pytest.raises(SoftclassError, match=re.escape(message)):
        call()
