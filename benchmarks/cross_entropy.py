"""Cross-entropy, its value alone and with the gradient at the logits: softclass against NumPy, PyTorch, JAX, a copy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import judge
import peers
import rounds
import softclass
from peers import Rows
from rounds import Call, Options, Point, Setting, Target
from softmax import BEYOND_CACHE, GRID, OTHER_TYPES

VALUE, BOTH = "cross_entropy", "cross_entropy_value_and_gradient"


def contestants(operation: str, data: Rows, names: tuple[str, ...]) -> dict[str, Call]:
    """Every way to the answer, ours first."""
    z, y, out = data.logits, data.targets, data.out
    if operation == VALUE:
        found: dict[str, Call] = {"softclass": lambda: softclass.cross_entropy(z, y)}
    else:
        found = {
            "softclass": lambda: softclass.cross_entropy_value_and_gradient(z, y),
            "softclass out": lambda: softclass.cross_entropy_value_and_gradient(z, y, out=out),
        }
    if "torch" in names:
        found["softclass on torch"] = _on_torch(operation, data)
    return {**found, **getattr(peers, operation)(data, names)}


def _on_torch(operation: str, data: Rows) -> Call:
    z, y = peers.tensor(data.logits), peers.tensor(data.targets)
    if operation == VALUE:
        return lambda: softclass.cross_entropy(z, y)
    leaf = z.clone().requires_grad_()

    def backward() -> Any:
        leaf.grad = None
        loss: Any = softclass.cross_entropy(leaf, y)
        loss.backward()
        return loss, leaf.grad

    return backward


def ours(name: str) -> tuple[str, ...]:
    """What a peer is compared with: fresh with fresh, a given gradient with a given one, tensors also with tensors."""
    if name.startswith("softclass"):
        return ()
    if name.endswith(" out"):
        return ("softclass out",)
    return ("softclass", "softclass on torch") if name.startswith("torch") else ("softclass",)


def measured(setting: Setting, options: Options) -> list[Point]:
    """All points of a setting."""
    names = peers.installed(options.peers)
    few = tuple(name for name in names if name == "torch")
    if options.smoke:
        return list(_points(GRID[:2], "float32", names, setting, options))
    if setting.huge_pages:
        return list(_points(GRID, "float32", few, setting, options))
    points = list(_points(GRID, "float32", names, setting, options))
    for dtype in ("float64", "bfloat16") * (setting.threads > 1):
        points += _points(OTHER_TYPES, dtype, few, setting, options)
    return points


def _points(
    grid: tuple[tuple[int, int], ...], dtype: str, names: tuple[str, ...], setting: Setting, options: Options
) -> Iterator[Point]:
    for n_rows, n_classes in grid:
        data = Rows.made(n_rows, n_classes, dtype)
        mean = judge.mean_loss(data.logits, data.targets)
        for operation in (VALUE, BOTH):
            callers = contestants(operation, data, names)
            _check(operation, callers, data, mean)
            yield _point(operation, data, callers, setting, options, names)


def _check(operation: str, callers: dict[str, Call], data: Rows, mean: float) -> None:
    """The mean loss, and the gradient of some rows."""
    rtol, atol = judge.TOLERANCE[data.dtype]
    what = f"{operation} {data.logits.shape}"
    judge.check(what, callers, mean, lambda found: found[0] if isinstance(found, tuple) else found, rtol, atol)
    if operation == BOTH:
        n_rows, n_classes = data.logits.shape
        rows = judge.some_rows(n_rows, n_classes)
        wanted = judge.answers(data, rows)["gradient"] / n_rows
        judge.check(what, callers, wanted, lambda found: found[1][rows], rtol, judge.GRADIENT[data.dtype] / n_rows)


def _point(
    operation: str, data: Rows, callers: dict[str, Call], setting: Setting, options: Options, names: tuple[str, ...]
) -> Point:
    z = data.logits
    bytes_moved = z.nbytes * (1 if operation == VALUE else 2) + data.targets.nbytes
    copies = peers.copies(z, data.out, setting.threads, names)
    found = rounds.measure(callers, copies, options.rounds, ours, bytes_moved, 2 * z.nbytes)
    return {"operation": operation, "dtype": data.dtype, "shape": list(z.shape), **found}


def summarise(points: list[Point]) -> list[dict[str, Any]]:
    """The lines of the table of targets; further lines say how far PyTorch goes at its best."""
    whole, judged = "value and gradient", rounds.judged()
    lines = [
        rounds.mean_line(points, BOTH, GRID, ("torch", "softclass"), 6.0, f"{whole}, arrays, fresh gradient"),
        rounds.mean_line(points, BOTH, GRID, ("torch", "softclass on torch"), 6.0, f"{whole}, tensors, backward"),
        rounds.mean_line(points, BOTH, GRID, ("torch by hand out", "softclass out"), 1.0, f"{whole}, out="),
        rounds.mean_line(points, VALUE, GRID, ("torch", "softclass"), 1.0, "value, arrays"),
        rounds.mean_line(points, VALUE, GRID, ("torch", "softclass on torch"), 1.0, "value, tensors"),
    ]
    for operation, own, label in ((VALUE, "softclass", "value"), (BOTH, "softclass out", whole)):
        for shape in BEYOND_CACHE:
            reached = rounds.shares_of_copy(points, operation, own, shape)
            what = f"{label}, {shape[0]:,} x {shape[1]:,}: bytes/s of the copy"
            lines.append(Target(what, 0.75, "", reached, judged).line())
    return lines


if __name__ == "__main__":
    raise SystemExit(rounds.run("cross_entropy", __doc__ or "", measured, summarise=summarise))
