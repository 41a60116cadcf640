"""softmax, log_softmax and logsumexp: softclass against NumPy, SciPy, PyTorch, JAX and a copy of the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import judge
import peers
import rounds
import softclass
from peers import Rows
from rounds import Call, Options, Point, Setting, Target
from softclass.kernels import _cpu

GRID = (
    (1, 10), (32, 1000), (1_000_000, 3), (1_000_000, 10), (200_000, 100), (8192, 1000), (4096, 8192), (128, 128_256),
)  # fmt: skip
OTHER_TYPES = ((1_000_000, 10), (8192, 1000), (128, 128_256))
LAYOUTS = ((1_000_000, 10), (8192, 1000))
WORDS = ("softmax", "log_softmax", "logsumexp")
FEW = ((1_000_000, 3), (1_000_000, 10))
BEYOND_CACHE = GRID[2:]  # 12 to 134 MB, and as much for the result


def contestants(word: str, data: Rows, names: tuple[str, ...], axis: int = -1) -> dict[str, Call]:
    """Every way to the answer, ours first."""
    function: Callable[..., Any] = getattr(softclass, word)
    z, out = data.logits, data.out
    found: dict[str, Call] = {"softclass": lambda: function(z, axis=axis)}
    if word != "logsumexp":
        found["softclass out"] = lambda: function(z, axis=axis, out=out)
    if "torch" in names:
        tz, tout = peers.tensor(z), peers.tensor(out)
        found["softclass on torch"] = lambda: function(tz, axis=axis)
        if word != "logsumexp":
            found["softclass on torch out"] = lambda: function(tz, axis=axis, out=tout)
    return {**found, **getattr(peers, word)(data, names, axis)}


def ours(name: str) -> tuple[str, ...]:
    """What a peer is compared with: fresh with fresh, a given result with a given one, tensors also with tensors."""
    if name.startswith("softclass"):
        return ()
    end = " out" * name.endswith(" out")
    return (f"softclass{end}", f"softclass on torch{end}") if name.startswith("torch") else ("softclass",)


def measured(setting: Setting, options: Options) -> list[Point]:
    """All points of a setting."""
    names = peers.installed(options.peers)
    if options.smoke:
        return list(_points(GRID[:2], "float32", names, setting, options))
    if setting.huge_pages:  # only PyTorch's new memory changes
        return list(_points(GRID, "float32", tuple(name for name in names if name == "torch"), setting, options))
    points = list(_points(GRID, "float32", names, setting, options))
    if setting.threads > 1:
        few = tuple(name for name in names if name == "torch")
        for dtype in ("float64", "bfloat16"):
            points += _points(OTHER_TYPES, dtype, few, setting, options)
        points += _layouts(few, setting, options)
        points += _instruction_sets(setting, options)
    return points


def _points(
    grid: tuple[tuple[int, int], ...], dtype: str, names: tuple[str, ...], setting: Setting, options: Options
) -> Iterator[Point]:
    for n_rows, n_classes in grid:
        data = Rows.made(n_rows, n_classes, dtype)
        rows = judge.some_rows(n_rows, n_classes)
        for word in WORDS:
            callers = contestants(word, data, names)
            _check(word, callers, data, lambda found, rows=rows: found[rows], rows)
            yield _point(word, data, callers, setting, options, names)


def _layouts(names: tuple[str, ...], setting: Setting, options: Options) -> Iterator[Point]:
    """Classes along the first axis, and rows in Fortran's order: the same memory, said in two ways."""
    for n_rows, n_classes in LAYOUTS:
        rows = judge.some_rows(n_rows, n_classes)
        data = Rows.made(n_rows, n_classes)
        order = np.asfortranarray(data.logits)
        for operation, logits, axis in (("softmax, axis 0", order.T, 0), ("softmax, Fortran order", order, -1)):
            turned = Rows(logits, data.targets, np.zeros_like(logits))
            callers = contestants("softmax", turned, names, axis)
            if axis:
                callers.pop("torch out", None)  # wrong data if the result is not contiguous (pytorch#75923)
            _check("softmax", callers, data, lambda found, a=axis, r=rows: found[r] if a else found.T[r], rows)
            yield {**_point("softmax", turned, callers, setting, options, names), "operation": operation}


def _instruction_sets(setting: Setting, options: Options) -> Iterator[Point]:
    """The same rows by every set of instructions this machine has."""
    chosen = _cpu.target()
    for n_rows, n_classes in LAYOUTS:
        data = Rows.made(n_rows, n_classes)

        def by(target: str, data: Rows = data) -> Call:
            def call() -> Any:
                _cpu.set_target(target)
                return softclass.softmax(data.logits, out=data.out)

            return call

        callers = {f"softclass out, {target}": by(target) for target in _cpu.targets()}
        rows = judge.some_rows(n_rows, n_classes)
        _check("softmax", callers, data, lambda found, rows=rows: found[rows], rows)
        yield {**_point("softmax", data, callers, setting, options, ()), "operation": "softmax, instructions"}
        _cpu.set_target(chosen)


def _check(word: str, callers: dict[str, Call], data: Rows, pick: Callable[[Any], Any], rows: Any) -> None:
    rtol, atol = judge.TOLERANCE[data.dtype]
    atol = judge.SMALLEST if word == "softmax" else atol
    judge.check(f"{word} {data.logits.shape}", callers, judge.answers(data, rows)[word], pick, rtol, atol)


def _point(
    word: str, data: Rows, callers: dict[str, Call], setting: Setting, options: Options, names: tuple[str, ...]
) -> Point:
    z = data.logits
    read, written = z.nbytes, len(z) * z.itemsize if word == "logsumexp" else z.nbytes
    copies = peers.copies(np.ravel(z, order="K"), np.ravel(data.out, order="K"), setting.threads, names)
    callers = {**callers, **peers.fresh_copies(z, names)} if word == "softmax" else callers
    found = rounds.measure(callers, copies, options.rounds, ours, read + written, 2 * z.nbytes)
    return {"operation": word, "dtype": data.dtype, "shape": list(z.shape), **found}


def summarise(points: list[Point]) -> list[dict[str, Any]]:
    """The lines of the table of targets, one way of calling softclass after the other."""
    lines = []
    for own, where in (("softclass", "arrays"), ("softclass on torch", "tensors")):
        for word in ("softmax", "log_softmax"):
            given = ("torch out", f"{own} out")
            lines += [
                rounds.mean_line(points, word, GRID, ("torch", own), 3.0, f"{word}, {where}, fresh result"),
                rounds.mean_line(points, word, GRID, given, 1.5, f"{word}, {where}, out="),
            ]
        for few in FEW:
            label = f"softmax, {where}, fresh result, {few[0]:,} x {few[1]}"
            lines.append(rounds.mean_line(points, "softmax", (few,), ("torch", own), 8.0, label))
        lines.append(rounds.mean_line(points, "logsumexp", GRID, ("torch", own), 6.0, f"logsumexp, {where}"))
    pair = ("scipy", "softclass")
    for word in ("softmax", "log_softmax"):
        lines.append(rounds.mean_line(points, word, GRID, pair, 10.0, f"{word}, arrays, fresh result"))
    lines.append(rounds.mean_line(points, "logsumexp", GRID, pair, 6.0, "logsumexp, arrays"))
    for word in WORDS:
        own = "softclass" if word == "logsumexp" else "softclass out"
        for shape in BEYOND_CACHE:
            what = f"{word}, {shape[0]:,} x {shape[1]:,}: bytes/s of the copy"
            reached = rounds.shares_of_copy(points, word, own, shape)
            lines.append(Target(what, 0.75, "", reached, rounds.judged()).line())
    return lines


if __name__ == "__main__":
    raise SystemExit(rounds.run("softmax", __doc__ or "", measured, summarise=summarise))
