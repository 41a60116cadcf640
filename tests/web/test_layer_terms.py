"""The arithmetic that panel 5 shows of one number adds up to that number, for every kind of layer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from web.engines import Ask, engine_fixtures

TASKS = Path(__file__).parent / "digit_tasks.js"
engine, node = engine_fixtures(TASKS)
SHAPE = [3, 11, 9]
WITHIN = 1e-12  # sums of a few hundred float64 numbers of size 1


def made() -> dict[str, Any]:
    """A network with every kind of layer that has an arithmetic, and an input."""
    draw = np.random.default_rng(8)
    arrays: dict[str, Any] = {}

    def array(name: str, *shape: int) -> str:
        values = draw.normal(size=shape).astype(np.float32)
        arrays[name] = {"data": values.ravel().tolist(), "shape": list(shape)}
        return name

    def conv(name: str, n_out: int, n_in: int, kernel: list[int], **more: Any) -> dict[str, Any]:
        parts = {"weight": array(f"{name}/w", n_out, n_in, *kernel), "bias": array(f"{name}/b", n_out)}
        return {"kind": "conv", "name": name, "kernel": kernel, **parts, **more}

    def dense(name: str, n_out: int, n_in: int) -> dict[str, Any]:
        parts = {"weight": array(f"{name}/w", n_out, n_in), "bias": array(f"{name}/b", n_out)}
        return {"kind": "dense", "name": name, **parts}

    layers = [
        conv("first", 4, 3, [3, 3], stride=[1, 1], pad=[1, 1, 1, 1]),
        {"kind": "maxpool", "name": "max", "size": [2, 2], "stride": [2, 2]},
        {"kind": "relu", "name": "relu"},
        conv("second", 5, 4, [2, 3], stride=[1, 1], pad=[0, 1, 1, 0]),
        {"kind": "tanh", "name": "tanh"},
        {"kind": "avgpool", "name": "mean", "size": [2, 1], "stride": [1, 1]},
        {"kind": "flatten", "name": "flat"},
        dense("hidden", 7, 5 * 4 * 3),
        {"kind": "sigmoid", "name": "sigmoid"},
        dense("last", 3, 7),
        {"kind": "softmax", "name": "p"},
    ]
    return {"layers": layers, "arrays": arrays, "shape": SHAPE, "input": draw.normal(size=math.prod(SHAPE)).tolist()}


def added_up(found: dict[str, Any]) -> float:
    """Return the number that the parts give."""
    kind = found["kind"]
    if kind == "conv":
        assert sum(map(sum, found["products"])) == pytest.approx(found["sums"][found["channel"]], abs=WITHIN)
        parts = zip(found["kernel"], found["patch"], found["products"], strict=True)
        for kernel, patch, products in parts:
            assert [k * (p or 0) for k, p in zip(kernel, patch, strict=True)] == pytest.approx(products, abs=WITHIN)
        return float(found["bias"] + sum(found["sums"]))
    if kind == "dense":
        products = [term["input"] * term["weight"] for term in found["terms"]]
        assert products == [term["product"] for term in found["terms"]]
        assert [abs(product) for product in products] == sorted(map(abs, products), reverse=True)
        assert [found["source"][term["at"]] for term in found["terms"]] == [term["input"] for term in found["terms"]]
        return float(found["bias"] + sum(products))
    rules = {
        "maxpool": lambda: max(map(max, found["patch"])),
        "avgpool": lambda: float(np.mean(found["patch"])),
        "relu": lambda: max(0.0, found["input"]),
        "tanh": lambda: math.tanh(found["input"]),
        "sigmoid": lambda: 1 / (1 + math.exp(-found["input"])),
        "flatten": lambda: found["source"][(found["from"][0] * 4 + found["from"][1]) * 3 + found["from"][2]],
    }
    return float(rules[kind]())


def test_the_parts_of_a_number_add_up_to_it(engine: Ask) -> None:
    found = [row for row in engine("terms", **made()) if row["kind"] != "softmax"]

    assert {row["kind"] for row in found} >= {
        "conv",
        "maxpool",
        "avgpool",
        "relu",
        "tanh",
        "sigmoid",
        "flatten",
        "dense",
    }
    assert [added_up(row) for row in found] == pytest.approx([row["value"] for row in found], abs=WITHIN)


def test_what_lies_outside_the_image_is_named_so(node: Ask) -> None:
    found = node("terms", **made())
    corner = next(row for row in found if row["index"] == 0 and row["at"] == [0, 0])

    assert [[value is None for value in row] for row in corner["patch"]] == [
        [True, True, True], [True, False, False], [True, False, False],
    ]  # fmt: skip
    assert corner["corner"] == [-1, -1]


def test_the_strongest_place_is_the_largest_value(node: Ask) -> None:
    rows = [row for row in node("terms", **made()) if row["index"] == 0 and row["map"] == 0]

    assert abs(rows[2]["value"]) >= max(abs(row["value"]) for row in rows)
