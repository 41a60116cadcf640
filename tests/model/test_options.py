"""Options of train: out of range, without effect, and how a run records them."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from softclass.data.schema import Label
from softclass.errors import Notes, UsageError
from softclass.model.options import (
    check_options,
    check_types,
    class_weights,
    config_text,
    parse_duration,
    parse_image_size,
    parse_size,
)
from softclass.model.train import DEFAULTS

CLASSES = (Label("1", "integer"), Label("2", "integer"))


def given(**options: Any) -> dict[str, Any]:
    return {"data": "t.csv", "target": None, **DEFAULTS, **options}


@pytest.mark.parametrize(
    ("options", "task", "message"),
    [
        ({"image_size": "8x8"}, "table", "[SC202] train: --image-size does not apply to a table (applies to images)"),
        ({"delimiter": ";"}, "images", "[SC202] train: --delimiter does not apply to images (applies to tables)"),
        ({"header": False}, "images", "[SC202] train: --no-header does not apply to images (applies to tables)"),
        ({"drop": ["a"]}, "images", "[SC202] train: --drop does not apply to images (applies to tables)"),
        (
            {"report": False},
            "table",
            "[SC202] train: --no-report has no effect without an output directory. Pass output=",
        ),
        (
            {"model": "sofmax"},
            "table",
            '[SC207] train: --model must be one of auto, softmax, mlp, cnn; got "sofmax". Did you mean softmax?',
        ),
        (
            {"C": 0},
            "table",
            '[SC207] train: --C must be a positive number or "auto"; got 0. Leave --C out for what fits most data',
        ),
        (
            {"C": "best"},
            "table",
            '[SC207] train: --C must be a positive number or "auto"; got best. Leave --C out for what fits most data',
        ),
        (
            {"C": float("nan")},
            "table",
            '[SC207] train: --C must be a positive number or "auto"; got nan. Leave --C out for what fits most data',
        ),
        (
            {"tol": 0},
            "table",
            "[SC207] train: --tol must be between 0 and 1; got 0. Leave --tol out for what fits most data",
        ),
        (
            {"cv": 1},
            "table",
            "[SC207] train: --cv must be 0 or at least 2; got 1. Leave --cv out for what fits most data",
        ),
        (
            {"rows": -1},
            "table",
            "[SC207] train: --rows must be at least 0; got -1. Leave --rows out for what fits most data",
        ),
        (
            {"seed": -1},
            "table",
            "[SC207] train: --seed must be at least 0; got -1. Leave --seed out for what fits most data",
        ),
        (
            {"channels": 2},
            "images",
            "[SC207] train: --channels must be 1 or 3; got 2. Leave --channels out for what fits most data",
        ),
        ({"test": 0.3, "test_data": "x"}, "table", "[SC203] train: --test and --test-data exclude each other"),
        (
            {"odds_ratios": True},
            "images",
            "[SC202] train: --odds-ratios does not apply to images (applies to tables)",
        ),
        (
            {"calibrate": "none", "calibration": 0.2},
            "table",
            "[SC203] train: --calibration sets rows aside for what --calibrate none leaves out",
        ),
        (
            {"target": "y"},
            "images",
            "[SC202] train: --target does not apply to images (applies to tables). "
            "A folder is read as images, whose class is the name of their folder; name the files of a table",
        ),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], task: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        check_options(given(**options), task, DEFAULTS)


@pytest.mark.parametrize("task", ["table", "images"])
def test_defaults_are_accepted(task: str) -> None:
    check_options(given(), task, DEFAULTS)


@pytest.mark.parametrize("value", ["", "0s", "-3", "10 parsecs", "nan"])
def test_bad_durations_are_refused(value: str) -> None:
    with pytest.raises(UsageError, match=re.escape("--time-limit must be a positive time such as 60s, 10m or 2h")):
        parse_duration(value)


@pytest.mark.parametrize("value", ["", "0", "-1", "2 gigs", "nan", "1e"])
def test_bad_amounts_of_memory_are_refused(value: str) -> None:
    with pytest.raises(UsageError, match=re.escape("--memory-limit must be a positive size such as 500MB or 2GiB")):
        parse_size(value)


@pytest.mark.parametrize(("value", "size"), [("1kB", 1e3), ("1KiB", 1024), ("1.5 GB", 1.5e9), ("7B", 7), (2e9, 2e9)])
def test_amounts_of_memory(value: str | float, size: float) -> None:
    assert parse_size(value) == size


@pytest.mark.parametrize("value", ["8", "8x", "0x8", "8x9999", (8, 8, 3), (8.0, 8)])
def test_bad_sizes_are_refused(value: Any) -> None:
    with pytest.raises(UsageError, match=re.escape("--image-size must be HEIGHTxWIDTH with sides from 1 to 4096")):
        parse_image_size(value)


def test_weights_are_found_by_name_and_by_value() -> None:
    notes = Notes()

    assert class_weights({"1": 2, 2: 0.5}, CLASSES, notes) == {0: 2.0, 1: 0.5}
    assert [note.code for note in notes] == ["SC845"]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"3": 1.0}, '[SC207] train: --class-weight names a class that is not there; got "3". There are "1", "2"'),
        ({"1": -1.0}, '[SC207] train: weights of classes must be positive and finite; got -1.0 for "1"'),
        ({"1": True}, '[SC207] train: weights of classes must be positive and finite; got True for "1"'),
    ],
)
def test_bad_weights_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        class_weights(weights, CLASSES, Notes())


def test_the_configuration_of_a_run_is_toml_and_says_what_was_chosen() -> None:
    options = given(data=["a b.csv"], target='sp"ecies', C="auto", drop=["x", "y"], time_limit=None)

    text = config_text(options, DEFAULTS, {"C": 10.0, "model": "softmax"}, "0.1.0")

    found = tomllib.loads(text)["train"]
    assert (found["data"], found["target"], found["C"], found["drop"]) == (["a b.csv"], 'sp"ecies', 10.0, ["x", "y"])
    assert "C = 10.0  # chosen" in text
    assert "seed = 0  # default" in text


def test_data_in_memory_leave_a_comment() -> None:
    text = config_text(given(data={"a": [1]}), DEFAULTS, {}, "0.1.0")

    assert "# data: dict in memory" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": "x"}, 'train: --seed must be a whole number; got "x"'),
        ({"seed": True}, "train: --seed must be a whole number; got True"),
        ({"rows": 1.5}, "train: --rows must be a whole number; got 1.5"),
        ({"tol": None}, "train: --tol must be a number; got None"),
        ({"group": 3}, "train: --group must be a text; got 3"),
        ({"header": "no"}, 'train: --no-header must be True or False; got "no"'),
        ({"path": 1}, "train: --path must be True or False; got 1"),
        ({"memory_limit": [1]}, "train: --memory-limit must be a positive size such as 500MB or 2GiB; got [1]"),
        ({"C": [1]}, 'train: --C must be a positive number or "auto"; got [1]'),
        ({"output": 3}, "train: --output must be a path; got 3"),
        ({"drop": "ab"}, "train: --drop must be a list of texts; got \"ab\". Pass drop=['ab']"),
        ({"drop": [3]}, "train: --drop must be a list of texts; got [3]"),
        ({"class_weight": 2}, 'train: --class-weight must be "balanced", a mapping or a JSON file; got 2'),
        ({"progress": "bar"}, 'train: progress must be a function of an event and its facts; got "bar"'),
    ],
)
def test_values_of_another_type_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(f'[SC207] {message}')}$"):
        check_types(given(**options), DEFAULTS)
