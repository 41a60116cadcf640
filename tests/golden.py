"""Read the golden files of tests/golden; scripts/make_golden_values.py says what stands in them."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).with_name("golden")


@lru_cache
def cases(name: str) -> list[dict[str, Any]]:
    """Return the cases of one file."""
    return json.loads((FOLDER / f"{name}.json").read_text())["cases"]


def named(name: str) -> dict[str, dict[str, Any]]:
    """Return the cases of a file whose cases have different names."""
    return {case["name"]: case for case in cases(name)}


def floats(written: Any, dtype: Any = np.float64) -> np.ndarray:
    """Return inputs, nested lists of hexadecimal text, as an array."""
    nested = np.array(written, dtype=object)
    return (
        np.array([float.fromhex(text) for text in nested.ravel()], dtype=np.float64).reshape(nested.shape).astype(dtype)
    )


def values(written: Any) -> np.ndarray:
    """Return values, nested lists of numbers and text, as long doubles."""
    nested = np.array(written, dtype=object)
    found = [sum(np.longdouble(float(part)) for part in str(item).split()) for item in nested.ravel()]
    return np.array(found, dtype=np.longdouble).reshape(nested.shape)


def logits_of_recipe(recipe: dict[str, Any]) -> np.ndarray:
    """Return the logits that a recipe makes, (rows, classes)."""
    size = recipe["rows"] * recipe["classes"]
    counter = np.arange(2 * size, dtype=np.uint32) + np.uint32(recipe["seed"])
    drawn = _mixed(counter).astype(np.int64)
    halves = (drawn & 0xFFFF) + (drawn >> 16)
    n = halves[0::2] + halves[1::2] - 131070
    scaled = (n >> recipe["shift"]).astype(np.float64) * float.fromhex(recipe["step"])
    logits = (scaled + float.fromhex(recipe["offset"])).astype(recipe["dtype"])
    for index, text in recipe["put"]:
        logits[index] = float.fromhex(text)
    return logits.reshape(recipe["rows"], recipe["classes"])


def _mixed(x: np.ndarray) -> np.ndarray:
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x85EBCA6B)
    x = x ^ (x >> np.uint32(13))
    x = x * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))
