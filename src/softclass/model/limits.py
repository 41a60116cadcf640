"""Limits that somebody set: metrics that must be reached, and the memory of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import fields
from numbers import Real
from typing import Any

from softclass.errors import CheckFailedError, TooLargeError, UsageError, nearest, shown
from softclass.trust.evaluation import Evaluation

METRICS = tuple(field.name for field in fields(Evaluation) if field.type in ("float", "int", "float | None"))
# Of these, more is better; of every other figure, less.
LARGER_IS_BETTER = ("accuracy", "balanced_accuracy", "top_5_accuracy", "brier_discrimination", "n", "n_classes")
SHARE_OF_MEMORY = 0.8
SHARE_FOR_FEATURES = 0.5  # beyond, features are streamed from disk
SHARE_FOR_CELLS = 0.5  # of that: beyond, the cells of a table are kept on disk


def parse_limits(value: str | Mapping[str, float] | None) -> dict[str, float]:
    """
    Read ``METRIC=X,...``.

    Examples
    --------
    >>> parse_limits("accuracy=0.9, log_loss=0.5")
    {'accuracy': 0.9, 'log_loss': 0.5}
    """
    if value is None:
        return {}
    if not isinstance(value, str):
        for name, limit in value.items():
            if isinstance(limit, bool) or not isinstance(limit, Real):
                raise UsageError("SC207", f"--fail-under needs a number for {shown(name)}; got {shown(repr(limit))}")
        return {name: float(limit) for name, limit in value.items()}
    limits = {}
    for piece in value.split(","):
        name, equals, number = piece.partition("=")
        try:
            limits[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise UsageError("SC207", f'--fail-under must be METRIC=NUMBER,...; got "{shown(piece)}"')
    return limits


def check_metric_names(limits: Mapping[str, float], known: Iterable[str] = METRICS) -> None:
    """Raise SC207 if a limit names no metric."""
    names = list(known)
    for name in limits:
        if name not in names:
            close = nearest(name, names)
            hint = f"Did you mean {', '.join(close)}?" if close else f"There are {', '.join(sorted(names))}"
            raise UsageError("SC207", f'--fail-under names no metric of the evaluation; got "{shown(name)}"', hint=hint)


def check_fail_under(metrics: Mapping[str, Any] | None, fail_under: str | Mapping[str, float] | None) -> None:
    """Raise SC501 if a metric is worse than its limit, SC207 if there is no such metric."""
    limits = parse_limits(fail_under)
    numbers = {
        name: value
        for name, value in (metrics or {}).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    check_metric_names(limits, METRICS if metrics is None else metrics)
    broken = []
    for name, limit in limits.items():
        if metrics is None:
            broken.append(f"{name} is not known, since nothing was held out")
        elif name not in numbers:
            broken.append(f"{name} is not known for these rows")
        else:
            worse = numbers[name] < limit if name in LARGER_IS_BETTER else numbers[name] > limit
            if worse or numbers[name] != numbers[name]:
                broken.append(f"{name} is {numbers[name]:.4g}, the limit is {limit:g}")
    if broken:
        raise CheckFailedError("SC501", "; ".join(broken), where="--fail-under")


def streaming_limit() -> float:
    """Return how many bytes of features are held in memory if nobody says otherwise."""
    return SHARE_FOR_FEATURES * _memory_bytes()


def check_features_fit(
    n_rows: int, n_features: int, n_classes: int, where: str, *, streamed_bytes: int | None = None
) -> None:
    """Raise SC606 before the work starts if weights and features, or what is held of them, cannot fit into memory."""
    parameters = n_classes * (n_features + 1)
    # float32 features and their scaled copy; some twenty float64 vectors of the solver; logits of a block of rows.
    features = 8 * n_rows * n_features
    held = features if streamed_bytes is None else min(features, streamed_bytes)
    needed = held + 20 * 8 * parameters + 3 * 8 * min(n_rows, 65_536) * n_classes
    allowed = int(SHARE_OF_MEMORY * _memory_bytes())
    if needed > allowed:
        raise TooLargeError(
            "SC606",
            f"needs {_gib(needed)}, allowed {_gib(allowed)}: {n_features:,} features, {n_classes:,} classes, "
            f"{n_rows:,} rows",
            where=shown(where),
            hint="Merge rare classes, drop columns of many categories, or use --rows and --max-categories",
        )


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"


def _memory_bytes() -> int:
    """Memory of the machine, or of the control group that holds the process."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**62  # no way to know here: let the allocation decide
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(limit, encoding="ascii") as file:
                text = file.read().strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total
