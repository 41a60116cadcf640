"""The tables of edges and of defects in other libraries, row by row, as golden cases; the values are set by hand."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np

from golden_encoding import encoded, encoded_one, hexadecimal, options

nan, inf = math.nan, math.inf
ALL = ["float16", "bfloat16", "float32", "float64"]
HALF, LOG_HALF = 0.5, -mpmath.log(2)
E = mpmath.e


def edges() -> list[dict[str, Any]]:
    """Return the edges of the softmax family, then those of the losses."""
    return [*_family_edges(), *_loss_edges(), *_refused()]


# ---- softmax, log_softmax, logsumexp
def _family(
    name: str,
    logits: list[float],
    probabilities: list[Any],
    logs: list[Any],
    log_partition: Any,
    vjp: list[Any],
    *,
    where: list[bool] | None = None,
    dtypes: list[str] = ALL,
) -> dict[str, Any]:
    """Return one row; `vjp` is the product of the cotangent 1, 2, 4, ... and the derivative of softmax."""
    return {
        "kind": "family",
        "name": name,
        "dtypes": dtypes,
        "logits": hexadecimal(logits),
        "where": where,
        "probabilities": encoded(probabilities),
        "log_probabilities": encoded(logs),
        "log_partition": encoded_one(log_partition),
        "vjp": encoded(vjp),
    }


def _family_edges() -> list[dict[str, Any]]:
    nan2, nan3 = [nan] * 2, [nan] * 3
    return [
        _family("a NaN", [1, nan, 2], nan3, nan3, nan, nan3),
        _family("a NaN first", [nan, 1, 2], nan3, nan3, nan, nan3),
        _family("a NaN among -inf", [-inf, nan], nan2, nan2, nan, nan2),
        _family("a NaN beside +inf", [inf, nan, 0], nan3, nan3, nan, nan3),
        _family("a NaN after +inf twice", [inf, inf, nan], nan3, nan3, nan, nan3),
        _family("only NaN", [nan], [nan], [nan], nan, [nan]),
        _family("one +inf", [1, inf, -inf], [0, 1, 0], [-inf, 0, -inf], inf, [0, 0, 0]),
        _family("one +inf last", [1, 2, inf], [0, 0, 1], [-inf, -inf, 0], inf, [0, 0, 0]),
        _family("two +inf", [inf, 1, inf], nan3, nan3, inf, nan3),
        _family("only +inf, twice", [inf, inf], nan2, nan2, inf, nan2),
        _family("some -inf", [-inf, 0, 0], [0, HALF, HALF], [-inf, LOG_HALF, LOG_HALF], -LOG_HALF, [0, -0.5, 0.5]),
        _family("all but one -inf", [-inf, 3, -inf], [0, 1, 0], [-inf, 0, -inf], 3, [0, 0, 0]),
        _family("all -inf", [-inf, -inf, -inf], nan3, nan3, -inf, nan3),
        *_where_edges(),
        _family("no class", [], [], [], -inf, []),
        _family("one class", [7.5], [1], [0], 7.5, [0]),
        _family("one class, +inf", [inf], [1], [0], inf, [0]),
        _family("one class, -inf", [-inf], [nan], [nan], -inf, [nan]),
        _family("zeros of both signs", [-0.0, 0.0], [HALF] * 2, [LOG_HALF] * 2, -LOG_HALF, [-0.25, 0.25]),
        _family("far apart", [8192, -8192], [1, 0], [0, -16384], 8192, [0, 0]),
        _family("largest, float16", [65504, -65504], [1, 0], [0, -131008], 65504, [0, 0], dtypes=["float16"]),
        _family(
            "largest, bfloat16",
            [2.0**127, -(2.0**127)],
            [1, 0],
            [0, -inf],
            2.0**127,
            [0, 0],
            dtypes=["bfloat16", "float32"],
        ),
        _family("largest, float64", [1e308, -1e308], [1, 0], [0, -inf], 1e308, [0, 0], dtypes=["float64"]),
        _family("largest twice", [1e308, 1e308], [HALF] * 2, [LOG_HALF] * 2, 1e308, [-0.25, 0.25], dtypes=["float64"]),
    ]


def _where_edges() -> list[dict[str, Any]]:
    halves, logs, vjp = [0, HALF, HALF], [-inf, LOG_HALF, LOG_HALF], [0, -0.5, 0.5]
    absent = [False, True, True]
    none = [0, 0, 0], [-inf] * 3, -inf, [0, 0, 0]
    return [
        *(
            _family(f"where False on a {name}", [value, 0, 0], halves, logs, -LOG_HALF, vjp, where=absent)
            for name, value in (("number", 5.0), ("NaN", nan), ("+inf", inf), ("-inf", -inf))
        ),
        _family("where True on one", [3, 7], [0, 1], [-inf, 0], 7, [0, 0], where=[False, True]),
        _family(
            "where leaves one +inf", [inf, 0, inf], [1, 0, 0], [0, -inf, -inf], inf, [0] * 3, where=[True, True, False]
        ),
        _family("where leaves a NaN", [nan, 1], *[[nan] * 2] * 2, nan, [nan] * 2, where=[True, False]),
        _family("where False on all", [1, 2, 3], *none, where=[False] * 3),
        _family("where False on all, NaN and +inf", [nan, inf, -inf], *none, where=[False] * 3),
    ]


# ---- losses
def _loss(
    name: str,
    logits: list[list[float]],
    targets: list[Any],
    losses: list[Any],
    gradient: list[list[Any]],
    *,
    mean: Any,
    weight_sum: float,
    smoothing: float = 0.0,
    of_sample: list[float] | None = None,
    of_class: list[float] | None = None,
    ignored: int | None = None,
) -> dict[str, Any]:
    """Return one batch; the gradient is that of the sum, and of the mean after division by the sum of the weights."""
    return {
        "kind": "loss",
        "name": name,
        "logits": hexadecimal(logits),
        **options(targets, smoothing, of_sample, of_class, ignored),
        "weight_sum": weight_sum,
        "none": encoded(losses),
        "sum": encoded_one(mpmath.fsum(losses) if all(map(math.isfinite, losses)) else sum(map(float, losses))),
        "mean": encoded_one(mean),
        "gradient": [encoded(row) for row in gradient],
    }


def _one(name: str, row: list[float], target: Any, loss: Any, gradient: list[Any], **given: Any) -> dict[str, Any]:
    """Return a batch of one row of weight 1."""
    return _loss(name, [row], [target], [loss], [gradient], mean=loss, weight_sum=1.0, **given)


def _loss_edges() -> list[dict[str, Any]]:
    return [*_absent_rows(), *_rows_with_infinite_logits(), *_rows_that_fail()]


def _absent_rows() -> list[dict[str, Any]]:
    """Return batches in which a row counts for nothing, whatever it holds."""
    plain, loss, slope = [0.0, 0.0], mpmath.log(2), [-0.5, 0.5]
    found: list[dict[str, Any]] = []
    for name, garbage in (("NaN", [nan, 1]), ("+inf", [inf, inf]), ("-inf", [-inf, -inf]), ("all", [inf, nan])):
        rows, losses, gradient = [plain, garbage], [loss, 0], [slope, [0, 0]]
        together = {"mean": loss, "weight_sum": 1.0}
        found += [
            _loss(f"ignored row, {name}", rows, [0, 1], losses, gradient, ignored=1, **together),
            _loss(f"ignored row, {name}, index out of range", rows, [0, -9], losses, gradient, ignored=-9, **together),
            _loss(f"sample weight 0, {name}", rows, [0, 1], losses, gradient, of_sample=[1, 0], **together),
            _loss(f"sample weight 0, {name}, bad index", rows, [0, 7], losses, gradient, of_sample=[1, 0], **together),
            _loss(f"class weight 0, {name}", rows, [0, 1], losses, gradient, of_class=[1, 0], **together),
            _loss(
                f"sample weight 0, {name}, bad soft target",
                rows,
                [[1.0, 0.0], [nan, -3.0]],
                losses,
                gradient,
                of_sample=[1, 0],
                **together,
            ),
            _loss(
                f"ignored row, {name}, smoothing",
                rows,
                [0, 1],
                losses,
                [[-0.25, 0.25], [0, 0]],
                smoothing=0.5,
                ignored=1,
                **together,
            ),
        ]
    nothing = {"mean": nan, "weight_sum": 0.0}
    zeros = [[0, 0], [0, 0]]
    return [
        *found,
        _loss("every row ignored", [plain, [nan, inf]], [1, 1], [0, 0], zeros, ignored=1, **nothing),
        _loss("every row of class weight 0", [plain, plain], [1, 1], [0, 0], zeros, of_class=[1, 0], **nothing),
        _loss("no row", [], [], [], [], **nothing),
    ]


def _rows_with_infinite_logits() -> list[dict[str, Any]]:
    low = [0.0, 1.0, -inf]
    shares = [1 / (1 + E), E / (1 + E)]
    return [
        _one("target at -inf", low, 2, inf, [*shares, -1]),
        _one("target at -inf, soft", low, [0.0, 0.5, 0.5], inf, [shares[0], shares[1] - 0.5, -0.5]),
        _one("another class at -inf", [0.0, 0.0, -inf], 0, mpmath.log(2), [-0.5, 0.5, 0]),
        _one("smoothing and -inf", [0.0, 0.0, -inf, -inf], 0, inf, [-0.125, 0.375, -0.125, -0.125], smoothing=0.5),
        _one("soft target 0 at -inf", [0.0, 0.0, -inf], [0.5, 0.5, 0.0], mpmath.log(2), [0, 0, 0]),
        _loss(
            "class weight 0, target at -inf", [low], [2], [0], [[0] * 3], mean=nan, weight_sum=0.0, of_class=[1, 1, 0]
        ),
        _loss(
            "target at -inf beside a finite row",
            [low, [0.0] * 3],
            [2, 0],
            [inf, mpmath.log(3)],
            [[*shares, -1], [mpmath.mpf(-2) / 3, mpmath.mpf(1) / 3, mpmath.mpf(1) / 3]],
            mean=inf,
            weight_sum=2.0,
        ),
        _one("target at +inf", [0.0, inf, -inf], 1, 0, [0, 0, 0]),
        _one("target not at +inf", [0.0, inf, -inf], 0, inf, [-1, 1, 0]),
        _one("smoothing and +inf", [0.0, inf], 1, inf, [-0.25, 0.25], smoothing=0.5),
        _one("soft target partly at +inf", [0.0, inf], [0.25, 0.75], inf, [-0.25, 0.25]),
        _one("one-hot target at +inf", [0.0, inf], [0.0, 1.0], 0, [0, 0]),
        _one("one class", [5.0], 0, 0, [0]),
        _one("one class, smoothing", [5.0], 0, 0, [0], smoothing=0.5),
        _one("far apart, wrong", [8192, -8192], 1, 16384, [1, -1]),
        _one("far apart, right", [8192, -8192], 0, 0, [0, 0]),
    ]


def _rows_that_fail() -> list[dict[str, Any]]:
    fine, loss, slope = [0.0, 0.0, -inf], mpmath.log(2), [-0.5, 0.5, 0]
    bad = {"all -inf": [-inf] * 3, "a NaN": [0.0, nan, 1.0], "a NaN at the target": [nan, 0.0, 1.0]}
    bad |= {"two +inf": [inf, inf, 0.0], "only NaN": [nan] * 3}
    return [
        _loss(f"{name}, others untouched", [fine, row, fine], [0, target, 1], [loss, nan, loss],
              [slope, [nan] * 3, [0.5, -0.5, 0]], mean=nan, weight_sum=3.0)
        if np.ndim(target) == 0
        else _loss(f"{name}, soft, others untouched", [fine, row, fine],
                   [[1.0, 0.0, 0.0], target, [0.0, 1.0, 0.0]], [loss, nan, loss],
                   [slope, [nan] * 3, [0.5, -0.5, 0]], mean=nan, weight_sum=3.0)
        for name, row in bad.items()
        for target in (0, [1.0, 0.0, 0.0])
    ]  # fmt: skip


def _refused() -> list[dict[str, Any]]:
    """Return calls that are an error."""
    rows = [[0.0, 1.0], [2.0, 0.0]]
    wrong: list[tuple[str, str, list[list[float]], list[Any], dict[str, Any]]] = [
        ("index = number of classes", "SC121", rows, [0, 2], {}),
        ("index -1", "SC121", rows, [-1, 0], {}),
        ("index -1 in a row of NaN", "SC121", [[nan, nan], [0.0, 0.0]], [-1, 0], {}),
        ("index out of range beside an ignored row", "SC121", rows, [0, 7], {"ignored": 0}),
        ("no class", "SC121", [[], []], [0, 0], {}),
        ("negative soft target", "SC122", rows, [[1.5, -0.5], [1.0, 0.0]], {}),
        ("NaN soft target", "SC122", rows, [[1.0, 0.0], [nan, 1.0]], {}),
        ("soft target of sum 0.9", "SC122", rows, [[0.5, 0.4], [1.0, 0.0]], {}),
        ("soft target of sum 0", "SC122", rows, [[0.0, 0.0], [1.0, 0.0]], {}),
        ("negative sample weight", "SC142", rows, [0, 1], {"of_sample": [1.0, -1.0]}),
        ("NaN sample weight", "SC142", rows, [0, 1], {"of_sample": [nan, 1.0]}),
        ("infinite sample weight", "SC142", rows, [0, 1], {"of_sample": [inf, 1.0]}),
        ("sample weights all zero", "SC142", rows, [0, 1], {"of_sample": [0.0, 0.0]}),
        ("negative class weight", "SC142", rows, [0, 1], {"of_class": [1.0, -1.0]}),
        ("NaN class weight", "SC142", rows, [0, 1], {"of_class": [nan, 1.0]}),
        ("ignore_index with soft targets", "SC202", rows, [[1.0, 0.0], [0.0, 1.0]], {"ignored": 1}),
    ]
    return [
        {
            "kind": "refused",
            "name": name,
            "logits": hexadecimal(logits),
            **options(targets, 0.0, given.get("of_sample"), given.get("of_class"), given.get("ignored")),
            "error": error,
        }
        for name, error, logits, targets, given in wrong
    ]


# ---- defects of other libraries, by their number in the design
def peers() -> list[dict[str, Any]]:
    """Return what other libraries get wrong as inputs and exact values, where numbers say it."""
    lost = mpmath.exp(-20)
    rest = 2 * lost / (1 + 2 * lost)
    thousands = mpmath.log(70_000)
    wide = mpmath.log(mpmath.exp(mpmath.mpf(11.75)) + mpmath.exp(mpmath.mpf(7.5)) + 1)
    soft = mpmath.log(1 + E) - HALF
    return [
        {"defect": 1, "dtype": "float32", "logits": hexadecimal([0, -20, -20]),
         "log_probabilities": encoded([-mpmath.log1p(2 * lost), *[-20 - mpmath.log1p(2 * lost)] * 2])},
        {"defect": 2, "dtype": "float32", "logits": hexadecimal([0, -20, -20]), "targets": 0,
         "gradient": encoded([-rest, rest / 2, rest / 2])},
        {"defect": 3, "dtype": "float16", "equal_logits": 70_000, "probability": encoded_one(1 / mpmath.mpf(70_000)),
         "log_probability": encoded_one(-thousands), "log_partition": encoded_one(thousands)},
        {"defect": 9, "dtype": "float16", "features": hexadecimal([[480.0], [0.0]]),
         "weight": hexadecimal([[240.0], [0.0], [0.0], [0.0]]), "targets": [1, 0],
         "mean": encoded_one((115_200 + mpmath.log(4)) / 2)},
        {"defect": 10, "dtype": "float64", "logits": hexadecimal([0, 1, -inf]), "targets": hexadecimal([0.5, 0.5, 0]),
         "loss": encoded_one(soft)},
        {"defect": 12, "dtype": "bfloat16", "logits": hexadecimal([0.0, 11.75, 7.5]), "targets": 0,
         "loss": encoded_one(wide)},
    ]  # fmt: skip
