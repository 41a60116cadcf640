"""L1 and elastic net: the path of 49 penalties and a single penalty, softclass against scikit-learn's saga.

Standardised columns, one thread, CPU seconds, median of interleaved rounds. Every time stands beside the largest
distance from the minimum, relative to it; the minimum is that of a softclass fit to 1e-11. glmnet is not run here: on
the machine that set the goals it took 3.6 s for the path, and a prototype 12.3 s.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "SOFTCLASS_NUM_THREADS"), "1"))

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special
from sklearn.linear_model import LogisticRegression

import harness
import machine
import made_data
from softclass import SoftmaxRegression, regularization_path

Array = npt.NDArray[np.float64]
Weights = list[tuple[Array, Array]]

PATH_POINTS = 49
EPOCHS = (10, 50)  # of saga, a penalty of the path
SINGLE_EPOCHS = (5, 20, 60)
STRENGTHS = 2e-3  # of the single penalty, a row


def objective(X: Array, y: npt.NDArray[np.int64], weight: Array, bias: Array, strength: float, ratio: float) -> float:
    """Return the objective in nats a row."""
    logits = X @ weight.T + bias
    loss = float(np.mean(special.logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]))
    return loss + strength * (ratio * float(np.abs(weight).sum()) + (1 - ratio) / 2 * float((weight**2).sum()))


def saga_path(X: Array, y: npt.NDArray[np.int64], Cs: Array, ratio: float, epochs: int) -> Weights:
    """Return the path as saga with warm starts gives it."""
    model = LogisticRegression(solver="saga", l1_ratio=ratio, max_iter=epochs, tol=1e-6, warm_start=True)
    model.set_params(random_state=0)
    found = []
    for C in Cs:
        model.set_params(C=C).fit(X, y)
        found.append((model.coef_.copy(), model.intercept_.copy()))
    return found


def our_path(X: Array, y: npt.NDArray[np.int64], Cs: Array, ratio: float, tol: float) -> Weights:
    """Return our path."""
    path = regularization_path(X, y, Cs=Cs, l1_ratio=ratio, tol=tol)
    return list(zip(path.coef, path.intercept, strict=True))


def single(X: Array, y: npt.NDArray[np.int64], C: float, ratio: float, tol: float) -> Weights:
    """Return our fit of one penalty."""
    model = SoftmaxRegression(C=C, l1_ratio=ratio, tol=tol).fit(X, y)
    return [(model.coef_, model.intercept_)]


def timed(calls: dict[str, Callable[[], Weights]], rounds: int) -> tuple[dict[str, float], dict[str, Weights]]:
    """Return median CPU seconds, and what each call found last."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    found: dict[str, Weights] = {}
    for _ in range(rounds):
        for name, call in calls.items():
            begun = time.process_time()
            found[name] = call()
            seconds[name].append(time.process_time() - begun)
    return {name: statistics.median(all_of) for name, all_of in seconds.items()}, found


def report(
    what: str,
    data: tuple[Array, npt.NDArray[np.int64]],
    Cs: Array,
    ratio: float,
    rounds: int,
    best: Weights,
    calls: Any,
) -> list[dict[str, Any]]:
    """Time all calls, print a line for each."""
    X, y = data
    seconds, found = timed(calls, rounds)
    lowest = [objective(X, y, *point, 1 / (C * len(y)), ratio) for C, point in zip(Cs, best, strict=True)]
    lines = []
    for name, points in found.items():
        values = [objective(X, y, *point, 1 / (C * len(y)), ratio) for C, point in zip(Cs, points, strict=True)]
        excess = max((value - low) / low for value, low in zip(values, lowest, strict=True))
        lines.append({"what": what, "who": name, "cpu_s": seconds[name], "excess": excess})
        print(f"{what:24} {name:24} {seconds[name]:8.2f} s   excess {excess:9.1e}", flush=True)
    return lines


def main() -> int:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="a thousandth of the work, nothing written")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rounds = 1 if arguments.smoke else arguments.rounds
    points = 4 if arguments.smoke else PATH_POINTS
    lines = []
    X, y = made_data.forest(1000 if arguments.smoke else 20_000)
    X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-12)
    for ratio in (1.0,) if arguments.smoke else (1.0, 0.5):
        first = regularization_path(X, y, Cs=2, l1_ratio=ratio).Cs[0]
        Cs = first * np.logspace(0, 1 if arguments.smoke else 4, points)
        calls: dict[str, Callable[[], Weights]] = {
            "softclass 1e-4": lambda Cs=Cs, ratio=ratio: our_path(X, y, Cs, ratio, 1e-4),
            "softclass 1e-6": lambda Cs=Cs, ratio=ratio: our_path(X, y, Cs, ratio, 1e-6),
        }
        for epochs in (2,) if arguments.smoke else EPOCHS:
            calls[f"saga {epochs} epochs"] = lambda Cs=Cs, ratio=ratio, epochs=epochs: saga_path(
                X, y, Cs, ratio, epochs
            )
        best = our_path(X, y, Cs, ratio, 1e-11)
        lines += report(f"path of {points}, l1_ratio {ratio:g}", (X, y), Cs, ratio, rounds, best, calls)
    X, y = made_data.forest(1000 if arguments.smoke else 200_000)
    X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-12)
    C = 1 / (STRENGTHS * len(y))
    calls = {f"softclass {tol:g}": lambda tol=tol: single(X, y, C, 1.0, tol) for tol in (1e-3, 1e-6, 1e-9)}
    for epochs in (2,) if arguments.smoke else SINGLE_EPOCHS:
        calls[f"saga {epochs} epochs"] = lambda epochs=epochs: saga_path(X, y, np.array([C]), 1.0, epochs)
    best = single(X, y, C, 1.0, 1e-11)
    lines += report("single, l1_ratio 1", (X, y), np.array([C]), 1.0, rounds, best, calls)
    if not arguments.smoke:
        print("wrote", harness.write("elastic_net", {**machine.facts(), "rounds": rounds, "lines": lines}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
