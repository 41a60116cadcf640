"""Odds ratios: closed forms of two-way tables, units of people, and blanks with reasons."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softclass.data import samples
from softclass.data.preprocessing import BooleanStep, CategoryStep, DatetimeStep, NumberStep, Preprocessing
from softclass.errors import UsageError
from softclass.model.encoded import EncodedRows
from softclass.model.odds_ratios import check_odds_ratios, design_of, odds_ratios
from softclass.model.train import train

# Rows of each class where a column is "lo" and where it is "hi", as in the closed form for a table of counts.
COUNTS = {"lo": (30, 20, 10), "hi": (12, 25, 33)}


def quiet(event: str, facts: dict[str, Any]) -> None:
    """A listener, so that notes are not warnings."""


def counted_rows() -> tuple[np.ndarray, np.ndarray]:
    cells = [(level, k) for level, counts in COUNTS.items() for k, n in enumerate(counts) for _ in range(n)]
    return np.array([level for level, _ in cells], dtype=object), np.array([k for _, k in cells])


def of_table(columns: dict[str, np.ndarray], steps: tuple[Any, ...], targets: np.ndarray, **given: Any) -> dict:
    preprocessing = Preprocessing(steps)
    rows = EncodedRows(preprocessing, columns, np.arange(len(targets)), preprocessing.n_features)
    classes = tuple("abcdef"[: targets.max() + 1])
    return odds_ratios(rows, targets, given.pop("weights", None), classes, max_iter=1000, **given)


def test_a_two_way_table_has_the_odds_ratios_of_its_counts() -> None:
    levels, targets = counted_rows()
    found = of_table({"x": levels}, (CategoryStep("x", ("lo", "hi"), 0, 0),), targets)

    assert (found["reference"], found["n"], found["against"]) == ("a", 130.0, {"x": "lo"})
    low, high = COUNTS["lo"], COUNTS["hi"]
    for row, k in zip(found["rows"], (1, 2), strict=True):
        ratio = high[k] * low[0] / (high[0] * low[k])
        reach = 1.959963984540054 * math.sqrt(1 / high[k] + 1 / low[0] + 1 / high[0] + 1 / low[k])
        assert (row["class"], row["column"], row["reason"]) == ("abc"[k], "x = hi", "")
        assert row["odds_ratio"] == pytest.approx(ratio, rel=1e-6)
        assert row["low"] == pytest.approx(ratio * math.exp(-reach), rel=1e-6)
        assert row["high"] == pytest.approx(ratio * math.exp(reach), rel=1e-6)


def test_yes_or_no_counts_as_one_unit() -> None:
    levels, targets = counted_rows()
    as_boolean = of_table({"x": (levels == "hi").astype(float)}, (BooleanStep("x", 0),), targets)
    as_category = of_table({"x": levels}, (CategoryStep("x", ("lo", "hi"), 0, 0),), targets)

    for one, other in zip(as_boolean["rows"], as_category["rows"], strict=True):
        assert one["odds_ratio"] == pytest.approx(other["odds_ratio"], rel=1e-6)
        assert one["column"] == "x"


def test_a_weight_counts_as_rows() -> None:
    levels, targets = counted_rows()
    steps = (CategoryStep("x", ("lo", "hi"), 0, 0),)
    twice = of_table({"x": np.tile(levels, 2)}, steps, np.tile(targets, 2))
    weighted = of_table({"x": levels}, steps, targets, weights=np.full(len(targets), 2.0))

    assert weighted["n"] == twice["n"] == 260
    for one, other in zip(weighted["rows"], twice["rows"], strict=True):
        assert one["low"] == pytest.approx(other["low"], rel=1e-6)


def test_a_number_counts_in_standard_deviations_that_its_name_tells() -> None:
    rng = np.random.default_rng(0)
    number = rng.normal(10.0, 4.0, 500)
    targets = (number + rng.logistic(0, 4.0, 500) > 10).astype(int)
    found = of_table({"x": number}, (NumberStep("x", 10.0, 10.0, 4.0, False, 0),), targets)
    halved = of_table({"x": number}, (NumberStep("x", 10.0, 10.0, 2.0, False, 0),), targets)

    assert [found["rows"][0]["column"], halved["rows"][0]["column"]] == ["x (per 4)", "x (per 2)"]
    assert found["rows"][0]["odds_ratio"] == pytest.approx(halved["rows"][0]["odds_ratio"] ** 2, rel=1e-5)


def test_separated_classes_leave_blanks_with_their_reason() -> None:
    number = np.linspace(-1, 1, 40)
    [row] = of_table({"x": number}, (NumberStep("x", 0, 0, 1, False, 0),), (number > 0).astype(int))["rows"]

    assert row == {"class": "b", "column": "x (per 1)", "odds_ratio": None, "low": None, "high": None,
                   "p_value": None, "reason": "separated"}  # fmt: skip


def test_a_category_that_never_meets_a_class_grows_without_end() -> None:
    levels = np.array(["lo"] * 40 + ["hi"] * 20, dtype=object)
    targets = np.array([0, 1] * 20 + [1] * 20)
    [row] = of_table({"x": levels}, (CategoryStep("x", ("lo", "hi"), 0, 0),), targets)["rows"]

    assert (row["odds_ratio"], row["low"], row["reason"]) == (math.inf, None, "infinite")


def test_equal_columns_are_not_estimable() -> None:
    number = np.random.default_rng(0).normal(size=60)
    targets = np.random.default_rng(1).integers(0, 2, 60)
    steps = (NumberStep("x", 0, 0, 1, False, 0), NumberStep("y", 0, 0, 1, False, 0))
    rows = of_table({"x": number, "y": number}, steps, targets)["rows"]

    assert [(row["odds_ratio"], row["reason"]) for row in rows] == [(None, "dependent")] * 2


def test_columns_that_repeat_others_are_left_out() -> None:
    steps = (
        NumberStep("n", 0, 0, 2.5, True, 1),
        CategoryStep("c", ("often", "seldom"), 3, 2),
        DatetimeStep("d", 0, 0, 172_800.0, False, ("week",), 0),
        NumberStep("constant", 0, 0, 1, False, 0),
    )
    low = np.zeros(10)
    high = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 0.0])
    design = design_of(Preprocessing(steps), low, high)

    assert design.names == (
        "n (per 2.5)", "n is missing", "c is missing", "c is another", "c = seldom", "d (per 2 days)",
        "d, sine of the week", "d, cosine of the week",
    )  # fmt: skip
    assert design.columns.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert design.against == {"c": "often"}


def test_a_column_of_rare_categories_alone_is_compared_with_them() -> None:
    design = design_of(Preprocessing((CategoryStep("c", (), 5, 5),)), np.zeros(2), np.ones(2))

    assert (design.names, design.against) == (("c is missing",), {"c": ""})


def test_too_many_weights_are_refused_before_the_work() -> None:
    message = "[SC202] train: --odds-ratios does not apply to 3,030 weights (applies to at most 1,500). Drop columns"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        check_odds_ratios(100, 30)

    check_odds_ratios(1499, 2)


def test_the_report_of_a_run_shows_them_again(tmp_path: Path) -> None:
    import json

    import softclass

    trained = train(
        samples.path("penguins.csv"), "sex", na_values=["sex=NA"], drop_missing_target=True, C=1.0, odds_ratios=True,
        path=True, output=tmp_path / "run", progress=quiet,
    )  # fmt: skip
    told = json.loads((tmp_path / "run" / "metrics.json").read_text())
    first = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    again = softclass.load(tmp_path / "run").report(tmp_path / "again.html").read_text(encoding="utf-8")
    in_memory = trained.report(tmp_path / "memory.html").read_text(encoding="utf-8")

    ratios = [row["odds_ratio"] for row in told["odds_ratios"]["rows"]]
    assert len(ratios) == 9
    for page in (first, again, in_memory):
        values = {float(value) for value in re.findall(r'<data value="([^"]+)">', page)}
        assert set(ratios) <= values
        assert {told["fit"]["objective"], told["fit"]["gap"]} <= values
        assert set(told["path"]["log_loss"]) <= values
