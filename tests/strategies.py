"""Hypothesis strategies for the functions: logits with ties, infinities, NaN, huge, tiny; targets; weights."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

TYPES = {"f2": np.float16, "bf16": ml_dtypes.bfloat16, "f4": np.float32, "f8": np.float64}
SHAPES = st.tuples(st.integers(1, 5), st.one_of(st.integers(1, 8), st.sampled_from([16, 17, 40, 41, 64, 70])))


@st.composite
def logits(
    draw: st.DrawFn,
    dtypes: tuple[str, ...] = ("f4", "f8"),
    scales: tuple[float, ...] = (0.1, 1.0, 5.0, 20.0, 80.0),
    special: bool = False,
    least_classes: int = 1,
) -> np.ndarray:
    """Rows (N, K): normal numbers of one scale, perhaps with ties; with `special` also all that is not ordinary."""
    dtype = TYPES[draw(st.sampled_from(dtypes))]
    n_rows, n_classes = draw(SHAPES)
    n_classes = max(n_classes, least_classes)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = random.normal(size=(n_rows, n_classes)) * draw(st.sampled_from(scales))
    if draw(st.booleans()):
        rows = rows.round()  # ties
    rows = rows.astype(dtype)
    if special:
        chosen = draw(st.lists(st.sampled_from(specials(dtype)), max_size=6))
        places = draw(st.lists(st.integers(0, rows.size - 1), min_size=len(chosen), max_size=len(chosen)))
        rows.reshape(-1)[places] = chosen
    return rows


def specials(dtype: Any) -> list[Any]:
    """Return the numbers of a type at which things break."""
    facts = ml_dtypes.finfo(dtype)
    numbers = [np.nan, np.inf, -np.inf, 0.0, -0.0, facts.max, -facts.max]  # type: ignore[list-item]
    numbers += [facts.smallest_subnormal, -facts.smallest_subnormal, facts.smallest_normal]
    return [dtype(number) for number in numbers]


@st.composite
def exact_logits(draw: st.DrawFn, least_classes: int = 1) -> np.ndarray:
    """Rows of multiples of 1/8 below 64 in size: sums with whole numbers up to 2^10 are exact, also in float32."""
    dtype = TYPES[draw(st.sampled_from(("f4", "f8")))]
    n_rows, n_classes = draw(SHAPES)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return (random.integers(-512, 512, size=(n_rows, max(n_classes, least_classes))) / 8).astype(dtype)


@st.composite
def problems(
    draw: st.DrawFn, dtypes: tuple[str, ...] = ("f4", "f8"), scales: tuple[float, ...] = (0.1, 1.0, 5.0)
) -> Any:
    """Give logits, targets (indices or distributions), options of a loss."""
    rows = draw(logits(dtypes, scales))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_rows, n_classes = rows.shape
    targets = random.integers(n_classes, size=n_rows)
    if draw(st.booleans()):
        targets = distributions(random, n_rows, n_classes).astype(np.float64)
    options: dict[str, Any] = {"label_smoothing": draw(st.sampled_from([0.0, 0.1, 0.9]))}
    if draw(st.booleans()):
        options["sample_weight"] = random.uniform(0.1, 3, size=n_rows)
    if draw(st.booleans()):
        options["class_weight"] = random.uniform(0.1, 3, size=n_classes)
    return rows, targets, options


def distributions(random: np.random.Generator, n_rows: int, n_classes: int) -> np.ndarray:
    """Return rows that sum to 1, with zeros in them."""
    shares = random.dirichlet(np.ones(n_classes), size=n_rows)
    shares[shares < 0.2 / n_classes] = 0
    return shares / shares.sum(axis=1, keepdims=True)
