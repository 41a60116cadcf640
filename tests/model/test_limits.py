"""Limits: metrics that must be reached, and memory that must suffice."""

from __future__ import annotations

import re

import pytest

from softclass.errors import CheckFailedError, TooLargeError, UsageError
from softclass.model.limits import check_fail_under, check_features_fit, parse_limits

METRICS = {"accuracy": 0.9, "log_loss": 0.3, "ece": None, "classes": ["a"]}


@pytest.mark.parametrize("limits", ["accuracy=0.9,log_loss=0.3", {"accuracy": 0.5}, None, {}])
def test_limits_that_are_met_pass(limits: object) -> None:
    check_fail_under(METRICS, limits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ("accuracy=0.95", "[SC501] --fail-under: accuracy is 0.9, the limit is 0.95"),
        (
            "log_loss=0.2,accuracy=0.95",
            "[SC501] --fail-under: log_loss is 0.3, the limit is 0.2; accuracy is 0.9, the limit is 0.95",
        ),
    ],
)
def test_limits_that_are_broken_are_named(limits: str, message: str) -> None:
    with pytest.raises(CheckFailedError, match=f"^{re.escape(message)}$"):
        check_fail_under(METRICS, limits)


def test_without_a_test_part_no_limit_is_met() -> None:
    with pytest.raises(CheckFailedError, match="accuracy is not known, since nothing was held out"):
        check_fail_under(None, "accuracy=0.1")


def test_an_unknown_metric_is_usage() -> None:
    with pytest.raises(UsageError, match=re.escape('got "acuracy". Did you mean accuracy')):
        check_fail_under(METRICS, "acuracy=0.1")


@pytest.mark.parametrize("text", ["accuracy", "accuracy=high", "=0.5x"])
def test_limits_are_metric_equals_number(text: str) -> None:
    with pytest.raises(UsageError, match=re.escape("--fail-under must be METRIC=NUMBER,...")):
        parse_limits(text)


@pytest.mark.parametrize("limit", ["x", True, None])
def test_limits_of_python_callers_are_numbers(limit: object) -> None:
    with pytest.raises(UsageError, match=re.escape("[SC207] --fail-under needs a number for accuracy; got ")):
        parse_limits({"accuracy": limit})  # type: ignore[dict-item]


def test_a_million_classes_of_many_features_are_refused_before_the_work() -> None:
    with pytest.raises(TooLargeError, match=re.escape("[SC606] big.csv: needs ")):
        check_features_fit(1000, 100_000, 1_000_000, "big.csv")


def test_ordinary_sizes_pass() -> None:
    check_features_fit(400_000, 120, 23, "kdd")
