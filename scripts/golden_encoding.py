"""How inputs and exact values are written into the golden files; the head of make_golden_values.py is for readers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mpmath
import numpy as np


def encoded(values: Iterable[Any], exact: bool = True) -> list[Any]:
    """Return exact values as the head of this file says."""
    return [encoded_one(value, exact) for value in values]


def encoded_one(value: Any, exact: bool = True) -> Any:
    """Return one exact value as a number, two numbers in a string, or a word."""
    number = float(value)
    if not np.isfinite(number):
        return str(number)
    lost = float(mpmath.nstr(value - mpmath.mpf(number), 4)) if exact else 0.0
    return f"{number!r} {lost!r}" if lost else number


def hexadecimal(values: Any) -> Any:
    """Return nested lists of floats as hexadecimal text."""
    return [hexadecimal(value) for value in values] if np.ndim(values) else float(values).hex()


def options(targets: list[Any], smoothing: float, of_sample: Any, of_class: Any, ignored: int | None) -> dict[str, Any]:
    """Return the targets and options of a loss as they are written."""
    return {
        "targets": targets if np.ndim(targets) == 1 else hexadecimal(targets),
        "label_smoothing": float(smoothing).hex(),
        "sample_weight": None if of_sample is None else hexadecimal(of_sample),
        "class_weight": None if of_class is None else hexadecimal(of_class),
        "ignore_index": ignored,
    }
