"""The saturated network of slow learning, trained by the native engine: cross-entropy as softclass itself trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from softclass.functions.slow_network import BATCH, HIDDEN, network_start
from softclass.networks.architecture import Architecture
from softclass.networks.engine import EngineState, Plan, Rows
from softclass.networks.layers import Columns, FullyConnected, Sigmoid
from softclass.networks.native import NativeEngine

# AdamW without memory, and with an epsilon beside which the root of the second moment vanishes, is plain gradient
# descent: rate * gradient / (|gradient| + epsilon), the rate a million times larger than it looks.
EPSILON = 1e6


def engine_accuracies(
    train: tuple[Any, Any],
    test: tuple[Any, Any],
    *,
    start_scale: float,
    learning_rate: float,
    epochs: int,
    seed: int,
    n_threads: int | None = 1,
) -> list[float]:
    """
    Train the network of `softclass.functions.slow_network` from the same weights, on the same rows in the same order.

    Parameters
    ----------
    train, test : pairs of features of shape (n, d) and class indices of shape (n,)
        What it learns from and what it is judged by.
    start_scale : float
        Factor of the start weights of the last layer; 1 is usual.
    learning_rate : float
        The factor of the mean gradient of a batch of 10 in a step, above 0.
    epochs : int
        Passes over the training rows.
    seed : int
        Of start weights and order of rows.
    n_threads : int or None, default 1
        Threads of the engine; no result depends on them.

    Returns
    -------
    list of float
        Share of right answers on the test rows after each epoch.

    Examples
    --------
    >>> corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] * 50)
    >>> rows = corners, np.array([0, 1, 1, 0] * 50)
    >>> engine_accuracies(rows, rows, start_scale=1.0, learning_rate=2.0, epochs=40, seed=0)[-1]
    1.0
    """
    n_rows, n_features = train[0].shape
    n_classes = int(train[1].max()) + 1
    generator, start = network_start(n_features, n_classes, start_scale, seed)
    architecture = Architecture(Columns(n_features), (FullyConnected(HIDDEN), Sigmoid(), FullyConnected(n_classes)))
    weights = {name: start[name].astype(np.float32) for name in architecture.parameter_shapes}
    none = {name: np.zeros_like(weight) for name, weight in weights.items()}
    engine = NativeEngine(architecture, seed=0, n_threads=n_threads)
    engine.load_state(EngineState(weights, none, none, 0, 1.0, 1.0))
    used = n_rows // BATCH * BATCH
    rate = EPSILON * learning_rate
    plan = Plan(used, BATCH, epochs, rate, schedule="constant", decay=0.0, beta1=0.0, beta2=0.0, epsilon=EPSILON)
    rows, judged = (Rows(t.astype(np.int32), numbers=x.astype(np.float32)) for x, t in (train, test))
    shares = []
    for epoch in range(epochs):
        order, step = generator.permutation(n_rows)[:used], epoch * plan.steps_per_epoch
        while step < (epoch + 1) * plan.steps_per_epoch:
            step = engine.run(rows, order, step, (epoch + 1) * plan.steps_per_epoch, plan).last_step
        shares.append(float((engine.logits(judged).argmax(axis=1) == test[1]).mean()))
    return shares
