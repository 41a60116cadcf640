"""What one row of ten classes costs a call: softclass against an empty call into its module, SciPy, NumPy, PyTorch."""

from __future__ import annotations

from typing import Any

import cross_entropy
import judge
import peers
import rounds
import softmax
from peers import Rows
from rounds import Call, Options, Point, Setting, Target
from softclass.kernels import _cpu

SHAPE = (1, 10)
EMPTY = "empty call"
BEYOND_EMPTY_US, SCIPY = 2.0, 5.0


def contestants(operation: str, data: Rows, names: tuple[str, ...]) -> dict[str, Call]:
    """Every way to the answer, and the way into the module and back."""
    module = softmax if operation in softmax.WORDS else cross_entropy
    return {EMPTY: _cpu.thread_count, **module.contestants(operation, data, names)}


def measured(setting: Setting, options: Options) -> list[Point]:
    """One point an operation."""
    names, data = peers.installed(options.peers), Rows.made(*SHAPE)
    points = []
    for operation in (*softmax.WORDS, cross_entropy.VALUE, cross_entropy.BOTH):
        callers = contestants(operation, data, names)
        _check(operation, {name: call for name, call in callers.items() if name != EMPTY}, data)
        found = rounds.measure(callers, {}, options.rounds, _ours)
        points.append({"operation": operation, "dtype": data.dtype, "shape": list(SHAPE), **found})
    return points


def _ours(name: str) -> tuple[str, ...]:
    return () if name == EMPTY else cross_entropy.ours(name)


def _check(operation: str, callers: dict[str, Call], data: Rows) -> None:
    name = {cross_entropy.VALUE: "loss", cross_entropy.BOTH: "gradient"}.get(operation, operation)
    wanted = judge.answers(data)[name]
    wanted = wanted.mean() if name == "loss" else wanted
    judge.check(operation, callers, wanted, lambda found: found[1] if isinstance(found, tuple) else found, 2e-4, 2e-5)


def summarise(points: list[Point]) -> list[dict[str, Any]]:
    """The lines of the table of targets."""
    lines = []
    operations = dict.fromkeys(point["operation"] for point in points)
    for operation in operations:
        own = [point for point in points if point["operation"] == operation]
        beyond = {point["setting"]: _median(point, "softclass") - _median(point, EMPTY) for point in own}
        what = f"{operation} 1 x 10, arrays: beyond an empty call"
        lines.append(Target(what, BEYOND_EMPTY_US, "us", beyond, rounds.judged(), at_most=True).line())
    for operation in operations:
        pair = ("scipy", "softclass")
        line = rounds.mean_line(points, operation, (SHAPE,), pair, SCIPY, f"{operation} 1 x 10, arrays")
        lines += [line] if line["reached"] else []
    return lines


def _median(point: Point, name: str) -> float:
    return float(point["contestants"][name]["median_us"])


if __name__ == "__main__":
    raise SystemExit(
        rounds.run("small_calls", __doc__ or "", measured, summarise=summarise, settings=rounds.usual_settings()[:-1])
    )
