"""Sparse text: CPU seconds to the same optimum, SoftmaxRegression against scikit-learn's lbfgs, newton-cg and sag.

TF-IDF of single words and pairs, C = 1, one thread. The objective of every answer is computed in float64 by the same
lines and compared with the lowest that is known. A solver climbs a ladder of settings until it is near enough or out of
time; then the settings that first came within 1e-6 run again in turn, and the medians of these rounds are compared.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "SOFTCLASS_NUM_THREADS"), "1"))

import argparse
import csv
import gzip
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import harness
import machine
import made_data
from softclass import SoftmaxRegression

Data = tuple[sparse.csr_matrix, npt.NDArray[np.int64]]
Fit = Callable[[], Any]

GOALS = (1e-3, 1e-6, 1e-9)
COMPARED = 1e-6
SOLVERS = ("softclass", "sag", "newton-cg", "lbfgs")
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-10)
ITERATIONS = {
    "sag": (4, 8, 10, 12, 14, 17, 20, 30, 45),
    "newton-cg": (3, 5, 6, 7, 8, 10),
    "lbfgs": (20, 40, 60, 80, 120),
}
ROUNDS = 3
LIMIT_S = 40.0  # of CPU, after which a solver climbs no further
LONG_S = 20.0  # what takes longer runs once only


@dataclass(frozen=True)
class Case:
    """A text, and how near its fits shall come."""

    name: str
    load: Callable[[Path], Data]
    goals: tuple[float, ...] = GOALS
    solvers: tuple[str, ...] = SOLVERS


def _tfidf(texts: Sequence[str], labels: Sequence[str]) -> Data:
    features = TfidfVectorizer(ngram_range=(1, 2)).fit_transform(texts).tocsr()
    return features, np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _clinc(data: Path) -> Data:
    texts, labels = zip(*json.loads((data / "clinc150" / "data_full.json").read_text())["train"], strict=True)
    return _tfidf(texts, labels)


def _wordnet(data: Path) -> Data:
    with gzip.open(data / "wordnet_glosses" / "wordnet_glosses.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return _tfidf([row["gloss"] for row in rows], [row["lexname"] for row in rows])


CASES = (
    Case("made text", lambda _: made_data.text()),
    # What is left out takes minutes: lbfgs 54 s for 60 iterations, newton-cg on glosses 130 s for its first four.
    Case("clinc150", _clinc, solvers=SOLVERS[:3]),
    Case("wordnet_glosses", _wordnet, GOALS[:2], SOLVERS[:2]),
)
SMALL = (Case("small made text", lambda _: made_data.text(1500, 8000, 6), GOALS[:2]),)


def objective(features: sparse.csr_matrix, targets: npt.NDArray[np.int64], model: Any) -> float:
    """Mean loss and ridge penalty at C = 1, in float64."""
    total, weight = 0.0, np.ascontiguousarray(model.coef_.T, dtype=np.float64)
    for first in range(0, features.shape[0], 8192):
        logits = features[first : first + 8192] @ weight + model.intercept_
        top = logits.max(axis=1)
        right = logits[np.arange(len(top)), targets[first : first + 8192]]
        total += float(np.sum(np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top - right))
    return (total + 0.5 * float(np.vdot(weight, weight))) / float(features.shape[0])


def ladder(name: str, data: Data) -> Iterator[tuple[str, Fit]]:
    """Settings of a solver, cheapest first."""
    if name == "softclass":
        for tol in TOLERANCES:
            yield f"tol={tol:g}", partial(SoftmaxRegression(tol=tol, n_jobs=1).fit, *data)
        return
    for iterations in ITERATIONS[name]:
        model = LogisticRegression(solver=name, tol=1e-14, max_iter=iterations)
        yield f"max_iter={iterations}", partial(model.fit, *data)


def timed(fit: Fit) -> tuple[float, Any]:
    """Return CPU seconds, and what was fitted."""
    started = time.process_time()
    model = fit()
    return time.process_time() - started, model


def climb(name: str, data: Data, goal: float, limit: float) -> list[dict[str, Any]]:
    """Return seconds and objective of one setting after the other, until one is well within the goal or too slow."""
    steps: list[dict[str, Any]] = []
    lowest = np.inf
    for setting, fit in ladder(name, data):
        seconds, model = timed(fit)
        value = objective(*data, model)
        step: dict[str, Any] = {"setting": setting, "cpu_s": seconds, "objective": value}
        if name == "softclass":
            step |= {"solver": model.solver_, "gap": float(model.gap_), "kind": model.gap_kind_}
        steps.append(step)
        # Two tolerances may end at one point, but two numbers of iterations do not unless all is done.
        is_done = lowest - value < 0.02 * goal * value and (name != "softclass" or step["gap"] <= goal * value)
        lowest = min(lowest, value)
        if seconds > limit or is_done:
            break
    return steps


def measure(case: Case, data: Data, rounds: int, limit: float) -> dict[str, Any]:
    """Return what every solver needs for every goal."""
    goal = min(case.goals)
    climbed = {}
    for name in case.solvers:
        climbed[name] = climb(name, data, goal, limit)
        print(f"  {name}: {len(climbed[name])} settings", file=sys.stderr, flush=True)
    best = min(step["objective"] for steps in climbed.values() for step in steps)
    rows: dict[str, Any] = {}
    fits: dict[str, Fit] = {}
    for name, steps in climbed.items():
        for step in steps:
            step["excess"] = step["objective"] / best - 1
        reached = {str(one): next((step for step in steps if step["excess"] <= one), None) for one in case.goals}
        rows[name] = {"reached": reached, "nearest": min(steps, key=lambda step: step["excess"])}
        compared = reached[str(COMPARED)]
        if compared is not None:
            fits[name] = dict(ladder(name, data))[compared["setting"]]
    taken: dict[str, list[float]] = {name: [] for name in fits}
    for _ in range(rounds):
        for name, fit in fits.items():
            if not taken[name] or taken[name][0] <= LONG_S:
                taken[name].append(timed(fit)[0])
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    for name, seconds in taken.items():
        rows[name] |= {"cpu_s": medians[name], "rounds": seconds, "over_ours": medians[name] / medians["softclass"]}
    shape = [*data[0].shape, int(data[1].max()) + 1]
    return {"case": case.name, "shape": shape, "entries": int(data[0].nnz), "best": best, "rows": rows}


def lines(case: dict[str, Any]) -> Iterator[str]:
    """A table for the terminal."""
    yield f"\n{case['case']} {tuple(case['shape'])}, {case['entries'] / case['shape'][0]:.0f} numbers a row"
    for name, row in case["rows"].items():
        parts = [
            f"{goal} in {step['cpu_s']:.2f} s ({step['setting']})" if step else f"{goal} not reached"
            for goal, step in row["reached"].items()
        ]
        yield f"  {name:10} " + ", ".join(parts) + f"; nearest {row['nearest']['excess']:.1e}"
        if "cpu_s" in row:
            yield f"  {'':10} {COMPARED:g} in turn: {row['cpu_s']:.3f} CPU s, {row['over_ours']:.2f} x softclass"


def main() -> int:
    """Measure all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("shared/data"), help="folder of the data sets")
    parser.add_argument("--cases", nargs="*", default=[], help="some of: " + "; ".join(case.name for case in CASES))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="CPU seconds of a fit after which none is longer")
    parser.add_argument("--smoke", action="store_true", help="a small text once, nothing written")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    found = []
    for case in SMALL if arguments.smoke else CASES:
        if arguments.cases and case.name not in arguments.cases:
            continue
        try:
            data = case.load(arguments.data)
        except FileNotFoundError as error:
            print(f"{case.name}: left out, {error.filename} is not there", file=sys.stderr)
            continue
        found.append(measure(case, data, 1 if arguments.smoke else arguments.rounds, arguments.limit))
        print(*lines(found[-1]), sep="\n", flush=True)
    if not arguments.smoke and not arguments.cases:
        facts = {**machine.facts(), "load": os.getloadavg()}
        print("wrote", harness.write("sparse_text", {"facts": facts, "cases": found}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
