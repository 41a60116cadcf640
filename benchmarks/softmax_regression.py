"""Seconds to the same optimum: SoftmaxRegression against the solvers of scikit-learn; and one pass over the rows.

A solver of scikit-learn is watched: the clock is read at every value of the objective that it computes, so one run
says when it first came how near, and neither its settings nor its own test of the end matter. Ours is timed with all
it does, at the largest `tol` whose answer is near enough. The objective of what counts is computed in float64 by the
same lines and compared with the best that is known. What does not come near within its limit of seconds is listed
with how far it came.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import harness
import machine
import made_data

Fit = Callable[[], tuple[np.ndarray, np.ndarray]]  # weights and intercepts, one row for two classes

GOALS = (1e-3, 1e-6)
TOLERANCES = tuple(float(f"{digit}e-{power}") for power in range(2, 9) for digit in (10, 8, 6, 4, 3, 2))
SPINNING_S = 0.3  # for which threads of OpenBLAS hold a core after their call
LIMIT_S = 30.0  # of CPU for one fit of a peer
ROUNDS = 5
LONG_S = 5.0  # what takes longer runs once


@dataclass(frozen=True)
class Case:
    """A table, and which solvers try."""

    name: str
    load: Callable[[Path], made_data.Data]
    solvers: tuple[str, ...]
    best_known: float = math.inf
    scaled: bool = False
    goals: tuple[float, ...] = GOALS
    limits: Mapping[str, float] = field(default_factory=dict)  # of CPU seconds, by solver
    if_named: bool = False  # left out unless --cases names it


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


def _kddcup(data: Path) -> made_data.Data:
    """The columns of text as one-hots, the others as they come: a few are 1e9 where most are zero."""
    frame = pd.read_csv(data / "kddcup99_10" / "kddcup.data_10_percent.gz", header=None)
    encoded = pd.get_dummies(frame.drop(columns=41), columns=[1, 2, 3], dtype=np.float64)
    return np.ascontiguousarray(encoded, np.float64), np.unique(frame[41], return_inverse=True)[1].astype(np.int64)


CASES = (
    Case("iris", _iris, ("newton-cholesky", "lbfgs", "newton-cg")),
    Case("letter", _table("letter/letter.csv", "lettr", 16_000), ("newton-cholesky", "lbfgs"), 0.825503552448),
    Case("shuttle", _table("shuttle/shuttle.csv", "Class"), ("newton-cholesky", "lbfgs"), 0.107358571022),
    Case(
        "dry_bean",
        _table("dry_bean/dry_bean.csv", "Class"),
        ("newton-cholesky", "newton-cg", "lbfgs"),
        0.222418521736,
    ),
    Case("forest, raw", lambda _: made_data.forest(), ("newton-cholesky", "lbfgs"), limits={"lbfgs": 10.0}),
    Case("forest, standardised", lambda _: made_data.forest(), ("lbfgs", "newton-cg"), scaled=True),
    Case("mnist", _mnist, ("newton-cg", "lbfgs"), 0.23211769, limits={"newton-cg": 120.0, "lbfgs": 150.0}),
    Case(
        "kddcup",
        _kddcup,
        ("newton-cholesky", "lbfgs", "newton-cg"),
        0.00364971859036,
        limits={"newton-cholesky": 200.0, "lbfgs": 60.0, "newton-cg": 60.0},
        if_named=True,  # minutes each
    ),
)
SMALL = (
    Case("iris", _iris, ("newton-cholesky", "lbfgs")),
    Case("forest, 3,000 rows", lambda _: made_data.forest(3000), ("newton-cholesky",), goals=(1e-4,)),
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


def own_fit(features: np.ndarray, targets: np.ndarray, tol: float) -> Fit:
    """A fit of ours, with one thread as the whole process."""
    from softclass import SoftmaxRegression

    def fit() -> tuple[np.ndarray, np.ndarray]:
        model = SoftmaxRegression(tol=tol, max_iter=2000).fit(features, targets)
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


class Reached(Exception):
    """A solver has come as near as is asked for."""


@dataclass
class Watch:
    """When a solver of scikit-learn first computed a value of the objective that is near enough.

    Attributes
    ----------
    best : float
        The lowest objective known.
    goals : tuple of float
        Relative distances from it, falling.
    seconds : dict
        CPU seconds, by goal.
    excess : float
        The smallest distance met.
    theta : array or None
        Where that was, as scikit-learn's loss takes it.
    """

    best: float
    goals: tuple[float, ...]
    seconds: dict[float, float] = field(default_factory=dict)
    excess: float = math.inf
    theta: np.ndarray | None = None
    started: float = 0.0

    def run(self, fit: Callable[[], object], most: float) -> None:
        """Let a solver run until the last goal is met or the seconds are over."""
        from sklearn.linear_model._linear_loss import LinearModelLoss

        kept = {name: getattr(LinearModelLoss, name) for name in ("loss", "loss_gradient")}

        def watched(name: str) -> Callable[..., Any]:
            def call(loss: Any, coef: np.ndarray, *rest: Any, **more: Any) -> Any:
                found = kept[name](loss, coef, *rest, **more)
                self._see(float(found[0] if name == "loss_gradient" else found), coef)
                return found

            return call

        try:
            for name in kept:
                setattr(LinearModelLoss, name, watched(name))
            self.started = time.process_time()
            with limit(most):
                fit()
        except (Reached, TooLong):
            pass
        finally:
            for name, method in kept.items():
                setattr(LinearModelLoss, name, method)

    def _see(self, value: float, theta: np.ndarray) -> None:
        seconds, excess = time.process_time() - self.started, value / self.best - 1
        if excess < self.excess:
            self.excess, self.theta = excess, theta.copy()
        for goal in self.goals:
            if excess <= goal:
                self.seconds.setdefault(goal, seconds)
        if excess <= self.goals[-1]:
            raise Reached


def measure(case: Case, data: Path, rounds: int) -> dict[str, Any]:
    """Return in how many seconds each solver comes how near, ours and theirs in turn."""
    features, targets = case.load(data)
    if case.scaled:
        deviation = features.std(axis=0)
        features = (features - features.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    best = case.best_known if math.isfinite(case.best_known) else _best(features, targets)
    tolerances, nearest = _own_tolerances(case, features, targets, best)
    fits = {goal: own_fit(features, targets, tol) for goal, tol in tolerances.items()}
    taken: dict[str, dict[float, list[float]]] = {"softclass": {goal: [] for goal in fits}}
    excess, spent = {"softclass": nearest}, dict.fromkeys(case.solvers, 0.0)
    for _ in range(rounds):
        for name in case.solvers:
            for goal, fit in fits.items():
                _time_own(fit, taken["softclass"][goal])
            if spent[name] > LONG_S:
                continue
            watch = _watched(name, case, features, targets, best)
            spent[name] += watch[1]
            excess[name] = min(watch[0].excess, excess.get(name, math.inf))
            for goal, seconds in watch[0].seconds.items():
                taken.setdefault(name, {}).setdefault(goal, []).append(seconds)
    rows = {name: _row(taken.get(name, {}), taken["softclass"], excess[name]) for name in ("softclass", *case.solvers)}
    for goal, tol in tolerances.items():
        rows["softclass"]["to"][f"{goal:g}"]["tol"] = tol
    shape = [*features.shape, int(targets.max()) + 1]
    return {"case": case.name, "shape": shape, "goals": case.goals, "best": best, "rows": rows}


def _time_own(fit: Fit, taken: list[float]) -> None:
    started, repeats = time.process_time(), 0
    while repeats == 0 or time.process_time() - started < 0.02:
        fit()
        repeats += 1
    taken.append((time.process_time() - started) / repeats)


def _watched(name: str, case: Case, features: np.ndarray, targets: np.ndarray, best: float) -> tuple[Watch, float]:
    """Return what was seen of a solver, after a check that its values are ours, and the seconds of its run."""
    from sklearn.linear_model import LogisticRegression

    watch = Watch(best, case.goals)
    model = LogisticRegression(solver=name, tol=1e-14, max_iter=100_000)
    started = time.process_time()
    watch.run(lambda: model.fit(features, targets), case.limits.get(name, LIMIT_S))
    spent = time.process_time() - started
    if watch.theta is not None:
        n_classes = int(targets.max()) + 1
        table = watch.theta.reshape(1 if n_classes == 2 else n_classes, -1, order="F")
        mine = objective(features, targets, table[:, :-1], table[:, -1])
        if abs(mine / best - 1 - watch.excess) > 1e-8 * (1 + watch.excess):
            raise AssertionError(
                f"{name}: its objective is {watch.excess:g} above the best, ours of it {mine / best - 1:g}"
            )
    return watch, spent


def _own_tolerances(
    case: Case, features: np.ndarray, targets: np.ndarray, best: float
) -> tuple[dict[float, float], float]:
    """Return the largest `tol` that reaches each goal, and the smallest distance met."""
    found: dict[float, float] = {}
    nearest, ladder = math.inf, iter(TOLERANCES)
    while len(found) < len(case.goals) and (tol := next(ladder, None)) is not None:
        excess = objective(features, targets, *own_fit(features, targets, tol)()) / best - 1
        nearest = min(nearest, excess)
        for goal in case.goals:
            if excess <= goal:
                found.setdefault(goal, tol)
    return found, nearest


def _row(taken: Mapping[float, list[float]], own: Mapping[float, list[float]], excess: float) -> dict[str, Any]:
    row: dict[str, Any] = {"excess": excess, "to": {}}
    for goal, seconds in taken.items():
        median = statistics.median(seconds)
        row["to"][f"{goal:g}"] = {"cpu_s": median, "cpu_min_s": min(seconds), "cpu_max_s": max(seconds)}
        row["to"][f"{goal:g}"]["runs"] = len(seconds)
        if own.get(goal):
            row["to"][f"{goal:g}"]["over_ours"] = median / statistics.median(own[goal])
    return row


def _best(features: np.ndarray, targets: np.ndarray) -> float:
    """The lowest objective that a long fit in float64 finds."""
    from softclass import SoftmaxRegression
    from softclass.estimators import scaling

    kept, scaling.DOUBLE_COPY_BYTES = scaling.DOUBLE_COPY_BYTES, 2**40
    try:
        model = SoftmaxRegression(tol=1e-9, max_iter=3000).fit(features, targets)
    finally:
        scaling.DOUBLE_COPY_BYTES = kept
    return objective(features, targets, model.coef_, model.intercept_)


def passes(data: Path, rounds: int, threads: int, *, small: bool = False) -> list[dict[str, Any]]:
    """Loss and gradient at one point: ours against scikit-learn's loss, and both against what the machine can do."""
    from sklearn._loss import HalfMultinomialLoss
    from sklearn.linear_model._linear_loss import LinearModelLoss

    from softclass.estimators.compact_rows import CompactPass, compact_rows, places_of_rest
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

        ones, mean = np.ones(d), np.zeros(d)
        rest, _ = places_of_rest(features[:: max(1, n // 1000)], mean, ones)
        kept = compact_rows(lambda single=single: iter((single,)), n, rest, mean, ones, threads)
        compact = CompactPass(kept, targets, None, threads)

        def own(dtype: str, rows: Mapping[str, Any] = rows, at: Any = (weight, bias)) -> Callable[[], object]:
            return lambda: loss_and_gradient(rows[dtype], *at)

        def theirs(x: np.ndarray, y: np.ndarray, loss: Any = loss, theta: Any = theta) -> Callable[[], object]:
            y, theta = y.astype(x.dtype), theta.astype(x.dtype)
            return lambda: loss.loss_gradient(theta, x, y, l2_reg_strength=0.0, n_threads=threads)

        calls = {
            "softclass float32": own("f4"),
            "softclass compact": lambda compact=compact, at=(weight, bias): compact.loss_and_gradient(*at),
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
                if threads > 1 and key.startswith("scikit-learn"):
                    time.sleep(SPINNING_S)
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
                "of_limit_compact": max(by_memory, by_products) / medians["softclass compact"],
                "kept": kept.row_starts[-1] / n / d,
                "limit_by": {"bytes_ms": 1e3 * by_memory, "flops_ms": 1e3 * by_products},
                "ms": {key: 1e3 * value for key, value in medians.items()},
            }
        )
    return found


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """A table for the terminal."""
    for case in document["cases"]:
        for goal in case["goals"]:
            yield f"\n{case['case']} {tuple(case['shape'])}, to {goal:g}"
            for name, row in case["rows"].items():
                found = row["to"].get(f"{goal:g}", {})
                time_taken = f"{found['cpu_s']:9.4f} CPU s" if found else "  not reached  "
                ratio = f"{found['over_ours']:8.2f} x softclass" if "over_ours" in found else " " * 19
                setting = f"tol={found['tol']:g}" if "tol" in found else ""
                yield f"  {name:18}{time_taken}{ratio}  nearest {row['excess']:.1e}  {setting}"
    for one in document["passes"]:
        yield f"\npass, {one['pass']} {tuple(one['shape'])}, {one['threads']} threads, limit {one['limit_ms']:.2f} ms"
        yield from (f"  {name:24}{value:9.2f} ms" for name, value in one["ms"].items())
        yield f"  softclass float32 reaches {one['of_limit']:.0%} of the limit, compact {one['of_limit_compact']:.0%}"


def _part(threads: int, names: Sequence[str], data: Path, rounds: int) -> dict[str, Any]:
    """What one process measures, with so many threads; fits with one thread only."""
    warnings.simplefilter("ignore")
    document: dict[str, Any] = {"cases": [], "passes": passes(data, rounds, threads)}
    for case in (case for case in CASES if threads == 1 and (case.name in names or not (names or case.if_named))):
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
        # Threads of scikit-learn that spin after their call would take a core from the call that follows.
        "OMP_WAIT_POLICY": "passive",
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
