"""Read tests/golden/slow_learning.json; scripts/make_golden_slow_learning.py says what stands in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("golden").joinpath("slow_learning.json").read_text())


def number(value: Any) -> float:
    """Return a number; infinities and NaN are written as text."""
    return float(value)


def numbers(values: Any) -> np.ndarray:
    """Return a list of numbers as an array."""
    return np.array([number(value) for value in values])
