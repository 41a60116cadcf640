"""Write tests/golden/slow_learning.json: losses, gradients, precisions, draws and experiments of slow learning.

Values are worked out from the exact value of every input, with so many digits (320) that 50 are left where a gradient
is a difference of e^-600, and written with 20; runs are made step by step in plain Python, without softclass. Python
and the browser read the same file.

Infinities and NaN are the strings "inf", "-inf" and "nan", which JSON does not know as numbers.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import mpmath
import numpy as np

from golden_slow_runs import (
    Generator,
    even_runs,
    logit_runs,
    mistaken_neuron,
    neuron_runs,
    plane,
    two_class_runs,
)

mpmath.mp.dps = 320
FILE = Path(__file__).resolve().parents[1] / "tests" / "golden" / "slow_learning.json"
Number = Any  # mpmath knows no types
TYPES: dict[str, Any] = {
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
}
VARIANTS = ("naive", "shift", "eps", "clip", "logsumexp")


def main() -> None:
    """Write the file."""
    golden = {
        "about": "made by scripts/make_golden_slow_learning.py; 20 digits of values that are known to 50",
        "rows": list(rows()),
        "temperatures": list(temperatures()),
        "example": example(),
        "saturation": list(saturation()),
        "uniform": list(uniform()),
        "squared_error_extremes": squared_error_extremes(),
        "escape_constants": {str(k): escape_constant(k) for k in (2, 3, 5, 10, 100, 1000)},
        "escape_times": list(escape_times()),
        "uniform_times": list(uniform_times()),
        "neuron_times": list(neuron_times()),
        "random": random_vectors(),
        "rounding": {name: list(roundings(name)) for name in TYPES if name != "float64"},
        "largest_exp": {name: mpmath.log(mpmath.mpf(float(ml_dtypes.finfo(kind).max))) for name, kind in TYPES.items()},
        "loss_variants": list(variants()),
        "first_wrong_margin": {name: first_wrong_margins(kind) for name, kind in TYPES.items()},
        "neuron": list(neuron_runs()),
        "mistaken_neuron": mistaken_neuron(),
        "logits": list(logit_runs()),
        "even_logits": list(even_runs()),
        "two_logits": list(two_class_runs()),
        "plane": plane(),
    }
    text = json.dumps(written(golden), indent=1)
    FILE.write_text(re.sub(r'"#([^"]*)"', r"\1", text) + "\n", encoding="utf-8")
    print(f"wrote {FILE.name}, {FILE.stat().st_size:,} bytes")


def written(value: Any) -> Any:
    """Return a value as JSON: exact numbers with 20 digits, marked to lose their quotes."""
    if isinstance(value, dict):
        return {key: written(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [written(one) for one in value]
    if isinstance(value, mpmath.mpf) and mpmath.isfinite(value):
        return f"#{mpmath.nstr(value, 20)}" if value else 0
    if isinstance(value, mpmath.mpf | float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


# ---- the functions


def exact(values: list[float]) -> list[Number]:
    """Return floats as exact numbers."""
    return [mpmath.mpf(float(value)) for value in values]


def logsumexp(logits: list[Number]) -> Number:
    """Return log sum exp."""
    return mpmath.log(mpmath.fsum(mpmath.exp(z) for z in logits))


def softmax(logits: list[Number]) -> list[Number]:
    """Return the shares of the exponentials."""
    total = mpmath.fsum(mpmath.exp(z) for z in logits)
    return [mpmath.exp(z) / total for z in logits]


def shares_of(target: Any, n_classes: int) -> list[Number]:
    """Return a class index as a distribution, or the distribution that is given."""
    if isinstance(target, int):
        return [mpmath.mpf(k == target) for k in range(n_classes)]
    return exact(target)


def cross_entropy(logits: list[Number], target: Any) -> tuple[Number, list[Number]]:
    """Return loss and gradient; the shares of a soft target sum to 1."""
    y, p, total = shares_of(target, len(logits)), softmax(logits), logsumexp(logits)
    loss = mpmath.fsum(share * (total - z) for share, z in zip(y, logits, strict=True))
    return loss, [a - b for a, b in zip(p, y, strict=True)]


def squared_error(logits: list[Number], target: Any) -> tuple[Number, list[Number]]:
    """Return half the squared distance of softmax from the target, and its gradient at the logits."""
    p = softmax(logits)
    r = [a - b for a, b in zip(p, shares_of(target, len(logits)), strict=True)]
    return mpmath.fsum(value**2 for value in r) / 2, product_with_jacobian(p, r)


def product_with_jacobian(p: list[Number], v: list[Number]) -> list[Number]:
    """Return J v."""
    mean = mpmath.fsum(a * b for a, b in zip(p, v, strict=True))
    return [a * (b - mean) for a, b in zip(p, v, strict=True)]


def jacobian(p: list[Number]) -> list[list[Number]]:
    """Return diag(p) - p p^T."""
    return [[a * (int(i == j) - b) for j, b in enumerate(p)] for i, a in enumerate(p)]


def norm(v: list[Number]) -> Number:
    """Return the length of a vector."""
    return mpmath.sqrt(mpmath.fsum(value**2 for value in v))


def trailing(margin: float, n_classes: int) -> list[Number]:
    """Return logits in which class 1 leads class 0, the target, and all others by a margin."""
    return exact([0.0, margin] + [0.0] * (n_classes - 2))


ROWS: list[tuple[str, list[float], Any]] = [
    ("first row of the article", [2.0, 1.0, 0.1], 0),
    ("second row of the article", [1.0, 3.0, 0.2], 1),
    ("third class", [2.0, 1.0, 0.1], 2),
    ("soft target", [2.0, 1.0, 0.1], [0.9, 0.05, 0.05]),
    ("target without a certain class", [-1.5, 0.25, 4.0, 0.0], [0.125, 0.5, 0.25, 0.125]),
    ("even", [0.0] * 10, 3),
    ("two classes, even", [0.0, 0.0], 1),
    ("one third against two thirds", [0.0, 0.6931471805599453], 0),
    ("confidently right", [30.0, 0.0, -1.0], 0),
    ("surely right", [0.0, -40.0, -60.0, -45.0], 0),
    ("confidently wrong by 12", [0.0, 12.0] + [0.0] * 8, 0),
    ("confidently wrong by 30", [0.0, 30.0] + [0.0] * 8, 0),
    ("confidently wrong by 36", [0.0, 36.0] + [0.0] * 8, 0),
    ("confidently wrong by 300", [0.0, 300.0, 1.0], 0),
    ("two wrong classes lead", [-8.0, 7.5, 7.25, 0.0, 3.0], 0),
    ("large, equal up to units", [1000.0, 1001.0, 999.0], 2),
    ("large and negative", [-1e6, -1e6, -999990.0], 0),
    ("small differences", [1e-9, 0.0, -1e-9], 1),
]


def rows() -> Iterator[dict[str, Any]]:
    """Yield everything that is said of a row."""
    for name, logits, target in ROWS:
        z = exact(logits)
        p, total = softmax(z), logsumexp(z)
        (loss, gradient), (half_square, through) = cross_entropy(z, target), squared_error(z, target)
        tangent = [0.5 - 0.25 * index for index in range(len(z))]
        yield {
            "name": name,
            "logits": logits,
            "target": target,
            "logsumexp": total,
            "softmax": p,
            "log_softmax": [one - total for one in z],
            "entropy": mpmath.fsum(a * (total - one) for a, one in zip(p, z, strict=True)),
            "cross_entropy": {"loss": loss, "gradient": gradient},
            "squared_error": {"loss": half_square, "gradient": through},
            "tangent": tangent,
            "jacobian_product": product_with_jacobian(p, exact(tangent)),
        }


def temperatures() -> Iterator[dict[str, Any]]:
    """Yield softmax of the article's first row at several temperatures."""
    for temperature in (0.05, 0.5, 1.0, 2.0, 20.0):
        z = [value / mpmath.mpf(temperature) for value in exact([2.0, 1.0, 0.1])]
        p, total = softmax(z), logsumexp(z)
        entropy = mpmath.fsum(a * (total - one) for a, one in zip(p, z, strict=True))
        yield {"temperature": temperature, "logits": [2.0, 1.0, 0.1], "softmax": p, "entropy": entropy}


def example() -> dict[str, Any]:
    """Return the article's two rows as one batch, and its loss with 1e-9 inside the logarithm."""
    batch, targets = [[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]], [0, 1]
    losses = [cross_entropy(exact(row), target)[0] for row, target in zip(batch, targets, strict=True)]
    shares = [softmax(exact(row))[target] for row, target in zip(batch, targets, strict=True)]
    with_epsilon = [-mpmath.log(share + mpmath.mpf("1e-9")) for share in shares]
    return {
        "logits": batch,
        "targets": targets,
        "losses": losses,
        "mean": mpmath.fsum(losses) / 2,
        "mean_with_epsilon": mpmath.fsum(with_epsilon) / 2,
        "jacobian": jacobian(softmax(exact(batch[0]))),
    }


def saturation() -> Iterator[dict[str, Any]]:
    """Yield lengths of both gradients while one wrong class leads."""
    for n_classes in (2, 10, 100):
        for margin in (0, 1, 2, 4, 8, 12, 16, 24, 30):
            z = trailing(margin, n_classes)
            ce, se = norm(cross_entropy(z, 0)[1]), norm(squared_error(z, 0)[1])
            yield {"n_classes": n_classes, "margin": margin, "cross_entropy": ce, "squared_error": se, "ratio": ce / se}


def uniform() -> Iterator[dict[str, Any]]:
    """Yield lengths of both gradients where all classes are equal: their ratio is the number of classes."""
    for n_classes in (2, 5, 20, 1000):
        z = exact([0.0] * n_classes)
        ce, se = norm(cross_entropy(z, 0)[1]), norm(squared_error(z, 0)[1])
        yield {"n_classes": n_classes, "cross_entropy": ce, "squared_error": se}


def squared_error_extremes() -> dict[str, Any]:
    """Return the largest lengths of the gradient of the squared error."""
    limits = {"infinity": mpmath.mpf(8) / 27, "one": mpmath.mpf(16) / 27, "two": 8 * mpmath.sqrt(2) / 27}
    return {**limits, "neuron": mpmath.mpf(4) / 27, "neuron_at": mpmath.mpf(1) / 3}


# ---- how long


def escape_constant(n_classes: int) -> Number:
    """Return c_K."""
    k = mpmath.mpf(n_classes)
    return (k - 2 + mpmath.mpf(2) ** (1 - n_classes)) / (k * (k - 1))


def slow(u: Number) -> Number:
    """Return F(u), whose derivative is 1 / (a^2 (1 - a))."""
    return mpmath.exp(u) + 3 * u - 3 * mpmath.exp(-u) - mpmath.exp(-2 * u) / 2


def fast(u: Number) -> Number:
    """Return G(u), whose derivative is 1 / a."""
    return u - mpmath.exp(-u)


def escape_times() -> Iterator[dict[str, Any]]:
    """
    Yield the time of theorem 8: exact for two classes, the leading term for more; with the two rounded losses.

    With 1e-9 inside the logarithm the flow slows down by 1 + 1e-9 / p_t, where 1 / p_t = 1 + e^u for two classes.
    """
    for n_classes in (2, 3, 10, 100):
        for margin in (0.5, 6, 8, 12, 16, 20, 26):
            for rate, square in ((0.5, 0.0), (0.1, 3.0)):
                m, speed = mpmath.mpf(margin), mpmath.mpf(rate) * (1 + mpmath.mpf(square))
                if n_classes == 2:
                    ce, se = (fast(m) - fast(0)) / (2 * speed), (slow(m) - slow(0)) / (4 * speed)
                    more = mpmath.mpf("1e-9") * (m + mpmath.sinh(m)) / speed
                else:
                    ce, se = m / (2 * speed), escape_constant(n_classes) * mpmath.exp(m) / speed
                    more = mpmath.mpf("1e-9") * mpmath.exp(m) / (2 * speed)
                share = 1 / (mpmath.exp(m) + n_classes - 1)
                known = {"n_classes": n_classes, "margin": margin, "learning_rate": rate, "squared_norm": square}
                yield {
                    **known,
                    "cross_entropy": ce,
                    "squared_error": se,
                    "eps": ce + more,
                    "clip": ce if share >= mpmath.mpf("1e-7") else mpmath.inf,
                }


def uniform_times() -> Iterator[dict[str, Any]]:
    """Yield the leading terms of theorem 6, from equal logits."""
    for n_classes in (10, 100, 1000, 3000):
        log, rate = mpmath.log(n_classes), mpmath.mpf(0.5)
        ce, se = (log + 1) / rate, (n_classes + 3 * log) / rate
        yield {"n_classes": n_classes, "learning_rate": 0.5, "cross_entropy": ce, "squared_error": se}


def neuron_times() -> Iterator[dict[str, Any]]:
    """Yield the time of theorem 8 for one neuron: x = 1, so the logit moves twice as far as the bias."""
    for start in (1.5, 4.0, 6.0, 8.0, 10.0):
        for below in (0.5, 0.1):
            z, end, speed = (
                mpmath.mpf(start),
                mpmath.log(mpmath.mpf(below) / (1 - mpmath.mpf(below))),
                2 * mpmath.mpf(0.15),
            )
            ce, se = (fast(z) - fast(end)) / speed, (slow(z) - slow(end)) / speed
            yield {"start": start, "below": below, "learning_rate": 0.15, "cross_entropy": ce, "squared_error": se}


# ---- random numbers


def random_vectors() -> dict[str, Any]:
    """Return draws of several seeds."""
    seeds = (0, 1, 2, 7, 12345, 2**32 - 1)
    draws, normals = {}, {}
    for seed in seeds:
        generator = Generator(seed)
        draws[str(seed)] = [generator.next() for _ in range(8)]
        generator = Generator(seed)
        normals[str(seed)] = [generator.normal() for _ in range(8)]
    lengths = {"7": (10, 1797), "0": (2, 5), "2": (100,)}
    permutations = [
        {"seed": int(seed), "n": n, "order": Generator(int(seed)).permutation(n)}
        for seed in lengths
        for n in lengths[seed]
    ]
    return {"next": draws, "normal": normals, "permutation": permutations}


# ---- precisions


def roundings(name: str) -> Iterator[list[Any]]:
    """Yield numbers of 64 bits, and what they become."""
    kind = TYPES[name]
    facts = ml_dtypes.finfo(kind)
    largest, tiny = float(facts.max), float(facts.smallest_subnormal)
    step = float(facts.eps)
    chosen = [
        *(0.0, 1.0, 1.0 + step / 2, 1.0 + 0.75 * step, 1.0 + 1.5 * step, 1.0 + step / 2 + 2**-50, 1.0 - step / 4),
        *(1 / 3, 0.1, math.pi, -math.e, 1e-9, 1e-7, 12.0, 709.0, 65519.0, 65520.0, 65504.0, 1e30),
        *(largest, largest * (1 + step / 8), largest * (1 + step), tiny, tiny / 2, tiny * 0.51, tiny * 1.5, tiny * 2.5),
        *(float(facts.tiny), float(facts.tiny) * (1 - step / 4), 1e-40, -1e-45, 1e300, math.inf, -math.inf, math.nan),
    ]
    for value in chosen:
        # bfloat16 is made from float32, as processors do it: rounding twice from 64 bits would be another rule.
        with np.errstate(all="ignore"):
            given = float(np.float32(value)) if name == "bfloat16" else value
        yield [given, nearest(given, name)]


def nearest(value: float, name: str) -> float:
    """Return the nearest number of a precision, ties to even, from exact arithmetic."""
    if not math.isfinite(value) or value == 0:
        return value
    facts = ml_dtypes.finfo(TYPES[name])
    exponent = max(math.frexp(value)[1] - 1, int(facts.minexp))
    unit = mpmath.mpf(2) ** (exponent - int(facts.nmant))
    rounded = float(mpmath.nint(mpmath.mpf(value) / unit) * unit)  # nint rounds ties to even
    return rounded if abs(rounded) <= float(facts.max) else math.copysign(math.inf, value)


def variant(name: str, logits: list[float], target: int, kind: Any) -> tuple[float, list[float]]:
    """
    Return loss and gradient of one way to write the loss, with numbers of one type throughout.

    Sums go from left to right. Exponentials and logarithms are exact ones, rounded once.
    """
    with np.errstate(all="ignore"):
        z = [kind(one) for one in logits]
        if name == "naive":
            loss, gradient = _naive(z, target, kind)
        elif name == "logsumexp":
            loss, gradient = _logsumexp(z, target, kind)
        else:
            loss, gradient = _after_softmax(name, z, target, kind)
    return float(loss), [float(one) for one in gradient]


def _exp(value: Any, kind: Any) -> Any:
    exact_value = mpmath.exp(mpmath.mpf(float(value)))
    return kind(float(exact_value)) if exact_value < mpmath.mpf(2) ** 1024 else kind(math.inf)


def _log(value: Any, kind: Any) -> Any:
    if not float(value) > 0 or math.isinf(float(value)):
        return kind(-math.inf) if float(value) == 0 else kind(float(value))
    return kind(float(mpmath.log(mpmath.mpf(float(value)))))


def _sum(values: list[Any], kind: Any) -> Any:
    total = kind(0)
    for value in values:
        total = kind(total + value)
    return total


def _naive(z: list[Any], target: int, kind: Any) -> tuple[Any, list[Any]]:
    e = [_exp(one, kind) for one in z]
    s = _sum(e, kind)
    share = kind(e[target] / s)
    loss = -_log(share, kind)
    back = kind(kind(1) / share)
    ds = kind(back * kind(share / s))
    gradient = []
    for index, one in enumerate(e):
        de = kind(ds - kind(back / s)) if index == target else ds
        gradient.append(kind(de * one))
    return loss, gradient


def _after_softmax(name: str, z: list[Any], target: int, kind: Any) -> tuple[Any, list[Any]]:
    largest = max(z)
    e = [_exp(kind(one - largest), kind) for one in z]
    s = _sum(e, kind)
    p = [kind(one / s) for one in e]
    share, d = p[target], [kind(0)] * len(z)
    if name == "clip":
        low, high = kind(1e-7), kind(kind(1) - kind(1e-7))
        clipped = min(max(share, low), high)
        loss = -_log(clipped, kind)
        d[target] = kind(-1) / clipped if low <= share <= high else kind(0)
    else:
        inside = kind(share + kind(1e-9)) if name == "eps" else share
        loss = -_log(inside, kind)
        d[target] = kind(kind(-1) / inside)
    mean = _sum([kind(a * b) for a, b in zip(d, p, strict=True)], kind)
    return loss, [kind(a * kind(b - mean)) for a, b in zip(p, d, strict=True)]


def _logsumexp(z: list[Any], target: int, kind: Any) -> tuple[Any, list[Any]]:
    largest = max(z)
    e = [_exp(kind(one - largest), kind) for one in z]
    s = _sum(e, kind)
    gradient = [kind(one / s) for one in e]
    gradient[target] = -_sum([one for index, one in enumerate(gradient) if index != target], kind)
    return kind(_log(s, kind) + kind(largest - z[target])), gradient


def variants() -> Iterator[dict[str, Any]]:
    """Yield five losses in four precisions while one of ten classes leads, and at an ordinary row."""
    for precision, kind in TYPES.items():
        for name in VARIANTS:
            for logits, target in [
                ([2.0, 1.0, 0.1], 0),
                *(([0.0, float(m)] + [0.0] * 8, 0) for m in (5, 10, 17, 25, 60, 89, 104, 710, 746)),
            ]:
                loss, gradient = variant(name, logits, target, kind)
                known = {"precision": precision, "name": name, "logits": logits, "target": target}
                yield {**known, "loss": loss, "gradient": gradient}


def first_wrong_margins(kind: Any) -> dict[str, int | None]:
    """Return from which whole lead on a gradient is off by a twentieth or not finite; None if never up to 1,200."""
    return {name: next((m for m in range(1201) if _is_wrong(name, m, kind)), None) for name in VARIANTS}


def _is_wrong(name: str, margin: int, kind: Any) -> bool:
    _, gradient = variant(name, [0.0, float(margin)] + [0.0] * 8, 0, kind)
    if not all(map(math.isfinite, gradient)):
        return True
    p = softmax(trailing(margin, 10))
    push, pull = float(p[0] - 1), float(p[1])
    return abs(gradient[0] - push) > 0.05 * abs(push) or abs(gradient[1] - pull) > 0.05 * max(pull, 0.01)


if __name__ == "__main__":
    sys.exit(main())
