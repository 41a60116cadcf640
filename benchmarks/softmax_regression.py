"""Seconds to the same optimum: SoftmaxRegression against the solvers of scikit-learn; and one pass over the rows.

The objective of every answer is computed in float64 by the same lines and compared with the best that is known. A
solver gets a ladder of settings and is timed at the first that comes near enough; one that does not within its limit
of seconds is listed with how far it came.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import harness
import machine
import made_data

Fit = Callable[[], tuple[np.ndarray, np.ndarray]]  # weights and intercepts, one row for two classes
Step = tuple[str, Fit]

LIMIT_S = 30.0  # of CPU for one fit of a peer
ROUNDS = 5
LONG_S = 5.0  # what takes longer runs once more only


@dataclass(frozen=True)
class Case:
    """A table, how near the optimum counts, and which solvers try."""

    name: str
    load: Callable[[Path], made_data.Data]
    goal: float
    solvers: tuple[str, ...]
    best_known: float = math.inf
    scaled: bool = False
    with_limit: float = LIMIT_S


def _table(file: str, target: str, rows: int | None = None) -> Callable[[Path], made_data.Data]:
    def load(data: Path) -> made_data.Data:
        frame = pd.read_csv(data / file).iloc[:rows]
        return frame.drop(columns=target).to_numpy(np.float64), np.unique(frame[target], return_inverse=True)[1]

    return load


def _mnist(data: Path) -> made_data.Data:
    from softclass.data.idx import read_idx

    names = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
    images, labels = (read_idx(data / "mnist" / name) for name in names)
    return images.reshape(len(images), -1) / 255.0, labels.astype(np.int64)


def _iris(_: Path) -> made_data.Data:
    from sklearn.datasets import load_iris

    found = load_iris()
    return found.data, found.target.astype(np.int64)


SECOND_ORDER = ("newton-cholesky", "newton-cg")
CASES = (
    Case("iris", _iris, 1e-6, ("newton-cholesky", "lbfgs", "newton-cg")),
    Case(
        "letter",
        _table("letter/letter.csv", "lettr", 16_000),
        1e-6,
        ("newton-cholesky", "lbfgs"),
        0.825503552448,
        with_limit=20.0,
    ),
    Case(
        "shuttle",
        _table("shuttle/shuttle.csv", "Class"),
        1e-6,
        ("newton-cholesky", "lbfgs"),
        0.107358571022,
        with_limit=20.0,
    ),
    Case(
        "dry_bean",
        _table("dry_bean/dry_bean.csv", "Class"),
        1e-6,
        (*SECOND_ORDER, "lbfgs"),
        0.222418521736,
        with_limit=20.0,
    ),
    Case("forest, raw", lambda _: made_data.forest(), 1e-6, ("newton-cholesky",)),
    Case("forest, standardised", lambda _: made_data.forest(), 1e-6, ("lbfgs", "newton-cg"), scaled=True),
    Case("digits", lambda _: made_data.digits(), 1e-3, ("newton-cg", "lbfgs"), with_limit=90.0),
    Case("mnist", _mnist, 1e-3, ("newton-cg", "lbfgs"), 0.2321177, with_limit=90.0),
)
SMALL = (
    Case("iris", _iris, 1e-6, ("newton-cholesky", "lbfgs")),
    Case("forest, 3,000 rows", lambda _: made_data.forest(3000), 1e-4, ("newton-cholesky",)),
)
PASSES = (("forest", lambda _: made_data.forest()), ("digits", lambda _: made_data.digits()))


def objective(features: np.ndarray, targets: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> float:
    """Nats a row with C = 1, in float64."""
    total = 0.5 * float(np.vdot(weight, weight))
    for start in range(0, len(targets), 8192):
        rows = slice(start, start + 8192)
        logits = features[rows] @ weight.T + bias
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1) if len(weight) == 1 else logits
        top = logits.max(axis=1)
        sums = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top
        total += float(np.sum(sums - logits[np.arange(len(sums)), targets[rows]]))
    return total / len(targets)


def ladder(name: str, features: np.ndarray, targets: np.ndarray) -> Iterator[Step]:
    """Settings of a solver, cheapest first."""
    if name == "softclass":
        from softclass import SoftmaxRegression

        for tol in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
            yield f"tol={tol:g}", _fit(SoftmaxRegression(tol=tol), features, targets)
        return
    from sklearn.linear_model import LogisticRegression

    steps = [(1e-4, 100)]  # its default
    steps += [(1e-12, n) for n in ((100, 500) if name in SECOND_ORDER else (300, 1000))]
    for tol, max_iter in steps:
        model = LogisticRegression(solver=name, tol=tol, max_iter=max_iter)
        yield f"tol={tol:g}, max_iter={max_iter}", _fit(model, features, targets)


def _fit(model: Any, features: np.ndarray, targets: np.ndarray) -> Fit:
    def fit() -> tuple[np.ndarray, np.ndarray]:
        model.fit(features, targets)
        return model.coef_, model.intercept_

    return fit


class TooLong(Exception):
    """A fit took longer than it may."""


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Stop what takes more CPU seconds; solvers written in Python hear of it at their next step."""

    def stop(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def measure(case: Case, data: Path, rounds: int) -> dict[str, Any]:
    """Return how near each solver comes and in how many seconds."""
    features, targets = case.load(data)
    if case.scaled:
        deviation = features.std(axis=0)
        features = (features - features.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    best = min(case.best_known, _best(features, targets))
    rows: dict[str, dict[str, Any]] = {}
    fits: dict[str, Fit] = {}
    for name in ("softclass", *case.solvers):
        rows[name], fit = _first_that_reaches(name, case, features, targets, best)
        if fit is not None:
            fits[name] = fit
    for name, taken in _seconds(fits, rounds).items():
        low, median, high = min(taken), statistics.median(taken), max(taken)
        rows[name] |= {"cpu_s": median, "cpu_min_s": low, "cpu_max_s": high, "rounds": len(taken)}
    own = rows["softclass"].get("cpu_s")
    for row in rows.values():
        if own and "cpu_s" in row:
            row["over_ours"] = row["cpu_s"] / own
    return {"case": case.name, "shape": [*features.shape, int(targets.max()) + 1], "goal": case.goal, "rows": rows}


def _best(features: np.ndarray, targets: np.ndarray) -> float:
    """The lowest objective that a long fit in float64 finds."""
    from softclass import SoftmaxRegression
    from softclass.estimators import scaling

    kept, scaling.DOUBLE_COPY_BYTES = scaling.DOUBLE_COPY_BYTES, 2**40
    try:
        model = SoftmaxRegression(tol=1e-9).fit(features, targets)
    finally:
        scaling.DOUBLE_COPY_BYTES = kept
    return objective(features, targets, model.coef_, model.intercept_)


def _first_that_reaches(
    name: str, case: Case, features: np.ndarray, targets: np.ndarray, best: float
) -> tuple[dict[str, Any], Fit | None]:
    nearest: dict[str, Any] = {"excess": math.inf}
    for setting, fit in ladder(name, features, targets):
        started = time.process_time()
        try:
            with limit(case.with_limit):
                weight, bias = fit()
        except TooLong:
            return nearest | {"stopped": f"{setting}: more than {case.with_limit:g} s"}, None
        seconds = time.process_time() - started
        excess = objective(features, targets, weight, bias) / best - 1
        if excess < nearest["excess"]:
            nearest = {"setting": setting, "excess": excess, "first_cpu_s": seconds}
        if excess <= case.goal:
            return nearest, fit
        if seconds > 0.7 * case.with_limit:
            break
    return nearest, None


def _seconds(fits: Mapping[str, Fit], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of every fit, round by round; a long one runs in the first round only."""
    taken: dict[str, list[float]] = {name: [] for name in fits}
    for _ in range(rounds):
        for name, fit in fits.items():
            if taken[name] and taken[name][0] > LONG_S:
                continue
            started, repeats = time.process_time(), 0
            while repeats == 0 or time.process_time() - started < 0.02:
                fit()
                repeats += 1
            taken[name].append((time.process_time() - started) / repeats)
    return taken


def passes(data: Path, rounds: int, threads: int, *, small: bool = False) -> list[dict[str, Any]]:
    """Loss and gradient at one point: ours against scikit-learn's loss, and both against what the machine can do."""
    from sklearn._loss import HalfMultinomialLoss
    from sklearn.linear_model._linear_loss import LinearModelLoss

    from softclass.estimators.dense_pass import DenseRows, loss_and_gradient

    speeds = machine.speeds(threads)
    found = []
    for name, load in PASSES[: 1 if small else None]:
        features, targets = made_data.forest(3000) if small else load(data)
        features = features / np.maximum(np.abs(features).max(axis=0), 1e-300)
        n, d, k = *features.shape, int(targets.max()) + 1
        single = features.astype(np.float32)
        weight, bias = np.random.default_rng(0).standard_normal((k, d)) / np.sqrt(d), np.zeros(k)
        theta = np.asfortranarray(np.concatenate([weight, bias[:, None]], axis=1))
        loss = LinearModelLoss(HalfMultinomialLoss(n_classes=k), fit_intercept=True)
        rows = {dtype: DenseRows((x,), targets, None, d, threads) for dtype, x in (("f4", single), ("f8", features))}

        def own(dtype: str, rows: Mapping[str, Any] = rows, at: Any = (weight, bias)) -> Callable[[], object]:
            return lambda: loss_and_gradient(rows[dtype], *at)

        def theirs(x: np.ndarray, y: np.ndarray, loss: Any = loss, theta: Any = theta) -> Callable[[], object]:
            y, theta = y.astype(x.dtype), theta.astype(x.dtype)
            return lambda: loss.loss_gradient(theta, x, y, l2_reg_strength=0.0, n_threads=threads)

        calls = {
            "softclass float32": own("f4"),
            "softclass float64": own("f8"),
            "scikit-learn float64": theirs(features, targets),
            "scikit-learn float32": theirs(single, targets),
        }
        taken: dict[str, list[float]] = {key: [] for key in calls}
        for _ in range(max(3, rounds * 3)):
            for key, call in calls.items():
                started = time.perf_counter()
                call()
                taken[key].append(time.perf_counter() - started)
        by_memory = 4 * n * d / speeds["read_gb_per_s"] / 1e9
        by_products = 4 * n * d * k / speeds["product_gflop_per_s"] / 1e9
        medians = {key: statistics.median(seconds) for key, seconds in taken.items()}
        found.append(
            {
                "pass": name,
                "shape": [n, d, k],
                "threads": threads,
                "limit_ms": 1e3 * max(by_memory, by_products),
                "of_limit": max(by_memory, by_products) / medians["softclass float32"],
                "ms": {key: 1e3 * value for key, value in medians.items()},
            }
        )
    return found


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """A table for the terminal."""
    for case in document["cases"]:
        yield f"\n{case['case']} {tuple(case['shape'])}, to {case['goal']:g}"
        for name, row in case["rows"].items():
            time_taken = f"{row['cpu_s']:9.4f} CPU s" if "cpu_s" in row else "  not reached  "
            ratio = f"{row['over_ours']:8.2f} x softclass" if "over_ours" in row else " " * 19
            yield f"  {name:18}{time_taken}{ratio}  excess {row['excess']:.1e}  {row.get('setting', '')}"
    for one in document["passes"]:
        yield f"\npass, {one['pass']} {tuple(one['shape'])}, {one['threads']} threads, limit {one['limit_ms']:.2f} ms"
        yield from (f"  {name:24}{value:9.2f} ms" for name, value in one["ms"].items())
        yield f"  softclass float32 reaches {one['of_limit']:.0%} of the limit"


def _part(threads: int, names: Sequence[str], data: Path, rounds: int) -> dict[str, Any]:
    """What one process measures, with so many threads; fits with one thread only."""
    warnings.simplefilter("ignore")
    document: dict[str, Any] = {"cases": [], "passes": passes(data, rounds, threads)}
    for case in (case for case in CASES if threads == 1 and (not names or case.name in names)):
        try:
            document["cases"].append(measure(case, data, rounds))
        except FileNotFoundError as error:
            print(f"{case.name}: left out, {error.filename} is not there", file=sys.stderr)
            continue
        print(*lines({"cases": document["cases"][-1:], "passes": []}), sep="\n", file=sys.stderr, flush=True)
    return document


def _child(threads: int, arguments: argparse.Namespace) -> dict[str, Any]:
    count = str(threads)
    environment = {
        **os.environ,
        "SOFTCLASS_NUM_THREADS": count,
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "part.json"
        command = [sys.executable, sys.argv[0], str(arguments.data), "--rounds", str(arguments.rounds)]
        command += ["--part", count, str(file), "--cases", *arguments.cases]
        subprocess.run(command, env=environment, check=True)
        return dict(json.loads(file.read_text()))


def main() -> int:
    """Measure all cases with one thread, and the passes with one and with all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("shared/data"), help="folder of the data sets")
    parser.add_argument("--cases", nargs="*", default=[], help="some of: " + "; ".join(case.name for case in CASES))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--smoke", action="store_true", help="the smallest cases once, nothing written")
    parser.add_argument("--part", nargs=2, metavar=("THREADS", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.smoke:
        warnings.simplefilter("ignore")
        cases = [measure(case, arguments.data, 1) for case in SMALL]
        print(*lines({"cases": cases, "passes": passes(arguments.data, 1, 1, small=True)}), sep="\n")
        return 0
    if arguments.part:
        threads, file = arguments.part
        part = _part(int(threads), arguments.cases, arguments.data, arguments.rounds)
        Path(file).write_text(json.dumps(part))
        return 0
    everything: dict[str, Any] = {"facts": {**machine.facts(), "load": os.getloadavg()}, "cases": [], "passes": []}
    for threads in sorted({1, len(machine.allowed_cores())}):
        part = _child(threads, arguments)
        everything["cases"] += part["cases"]
        everything["passes"] += part["passes"]
    print(*lines(everything), sep="\n")
    if not arguments.cases:
        print("wrote", harness.write("softmax_regression", everything))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
