"""Write tests/golden/*.json: inputs of the functions and their values from 50 digits; `--check` only compares.

The files are plain JSON for readers in any language.

- An input is a hexadecimal float in a string ("0x1.8p+1", "nan", "inf", "-inf"), so that its bits are certain.
- A value is a number, the exact value rounded to float64; or a string of that number, a blank, and what the rounding
  lost ("0.1 -5.551e-18"); or one of the words above. What judges only float32 has no second part.
- Larger inputs are a recipe. In 32-bit unsigned arithmetic, let a = mix(seed + 2 i), b = mix(seed + 2 i + 1), where
      mix(x): x ^= x >> 16; x *= 0x85ebca6b; x ^= x >> 13; x *= 0xc2b2ae35; x ^= x >> 16
  and, signed, n_i = (a & 65535) + (a >> 16) + (b & 65535) + (b >> 16) - 131070. Then
  element i in C order is (n_i >> shift) * step + offset, product and sum each rounded to float64, the result to dtype;
  then every [index, value] of `put` replaces one. `first` holds the first three, to check the recipe.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mpmath
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import golden_edges  # noqa: E402
from golden import logits_of_recipe  # noqa: E402
from golden_encoding import encoded, encoded_one, hexadecimal, options  # noqa: E402
from truth import log_probabilities, row_gradient, row_loss, row_weight  # noqa: E402

FOLDER = ROOT / "tests" / "golden"
ONE_STEP = 37837  # standard deviation of n_i
SIZES = (2, 3, 7, 10, 16, 17, 31, 33, 64, 65, 100, 1000, 4097, 100_000)
KINDS = ("scale 0.1", "scale 1", "scale 5", "scale 20", "scale 50", "offset 1e4", "offset -1e4")
KINDS += ("dominant 20", "dominant 60", "dominant 90", "ties", "subnormal")
DTYPES = ("float32", "float64")


def main() -> int:
    """Make every file; return 1 if one differs from what is there and only a comparison was asked for."""
    made = {
        "softmax.json": [*grid(), *temperatures()],
        "losses.json": list(losses()),
        "linear.json": list(linear_losses()),
        "edges.json": golden_edges.edges(),
        "peers.json": golden_edges.peers(),
    }
    different = 0
    for name, cases in made.items():
        lines = ",\n".join(json.dumps(case, allow_nan=False) for case in cases)
        text = f'{{"about": "Made by scripts/make_golden_values.py, which explains it.", "cases": [\n{lines}\n]}}\n'
        path = FOLDER / name
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif path.read_text() != text:
            different = 1
            print(f"{name} differs from what the script makes")
    return different


# ---- softmax, log_softmax, logsumexp
def grid() -> Iterator[dict[str, Any]]:
    """Give rows of every kind, size and type, in the larger ones only some elements."""
    for seed, (n_classes, kind, dtype) in enumerate(itertools.product(SIZES, KINDS, DTYPES), start=1):
        if n_classes < 5000 or kind in ("scale 1", "scale 5", "scale 20"):
            yield row_case(f"{kind}, {n_classes} classes", recipe(kind, n_classes, dtype, seed), 1.0)


def temperatures() -> Iterator[dict[str, Any]]:
    """Give rows with a temperature."""
    combinations = itertools.product((10, 100), (0.05, 0.7, 1.3, 10.0), DTYPES)
    for seed, (n_classes, temperature, dtype) in enumerate(combinations, start=1001):
        name = f"temperature {temperature}, {n_classes} classes"
        yield row_case(name, recipe("scale 5", n_classes, dtype, seed), temperature)


def recipe(kind: str, n_classes: int, dtype: str, seed: int) -> dict[str, Any]:
    """Return how to make the logits of a case."""
    n_rows = max(1, 20 // n_classes)
    word, _, amount = kind.partition(" ")
    scale = float(amount) if word == "scale" else 5.0 if word == "subnormal" else 1.0
    lowest = -95.0 if dtype == "float32" else -725.0
    offset = float(amount) if word == "offset" else lowest if word == "subnormal" else 0.0
    made = {
        "dtype": dtype,
        "rows": n_rows,
        "classes": n_classes,
        "seed": seed << 20,
        "shift": 15 if word == "ties" else 0,
        "step": (1.0 if word == "ties" else scale / ONE_STEP).hex(),
        "offset": offset.hex(),
        "put": [],
    }
    if word == "dominant":
        place = seed * 7 % n_classes
        made["put"] = [[row * n_classes + place, (float(amount) + row).hex()] for row in range(n_rows)]
    if word == "subnormal":
        made["put"] = [[(row + 1) * n_classes - 1, (0.0).hex()] for row in range(n_rows)]
    return made


def row_case(name: str, made: dict[str, Any], temperature: float) -> dict[str, Any]:
    """Return a case: the recipe and the values of up to 16 elements a row."""
    logits = logits_of_recipe(made)
    exact = made["dtype"] == "float64"
    n_rows, n_classes = logits.shape
    tops = logits.argmax(axis=1)
    kept = range(n_classes) if n_classes <= 17 else [i * (n_classes - 1) // 11 for i in range(12)]
    elements, logs, complements, log_partitions = [], [], [], []
    for row, top in zip(range(n_rows), tops.tolist(), strict=True):
        found = log_probabilities(logits[row], temperature)
        places = sorted({*kept, top})
        elements += [row * n_classes + place for place in places]
        logs += [found[place] for place in places]
        complements.append(-mpmath.expm1(found[top]))
        log_partitions.append(mpmath.mpf(float(logits[row, top])) / mpmath.mpf(temperature) - found[top])
    return {
        "name": name,
        **made,
        "first": [float(value).hex() for value in logits.ravel()[:3]],
        "temperature": float(temperature).hex(),
        "elements": elements,  # flat indices
        "probabilities": encoded(map(mpmath.exp, logs), exact),
        "log_probabilities": encoded(logs, exact),
        "labels": tops.tolist(),
        "label_complements": encoded(complements, exact),  # 1 - p of the label
        "log_partitions": encoded(log_partitions, exact),
    }


# ---- losses
def losses() -> Iterator[dict[str, Any]]:
    """Give every combination of target form, smoothing, weights and ignored rows on six rows of five classes."""
    logits = drawn(1, (6, 5)) * 4.0
    soft = np.zeros((6, 5))  # few bits, so that every type holds them
    soft[range(6), [0, 3, 2, 4, 1, 1]] = 0.625
    soft[range(6), [1, 1, 0, 0, 4, 3]] += 0.25
    soft[range(6), [3, 0, 4, 1, 2, 1]] += 0.125
    given = {"hard": [0, 3, 2, 4, 4, 1], "soft": soft.tolist()}
    sample_weights, class_weights = np.abs(drawn(2, (6,))) + 0.1, np.abs(drawn(3, (5,))) + 0.1
    combinations = itertools.product(
        DTYPES, given, (0.0, 0.1), (None, sample_weights), (None, class_weights), (None, 4)
    )
    for dtype, form, smoothing, of_sample, of_class, ignored in combinations:
        if form == "hard" or ignored is None:
            rows = logits.astype(dtype).astype(float)
            yield {"dtype": dtype, **loss_case(rows, given[form], smoothing, of_sample, of_class, ignored)}


def loss_case(
    logits: np.ndarray, targets: list[Any], smoothing: float, of_sample: Any, of_class: Any, ignored: int | None
) -> dict[str, Any]:
    """Return one case of losses: gradients are those of the sum; those of the mean are divided by the weights' sum."""
    weights, row_losses, gradients = weighed(logits, targets, smoothing, of_sample, of_class, ignored)
    total = mpmath.fsum(row_losses)
    return {
        "logits": hexadecimal(logits),
        **options(targets, smoothing, of_sample, of_class, ignored),
        "weight_sum": encoded_one(mpmath.fsum(weights)),
        "none": encoded(row_losses),
        "sum": encoded_one(total),
        "mean": encoded_one(total / mpmath.fsum(weights)),
        "gradient": [encoded(row) for row in gradients],
    }


def weighed(
    logits: Any, targets: list[Any], smoothing: float, of_sample: Any, of_class: Any, ignored: int | None
) -> tuple[list[Any], list[Any], list[list[Any]]]:
    """Return exact row weights, weighted losses and weighted gradients."""
    scales = [1.0] * len(targets) if of_sample is None else of_sample
    weights = [
        mpmath.mpf(0) if target == ignored else row_weight(target, scale, of_class)
        for target, scale in zip(targets, scales, strict=True)
    ]
    together = list(zip(weights, logits, targets, strict=True))
    gradients = [[w * g for g in row_gradient(row, target, smoothing)] for w, row, target in together]
    return weights, [w * row_loss(row, target, smoothing) for w, row, target in together], gradients


# ---- linear
def linear_losses() -> Iterator[dict[str, Any]]:
    """Give losses of features and weights of so few bits that the logits are exact in every type."""
    features, weight, bias = (eighths(seed, size) for seed, size in ((4, (7, 4)), (5, (6, 4)), (6, (6,))))
    tangents = [eighths(7, (6, 4)), eighths(8, (6,))]
    hard, soft = [0, 5, 2, 1, 1, 4, 3], (np.eye(6)[[1, 0, 3, 3, 5, 2, 4]] * 0.75 + np.eye(6)[[2, 2, 0, 1, 1, 4, 4]] / 4)
    of_sample, of_class = np.abs(eighths(9, (7,))) + 0.125, np.abs(eighths(10, (6,))) + 0.125
    cases = [(hard, 0.0, None, None, None), (hard, 0.1, None, None, None), (hard, 0.0, of_sample, None, None)]
    cases += [(hard, 0.1, of_sample, of_class, 1), (soft.tolist(), 0.0, None, of_class, None)]
    cases += [(soft.tolist(), 0.1, of_sample, None, None)]
    for has_bias, case in itertools.product((False, True), cases):
        yield linear_case(features, weight, bias if has_bias else None, tangents, *case)


def drawn(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers about normal, the same wherever this runs."""
    return logits_of_recipe(recipe("scale 1", math.prod(shape), "float64", 2000 + seed))[0].reshape(shape)


def eighths(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return multiples of 1/8 of size about 1."""
    return np.rint(drawn(seed, shape) * 8) / 8


def linear_case(
    features: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, tangents: list[np.ndarray], *given: Any
) -> dict[str, Any]:
    """Return one case; gradients and Hessian products are those of the sum."""
    shift = np.zeros(len(weight)) if bias is None else bias
    logits = features @ weight.T + shift  # exact
    weights, row_losses, gradients = weighed(logits, *given)
    along = features @ tangents[0].T + (0 if bias is None else tangents[1])  # exact: the tangent of the logits
    curved = [
        [w * value for value in softmax_jvp(row, tangent)]
        for w, row, tangent in zip(weights, logits, along, strict=True)
    ]
    total = mpmath.fsum(row_losses)
    return {
        "features": hexadecimal(features),
        "weight": hexadecimal(weight),
        "bias": None if bias is None else hexadecimal(bias),
        "weight_tangent": hexadecimal(tangents[0]),
        "bias_tangent": None if bias is None else hexadecimal(tangents[1]),
        **options(*given),
        "weight_sum": encoded_one(mpmath.fsum(weights)),
        "none": encoded(row_losses),
        "sum": encoded_one(total),
        "mean": encoded_one(total / mpmath.fsum(weights)),
        "weight_gradient": [encoded(row) for row in product(transposed(gradients), features)],
        "bias_gradient": encoded(map(mpmath.fsum, transposed(gradients))),
        "features_gradient": [encoded(row) for row in product(gradients, weight)],
        "weight_product": [encoded(row) for row in product(transposed(curved), features)],
        "bias_product": encoded(map(mpmath.fsum, transposed(curved))),
    }


def softmax_jvp(row: np.ndarray, tangent: np.ndarray) -> list[Any]:
    """Return p (t - <p, t>) of one row."""
    shares = [mpmath.exp(value) for value in log_probabilities(row)]
    mean = mpmath.fsum(p * float(t) for p, t in zip(shares, tangent, strict=True))
    return [p * (float(t) - mean) for p, t in zip(shares, tangent, strict=True)]


def transposed(rows: list[list[Any]]) -> list[list[Any]]:
    """Return the columns."""
    return [list(column) for column in zip(*rows, strict=True)]


def product(rows: list[list[Any]], matrix: np.ndarray) -> list[list[Any]]:
    """Return the matrix product of exact numbers and floats."""
    columns = matrix.T.tolist()
    return [[mpmath.fsum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in rows]


if __name__ == "__main__":
    sys.exit(main())
