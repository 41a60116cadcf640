"""L1 and elastic net: the path of 49 penalties and a single penalty, softclass against saga and R's glmnet.

Standardised columns, one thread, CPU seconds, median of interleaved rounds. Every time stands beside the largest
distance from the minimum, relative to it; the minimum is that of a softclass fit to 1e-11. glmnet runs in a process of
its own that reads the data first and prints the CPU seconds of the path alone; it is left out where R has no glmnet.
What takes more than SLOW seconds runs in the first round only.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "SOFTCLASS_NUM_THREADS"), "1"))

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
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
Call = Callable[[], tuple[Weights, float]]  # a path and its CPU seconds

PATH_POINTS = 49
EPOCHS = {1.0: (10, 30), 0.5: (10,)}  # of saga, a penalty of the path of this l1_ratio
SINGLE_EPOCHS = (5, 20, 60)
STRENGTHS = 2e-3  # of the single penalty, a row
SLOW = 8.0  # CPU seconds of a call that is not repeated
THRESHOLDS = (1e-7, 1e-10)  # of glmnet's descent: its own default, and one that comes as close as we do

GLMNET = """
suppressMessages(library(glmnet))
given <- commandArgs(trailingOnly = TRUE)
rows <- as.integer(given[1]); columns <- as.integer(given[2])
alpha <- as.numeric(given[3]); thresh <- as.numeric(given[4])
x <- matrix(readBin("x.bin", "double", rows * columns), rows, columns)
y <- factor(readBin("y.bin", "integer", rows))
lambda <- readBin("lambda.bin", "double", 10000)
begun <- proc.time()
fit <- glmnet(x, y, family = "multinomial", alpha = alpha, lambda = lambda, standardize = FALSE, thresh = thresh,
              maxit = 1e6)
spent <- proc.time() - begun
out <- file("out.bin", "wb")
for (class in levels(y)) writeBin(as.vector(rbind(fit$a0[class, ], as.matrix(fit$beta[[class]]))), out)
close(out)
cat(spent[["user.self"]] + spent[["sys.self"]], length(fit$lambda), as.character(packageVersion("glmnet")), "\n")
"""


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


def own_seconds(call: Callable[[], Weights]) -> Call:
    """Return a call that takes the time of this process."""

    def run() -> tuple[Weights, float]:
        begun = time.process_time()
        found = call()
        return found, time.process_time() - begun

    return run


def has_glmnet() -> bool:
    """Whether R is there and has glmnet."""
    if shutil.which("Rscript") is None:
        return False
    command = ["Rscript", "-e", "quit(status = !requireNamespace('glmnet', quietly = TRUE))"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def glmnet_path(X: Array, y: npt.NDArray[np.int64], Cs: Array, ratio: float, threshold: float) -> tuple[Weights, float]:
    """Return the path as glmnet gives it, and the CPU seconds of glmnet itself."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        np.asfortranarray(X).T.tofile(place / "x.bin")
        y.astype(np.int32).tofile(place / "y.bin")
        (1 / (Cs * len(y))).tofile(place / "lambda.bin")
        (place / "path.R").write_text(GLMNET)
        numbers = [str(number) for number in (*X.shape, ratio, threshold)]
        ended = subprocess.run(["Rscript", "path.R", *numbers], cwd=place, check=True, capture_output=True, text=True)
        spent, n_points = ended.stdout.split()[:2]
        found = np.fromfile(place / "out.bin").reshape(len(np.unique(y)), int(n_points), 1 + X.shape[1])
    return [(found[:, point, 1:], found[:, point, 0]) for point in range(int(n_points))], float(spent)


def timed(calls: dict[str, Call], rounds: int) -> tuple[dict[str, list[float]], dict[str, Weights]]:
    """Return the CPU seconds of each round, and what each call found last."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    found: dict[str, Weights] = {}
    for _ in range(rounds):
        for name, call in calls.items():
            if not seconds[name] or seconds[name][0] <= SLOW:
                found[name], spent = call()
                seconds[name].append(spent)
    return seconds, found


def report(
    what: str,
    data: tuple[Array, npt.NDArray[np.int64]],
    Cs: Array,
    ratio: float,
    rounds: int,
    best: Weights,
    calls: dict[str, Call],
) -> list[dict[str, Any]]:
    """Time all calls, print a line for each."""
    X, y = data
    seconds, found = timed(calls, rounds)
    lowest = [objective(X, y, *point, 1 / (C * len(y)), ratio) for C, point in zip(Cs, best, strict=True)]
    lines = []
    for name, points in found.items():
        values = [objective(X, y, *point, 1 / (C * len(y)), ratio) for C, point in zip(Cs, points, strict=False)]
        excess = max((value - low) / low for value, low in zip(values, lowest, strict=False))
        middle = statistics.median(seconds[name])
        entry = {"what": what, "who": name, "cpu_s": middle, "all_cpu_s": seconds[name]}
        lines.append({**entry, "points": len(points), "excess": excess})
        print(f"{what:24} {name:20} {middle:8.3f} s   {len(points):3} points   excess {excess:9.1e}", flush=True)
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
    with_glmnet = not arguments.smoke and has_glmnet()  # a thousand rows make glmnet's descent crawl
    lines = []
    X, y = made_data.forest(1000 if arguments.smoke else 20_000)
    X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-12)
    for ratio in (1.0,) if arguments.smoke else EPOCHS:
        first = regularization_path(X, y, Cs=2, l1_ratio=ratio).Cs[0]
        Cs = first * np.logspace(0, 1 if arguments.smoke else 4, points)
        calls: dict[str, Call] = {
            f"softclass {tol:g}": own_seconds(partial(our_path, X, y, Cs, ratio, tol)) for tol in (1e-4, 1e-6)
        }
        if with_glmnet:
            for threshold in THRESHOLDS:
                calls[f"glmnet {threshold:g}"] = partial(glmnet_path, X, y, Cs, ratio, threshold)
        for epochs in (2,) if arguments.smoke else EPOCHS[ratio]:
            calls[f"saga {epochs} epochs"] = own_seconds(partial(saga_path, X, y, Cs, ratio, epochs))
        best = our_path(X, y, Cs, ratio, 1e-11)
        lines += report(f"path of {points}, l1_ratio {ratio:g}", (X, y), Cs, ratio, rounds, best, calls)
    X, y = made_data.forest(1000 if arguments.smoke else 200_000)
    X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-12)
    C = 1 / (STRENGTHS * len(y))
    calls = {f"softclass {tol:g}": own_seconds(partial(single, X, y, C, 1.0, tol)) for tol in (1e-3, 1e-6, 1e-9)}
    for epochs in (2,) if arguments.smoke else SINGLE_EPOCHS:
        calls[f"saga {epochs} epochs"] = own_seconds(partial(saga_path, X, y, np.array([C]), 1.0, epochs))
    best = single(X, y, C, 1.0, 1e-11)
    lines += report("single, l1_ratio 1", (X, y), np.array([C]), 1.0, rounds, best, calls)
    if not arguments.smoke:
        print("wrote", harness.write("elastic_net", {**machine.facts(), "rounds": rounds, "lines": lines}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
