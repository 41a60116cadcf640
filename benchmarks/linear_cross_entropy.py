"""linear_cross_entropy, value and gradient: softclass against both paths of PyTorch and the bare products; memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import judge
import machine
import peers
import rounds
import softclass
from rounds import Call, Options, Point, Setting, Target

EXTRA_MEMORY = 64e6  # bytes beyond inputs and gradients, whatever the number of classes
PRODUCT_ROWS = 1024  # of the bare products at a time: their logits are never all there either
SOLVER, HEAD = ("weight", "bias"), ("weight", "bias", "features")  # what a solver asks for, and a language model


@dataclass(frozen=True)
class Case:
    """Sizes, the gradients that are asked for, and how many rounds there is time for."""

    n_rows: int
    n_features: int
    n_classes: int
    wrt: tuple[str, ...]
    rounds: int

    @property
    def label(self) -> str:
        """As tables say it."""
        with_features = "" if self.wrt == SOLVER else ", features too"
        return f"{self.n_rows:,} x {self.n_features:,} -> {self.n_classes:,}{with_features}"


SMOKE = (Case(32, 20, 10, SOLVER, 2), Case(64, 16, 300, HEAD, 2))
CASES = (
    Case(60_000, 784, 10, SOLVER, 15),
    Case(8192, 512, 32_768, SOLVER, 3),
    Case(8192, 512, 32_768, HEAD, 3),
    Case(4096, 768, 128_256, HEAD, 2),
)
GRID = tuple(
    Case(n_rows, n_features, n_classes, SOLVER, count)
    for n_rows, n_classes, count in ((60_000, 10, 9), (8192, 1000, 5), (1024, 32_000, 3))
    for n_features in (64, 784, 4096)
)
ALONE = CASES[:1]  # with one thread the others would take minutes a call


@dataclass(frozen=True)
class Data:
    """Features, weight and bias such that logits are near normal with scale 3, and targets."""

    features: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int64]

    @classmethod
    def made(cls, case: Case) -> Data:
        """Make them; the same for the same sizes."""
        rng = np.random.default_rng(case.n_classes)
        features = rng.standard_normal((case.n_rows, case.n_features), dtype=np.float32)
        weight = rng.standard_normal((case.n_classes, case.n_features), dtype=np.float32)
        weight *= np.float32(3 / case.n_features**0.5)
        bias = rng.standard_normal(case.n_classes, dtype=np.float32)
        return cls(features, weight, bias, rng.integers(0, case.n_classes, case.n_rows))

    def small(self) -> Data:
        """A corner of the same data, to start pools and buffers with."""
        return Data(self.features[:64], self.weight[:64].copy(), self.bias[:64].copy(), self.targets[:64] % 64)


def contestants(data: Data, wrt: tuple[str, ...], names: Sequence[str]) -> dict[str, Call]:
    """Every way to the value and the gradients, ours first."""

    def ours() -> Any:
        value, gradients = softclass.linear_cross_entropy_value_and_gradient(
            data.features, data.weight, data.targets, bias=data.bias, wrt=wrt
        )
        return (value, *(getattr(gradients, name) for name in wrt))

    found: dict[str, Call] = {"softclass": ours}
    return {**found, **(_torch(data, wrt) if "torch" in names else {})}


def _torch(data: Data, wrt: tuple[str, ...]) -> dict[str, Call]:
    """Our function on tensors; the logits all at once; PyTorch's pieces, of the size it chooses and of 1,024 rows."""
    import torch
    from torch.nn import functional

    leaves = {
        name: peers.tensor(getattr(data, name)).requires_grad_(name in wrt) for name in ("features", "weight", "bias")
    }
    features, weight, bias, targets = *leaves.values(), peers.tensor(data.targets)

    def backward(loss: Any) -> Any:
        loss.backward()
        gradients = tuple(leaves[name].grad for name in wrt)
        for name in wrt:
            leaves[name].grad = None
        return (loss, *gradients)

    def pieces(**options: Any) -> Call:
        chosen = torch.nn.LinearCrossEntropyOptions(**options)
        return lambda: backward(
            functional.linear_cross_entropy(features, weight, targets, linear_bias=bias, options=chosen)
        )

    found: dict[str, Call] = {
        "softclass on torch": lambda: backward(softclass.linear_cross_entropy(features, weight, targets, bias=bias)),
        "torch dense": lambda: backward(functional.cross_entropy(functional.linear(features, weight, bias), targets)),
    }
    if hasattr(functional, "linear_cross_entropy"):
        found["torch chunked"] = pieces()
        rows = min(PRODUCT_ROWS, len(data.features))
        found["torch chunked, 1024 rows"] = pieces(batch_chunk_size=rows, chunking_method=None)
    return found


def products(data: Data, wrt: tuple[str, ...], names: Sequence[str]) -> dict[str, Call]:
    """The bare products of matrices, by the fastest library there is: what cannot be saved while logits are stored."""
    n_rows, n_classes = min(PRODUCT_ROWS, len(data.features)), len(data.weight)
    logits = np.ones((n_rows, n_classes), dtype=np.float32)
    weight_out, features_out = np.ones_like(data.weight), np.ones_like(data.features[:n_rows])
    pieces = [data.features[start : start + n_rows] for start in range(0, len(data.features), n_rows)]
    arrays: list[Any] = [data.weight, weight_out, features_out, logits]
    multiply: Any = np.matmul
    if "torch" in names:
        import torch

        arrays, pieces, multiply = (
            [peers.tensor(one) for one in arrays],
            [peers.tensor(one) for one in pieces],
            torch.mm,
        )
    w, w_out, x_out, z = arrays

    def call() -> None:
        for x in pieces:
            part = z[: len(x)]
            multiply(x, w.T, out=part)
            multiply(part.T, x, out=w_out)
            if "features" in wrt:
                multiply(part, w, out=x_out[: len(x)])

    return {"products": call}


def measured(setting: Setting, options: Options) -> list[Point]:
    """All points of a setting; memory with the last of them, in processes of their own."""
    names = peers.installed(options.peers)
    cases = ALONE if setting.threads == 1 else CASES + GRID * options.extra
    points = [_point(case, names) for case in (SMOKE if options.smoke else cases)]
    if setting.threads > 1 and not options.smoke:
        for number, point in enumerate(points[: len(CASES)]):
            ways = ["softclass", *(name for name in point["contestants"] if "torch" in name)]
            point["extra_memory_mb"] = {name: _memory_of(number, name) for name in ways}
    return points


def _point(case: Case, names: tuple[str, ...]) -> Point:
    data = Data.made(case)
    callers = contestants(data, case.wrt, names)
    _check(case, data, callers)
    callers |= products(data, case.wrt, names)
    found = rounds.measure(callers, {}, case.rounds, _ours, warm=case.rounds < 5)
    shape = [case.n_rows, case.n_features, case.n_classes]
    return {"operation": case.label, "dtype": "float32", "shape": shape, "wrt": case.wrt, **found}


def _ours(name: str) -> tuple[str, ...]:
    if name.startswith("softclass"):
        return ()
    return ("softclass", "softclass on torch")


def _check(case: Case, data: Data, callers: dict[str, Call]) -> None:
    """The value against float64, and the gradients against those of the first contestant."""
    mean, step = 0.0, max(1, 4_000_000 // case.n_classes)
    for start in range(0, case.n_rows, step):
        piece = slice(start, start + step)
        logits = data.features[piece] @ data.weight.T + data.bias
        mean += judge.mean_loss(logits, data.targets[piece]) * len(logits) / case.n_rows
    first = None
    for name, call in callers.items():
        value, *gradients = peers.as_numpy(call())
        first = first or gradients
        close = [
            np.allclose(a, b, rtol=5e-3, atol=2e-3 * np.abs(b).max()) for a, b in zip(gradients, first, strict=True)
        ]
        if abs(float(value) - mean) > 1e-4 * mean or not all(close):
            raise ArithmeticError(f"{case.label}: {name} gives {float(value)} for {mean}, gradients agree: {close}")


def _memory_of(number: int, name: str) -> float:
    """Peak of one call beyond inputs and gradients, in MB, measured in a process of its own."""
    command = [sys.executable, __file__, "--memory", str(number), name]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout))


def memory(number: int, name: str) -> float:
    """Measure this process: largest resident set during the call, less that before it and the gradients it returned."""
    case = CASES[number]
    data = Data.made(case)
    names = ("torch",) if "torch" in name else ()
    contestants(data.small(), case.wrt, names)[name]()
    call = contestants(data, case.wrt, names)[name]
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to what is resident now
    before = _resident("VmHWM")
    result = call()
    peak = _resident("VmHWM")
    gradients = sum(one.nbytes for one in peers.as_numpy(result)[1:])
    return round((peak - before - gradients) / 1e6, 1)


def _resident(field: str) -> int:
    [line] = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith(field)]
    return int(line.split()[1]) * 1024


def summarise(points: list[Point]) -> list[dict[str, Any]]:
    """The lines of the table of targets."""
    lines = []
    for case in CASES:
        own = [point for point in points if point["operation"] == case.label]
        for peer in ("torch dense", "torch chunked", "torch chunked, 1024 rows"):
            for ours in ("softclass", "softclass on torch"):
                reached = {
                    point["setting"]: point["ratios"][peer][ours]["median"] for point in own if peer in point["ratios"]
                }
                lines.append(Target(f"{case.label}: {peer} / {ours}", 1.0, "x", reached, rounds.judged()).line())
        for ours in ("softclass", "softclass on torch"):
            reached = {
                point["setting"]: point["extra_memory_mb"][ours]
                for point in own
                if ours in point.get("extra_memory_mb", {})
            }
            what = f"{case.label}: extra memory, {ours}"
            lines.append(Target(what, EXTRA_MEMORY / 1e6, "MB", reached, rounds.judged(), at_most=True).line())
    return [line for line in lines if line["reached"]]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        print(memory(int(sys.argv[2]), sys.argv[3]))
        raise SystemExit(0)
    raise SystemExit(
        rounds.run(
            "linear_cross_entropy",
            __doc__ or "",
            measured,
            summarise=summarise,
            settings=[Setting(count) for count in sorted({1, len(machine.allowed_cores())})],
        )
    )
