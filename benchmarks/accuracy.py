"""How far results are from the exact ones: worst units in the last place, by function, type, scale and classes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import harness
import judge
import machine
import peers
import rounds
import softclass
from peers import Rows
from rounds import Call, Target

SCALES = (1.0, 5.0, 10.0, 20.0, 50.0, 80.0)
CLASSES = (10, 100, 1000, 10_000, 100_000, 1_000_000)
ELEMENTS = 200_000  # a point; at least two rows
FUNCTIONS = ("softmax", "log_softmax", "logsumexp", "loss", "gradient")
BOUNDS = {"softmax": 2.5, "log_softmax": 1.5, "logsumexp": 1.0, "loss": 1.0}  # ulp
MEASURES = ("worst_ulp", "worst_ulp_of_1_or_more", "rounded_share")
ROUNDED = 0.999  # share of the results in 16 bits that are the exact ones, rounded


def contestants(function: str, data: Rows, names: Sequence[str]) -> dict[str, Call]:
    """Every way to the answer; peers that have the same function."""
    z, y = data.logits, data.targets
    if function == "loss":
        return {"softclass": lambda: softclass.cross_entropy(z, y, reduction="none"), **_losses(data, names)}
    if function == "gradient":
        return {
            "softclass": lambda: softclass.cross_entropy_value_and_gradient(z, y, reduction="sum")[1],
            **_gradients(data, names),
        }
    ours: dict[str, Call] = {"softclass": lambda: getattr(softclass, function)(z)}
    others = getattr(peers, function)(data, names)
    return {**ours, **{name: call for name, call in others.items() if not name.endswith(" out")}}


def _losses(data: Rows, names: Sequence[str]) -> dict[str, Call]:
    if "torch" not in names:
        return {}
    from torch.nn import functional

    z, y = peers.tensor(data.logits), peers.tensor(data.targets)
    return {"torch": lambda: functional.cross_entropy(z, y, reduction="none")}


def _gradients(data: Rows, names: Sequence[str]) -> dict[str, Call]:
    if "torch" not in names:
        return {}
    import torch
    from torch.nn import functional

    z, y = peers.tensor(data.logits).clone().requires_grad_(), peers.tensor(data.targets)
    return {"torch": lambda: torch.autograd.grad(functional.cross_entropy(z, y, reduction="sum"), z)[0]}


@dataclass(frozen=True)
class Scale:
    """What results of one type are measured with: exact values, the distance of numbers there, the nearest number."""

    exact: Any
    unit: Any
    nearest: Any

    @classmethod
    def of(cls, exact: Any, dtype: Any) -> Scale:
        """Make it."""
        return cls(exact, judge.truth.spacing(exact, dtype), judge.truth.rounded(exact, dtype))

    def judged(self, found: Any) -> tuple[float, float, float]:
        """Return the worst distance in units of the last place, and what share of the results is correctly rounded.

        The second distance is in units of the last place of 1 for smaller results: maximum and logarithm may cancel.
        """
        error = np.abs(found.astype(np.float64).astype(np.longdouble) - self.exact)
        at_least = np.maximum(self.unit, judge.truth.spacing(1.0, found.dtype))
        worst = [float(np.max(np.where(np.isnan(error), np.inf, error / unit))) for unit in (self.unit, at_least)]
        return worst[0], worst[1], float(np.mean(found == self.nearest))


def points_of(data: Rows, functions: Sequence[str], names: Sequence[str], scale: object) -> list[dict[str, Any]]:
    """Judge everybody on the same rows."""
    answers = judge.answers(data)
    found = []
    for function in functions:
        row: dict[str, Any] = {"function": function, "dtype": data.dtype, "shape": list(data.logits.shape)}
        row |= {"scale": scale, **{measure: {} for measure in MEASURES}}
        scales: dict[Any, Scale] = {}
        for name, call in contestants(function, data, names).items():
            result = as_given(call())
            if result.dtype not in scales:
                scales[result.dtype] = Scale.of(answers[function], result.dtype)
            for measure, value in zip(MEASURES, scales[result.dtype].judged(result), strict=True):
                row[measure][name] = float(f"{value:.6g}")
        found.append(row)
    return found


def as_given(result: Any) -> Any:
    """The result as an array in its own type, also bfloat16, which tensors do not hand to NumPy."""
    found = peers.as_numpy(result)
    if hasattr(result, "dtype") and str(result.dtype).startswith("torch."):  # 16 bits came as float64, which is exact
        found = found.astype(peers.numpy_type(str(result.dtype).removeprefix("torch.")))
    return found


def every_single_value(dtype: str) -> Rows:
    """All finite values of 16 bits, each beside a zero."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    values = bits.view(peers.numpy_type(dtype))
    values = values[np.isfinite(values.astype(np.float32))]
    logits = np.stack([values, np.zeros_like(values)], axis=1)
    return Rows(logits, np.zeros(len(logits), dtype=np.int64), np.zeros_like(logits))


def points(dtypes: Sequence[str], scales: Sequence[float], classes: Sequence[int], names: Sequence[str]) -> list[Any]:
    """The grid, and every single value of the types of 16 bits."""
    found = []
    for dtype in dtypes:
        for n_classes in classes:
            for scale in scales:
                data = Rows.made(max(2, ELEMENTS // n_classes), n_classes, dtype, scale)
                found += points_of(data, FUNCTIONS, names, scale)
            print(f"{dtype}, {n_classes:,} classes: judged", flush=True)
        if peers.WIDTH[dtype] == 2:
            found += points_of(every_single_value(dtype), ("softmax", "log_softmax"), names, "every value")
    return found


def summarise(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of the table of targets, softclass and each peer as if it were a setting."""
    lines = []
    for dtype in ("float32", "float64"):
        for function, bound in {**BOUNDS, "gradient": 3.5 if dtype == "float32" else 5.0}.items():
            what = f"{function} {dtype}, worst over the grid"
            reached = _over(found, function, dtype, _unit(function), max)
            lines.append(Target(what, bound, "ulp", reached, "softclass", at_most=True).line())
    for dtype in ("float16", "bfloat16"):
        for function in ("softmax", "log_softmax", "gradient"):
            reached = _over(found, function, dtype, "rounded_share", min)
            what = f"{function} {dtype}, correctly rounded, worst point"
            lines.append(Target(what, ROUNDED, "", reached, "softclass").line())
        for function in ("logsumexp", "loss"):
            reached = _over(found, function, dtype, _unit(function), max)
            what = f"{function} {dtype}, worst over the grid, in the type of the result"
            lines.append(Target(what, 1.0, "ulp", reached, "softclass", at_most=True).line())
    return [line for line in lines if line["reached"]]


def _unit(function: str) -> str:
    return "worst_ulp_of_1_or_more" if function == "logsumexp" else "worst_ulp"


def _over(
    found: list[dict[str, Any]], function: str, dtype: str, measure: str, worst: Callable[..., float]
) -> dict[str, float]:
    rows = [row[measure] for row in found if (row["function"], row["dtype"]) == (function, dtype)]
    return {name: worst(row[name] for row in rows if name in row) for name in (rows[0] if rows else ())}


def main() -> int:
    """Judge, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="few points, nothing written")
    parser.add_argument("--against", nargs="*", default=list(rounds.PEERS), metavar="PEER")
    arguments = parser.parse_args()
    names = peers.installed(arguments.against)
    if arguments.smoke:
        found = points(("float32",), (5.0,), (10,), names)
    else:
        types = ("float32", "float64", "float16", "bfloat16")
        have = types if peers.installed(["ml_dtypes"]) else types[:3]
        found = points(have, SCALES, CLASSES, names)
    summary = summarise(found)
    for line in summary:
        print(rounds.summary_line(line))
    if not arguments.smoke:
        print("wrote", harness.write("accuracy", {"facts": machine.facts(), "summary": summary, "points": found}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
