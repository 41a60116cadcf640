"""The sections on the fit, on other strengths of the penalty, and on odds ratios."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from softclass.report.facts import (
    CoefficientTable,
    FitFacts,
    OddsRow,
    OddsTable,
    PathFacts,
    ReportFacts,
    WorstRow,
)
from softclass.report.html import render_report, words_of
from softclass.report.numbers import factor, tiny
from softclass.report.path_figures import loss_path_figure, nice_ticks, round_factors, spread, weight_path_figure
from softclass.report.translated import translated
from softclass.report.words import LANGUAGES

WORDS = words_of(LANGUAGES["en"])
FIT = FitFacts(
    C=10.0, objective=0.0625, gap=3.125e-10, gap_kind="newton", converged=True, passes=14, iterations=12,
    solver="newton",
)  # fmt: skip
PATH = PathFacts(
    C=[0.1, 1.0, 10.0], log_loss=[0.5, 0.25, 0.2415], standard_error=[0.03125, 0.015625, 0.0078125], folds=5,
    held_out=150, chosen=10.0, was_chosen=True, weight_C=[0.1, 1.0, 10.0],
    weights={"b": {"petal": [0.5, 1.0, 2.0], "<i>": [-0.25, -0.5, -1.5]}}, weight_rows=150,
)  # fmt: skip
ODDS = OddsTable(
    "a",
    0.95,
    150.0,
    [
        OddsRow("b", "petal (per 1.5)", 2.5, 1.25, 5.0, 0.0078125),
        OddsRow("b", "colour = red", math.inf, None, None, None, "infinite"),
        OddsRow("b", "twice", None, None, None, None, "dependent"),
    ],
    {"colour": "<blue>"},
)
FACTS = ReportFacts("flowers.csv", "table", ["a", "b"], evaluation=None, fit=FIT, path=PATH, odds=ODDS)


def text_of(page: str) -> str:
    body = page[page.index("<main>") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", body)).replace("&lt;", "<").replace("&gt;", ">")


@pytest.fixture(scope="module", params=["en", "zh"])
def page(request: pytest.FixtureRequest) -> str:
    return render_report(FACTS, request.param)


def test_the_numbers_are_there(page: str) -> None:
    values = {float(value) for value in re.findall(r'<data value="([^"]+)">', page)}

    expected = {0.0625, 3.125e-10, 14, 0.5, 0.25, 0.2415, 0.03125, 150, 2.5, 1.25, 5.0, 0.0078125}
    assert expected <= values


def test_the_table_behind_the_curves_holds_their_weights_at_powers_of_ten() -> None:
    path = replace(PATH, weight_C=[0.1, 0.5, 1.0], weights={"b": {"petal": [0.125, 0.375, 0.625]}})
    page = render_report(replace(FACTS, path=path))
    values = re.findall(r'<data value="(0\.(?:125|375|625))">', page)

    assert values == ["0.125", "0.625"]


def test_each_new_section_is_in_the_contents(page: str) -> None:
    links = re.findall(r'href="#(\w+)"', page)

    assert [link for link in links if link in ("fit", "weights", "odds")] == ["fit", "weights", "odds"]
    assert {'id="fit"', 'id="odds"'} <= set(re.findall(r'id="\w+"', page))


def test_without_facts_there_are_no_such_sections() -> None:
    page = render_report(replace(FACTS, fit=None, path=None, odds=None))

    assert not re.findall(r'(?:id|href)="#?(?:fit|odds)"', page)


def test_names_of_the_data_stay_text(page: str) -> None:
    assert "<i>" not in page
    assert "<blue>" not in page
    assert "colour = <blue>" in text_of(page)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (
            "duality",
            "Proved: no weights whatever are better by more than 3.1e−10 nats, 5e−9 of that. The proof is a d",
        ),
        ("newton", "Proved: no weights whatever are better by more than 3.1e−10 nats, 5e−9 of that. The proof is a b"),
        ("decrement", "By the solver’s own estimate the best weights are better by 3.1e−10 nats, 5e−9 of that. It is"),
        ("none", "How much better the best weights are is not known."),
    ],
)
def test_what_is_proved_and_what_is_not(kind: str, says: str) -> None:
    found = text_of(render_report(replace(FACTS, fit=replace(FIT, gap_kind=kind))))

    assert says in found


def test_a_fit_that_stopped_early_or_was_streamed_or_separates_says_so() -> None:
    fit = replace(FIT, converged=False, streamed=True, separation="class a is separated by <petal>")
    found = text_of(render_report(replace(FACTS, fit=fit)))

    assert "The solver stopped before its test was met." in found
    assert "read from there in blocks" in found
    assert "class a is separated by <petal>" in found


@pytest.mark.parametrize(
    ("chosen", "was_chosen", "says"),
    [
        (10.0, True, "C = 10 was chosen by it: the strongest penalty whose loss is within 0.1% of the least."),
        (1.0, False, "C = 1 was given, not chosen by it."),
        (math.inf, False, "No penalty was asked for, so no C is marked."),
    ],
)
def test_how_c_came_about(chosen: float, was_chosen: bool, says: str) -> None:
    path = replace(PATH, chosen=chosen, was_chosen=was_chosen)

    assert says in text_of(render_report(replace(FACTS, path=path)))


def test_a_single_part_and_a_sample_are_said() -> None:
    found = text_of(render_report(replace(FACTS, path=replace(PATH, folds=1, weights_sampled=True))))

    assert "Log loss on 150 rows that were held out of the fit part once." in found
    assert "They are a sample of the fit part" in found


def test_blanks_have_reasons() -> None:
    found = text_of(render_report(FACTS))

    assert "colour = red∞ – –no interval: it grows without end" in found
    assert "twice– – –not estimable: the column depends on others" in found


def test_a_table_of_many_columns_is_cut_and_says_so() -> None:
    rows = [OddsRow("b", f"column {n}", 2.0, 1.0, 4.0, 0.5) for n in range(100)]
    page = render_report(replace(FACTS, odds=replace(ODDS, rows=rows)))

    assert "60 of 100 rows are shown; metrics.json holds all." in text_of(page)
    assert ("column 59" in page, "column 60" in page) == (True, False)


# --- figures ---


def shapes(figure: str, name: str) -> list[dict[str, str]]:
    return [node.attrib for node in ElementTree.fromstring(figure).iter(name)]


def test_dots_stand_at_their_losses_and_bars_are_one_standard_error() -> None:
    figure = str(loss_path_figure(PATH.C, PATH.log_loss, PATH.standard_error, 10.0, "label", WORDS))
    dots = [float(dot["cy"]) for dot in shapes(figure, "circle")]
    bars = [(float(bar["y1"]), float(bar["y2"])) for bar in shapes(figure, "line") if bar.get("class") == "error"]
    scale = (dots[1] - dots[0]) / (0.5 - 0.25)

    assert dots[2] - dots[1] == pytest.approx(scale * (0.25 - 0.2415), abs=0.02)
    for dot, (low, high), error in zip(dots, bars, PATH.standard_error, strict=True):
        assert low - dot == pytest.approx(scale * error, abs=0.02)
        assert dot - high == pytest.approx(scale * error, abs=0.02)


def test_the_chosen_strength_is_marked_where_it_stands() -> None:
    figure = str(loss_path_figure(PATH.C, PATH.log_loss, PATH.standard_error, 1.0, "label", WORDS))
    [mark] = [line for line in shapes(figure, "line") if line.get("class") == "chosen"]

    assert mark["x1"] == shapes(figure, "circle")[1]["cx"]


def test_losses_that_were_not_tried_are_left_out() -> None:
    figure = str(loss_path_figure(PATH.C, [0.5, None, 0.25], [0.1, None, 0.1], math.inf, "label", WORDS))

    assert len(shapes(figure, "circle")) == 2
    assert not [line for line in shapes(figure, "line") if line.get("class") == "chosen"]


def test_curves_meet_their_names_and_names_do_not_overlap() -> None:
    curves = {f"column {n}": [0.0, 1.0 + n / 100] for n in range(5)}
    figure = str(weight_path_figure([0.1, 10.0], curves, 1.0, 1.04, "label", WORDS))
    heights = sorted(float(text["y"]) for text in shapes(figure, "text") if text["class"].startswith("name "))

    assert len(heights) == 5
    assert min(b - a for a, b in pairwise(heights)) >= 14.9


def test_losses_of_many_sizes_stand_at_equal_factors() -> None:
    figure = str(loss_path_figure(PATH.C, [1.0, 0.1, 0.01], [0.5, 0.01, 0.001], 1.0, "label", WORDS))
    first, second, third = (float(dot["cy"]) for dot in shapes(figure, "circle"))

    assert second - first == pytest.approx(third - second, abs=0.02)


@pytest.mark.parametrize(("low", "high"), [(0.03, 0.9), (1e-5, 1.0), (0.01, 0.05), (2.0, 9.0)])
def test_round_factors_span_the_range(low: float, high: float) -> None:
    marks = round_factors(low, high)

    assert marks[0] <= low < high <= marks[-1]
    assert 3 <= len(marks) <= 8


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.021, 0.098), (-3.3, 3.3), (1e-7, 3e-7), (5.0, 5.0), (0, 0)])
def test_ticks_span_the_range_and_are_few(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)

    assert ticks[0] <= low + 1e-12
    assert ticks[-1] >= high - 1e-12
    assert 2 <= len(ticks) <= 8


def test_names_are_moved_apart_at_the_lower_edge_too() -> None:
    assert spread([98.0, 99.0], 0.0, 100.0, 10.0) == [90.0, 100.0]


def test_numbers_of_any_size() -> None:
    assert [tiny(1e-300), factor(1e300), factor(0.0), factor(math.inf)] == ["1e−300", "1.00e+300", "0", "∞"]


@pytest.mark.parametrize(("lang", "says"), [("en", "No column has an odds ratio (2 columns)"), ("zh", "共 2 列")])
def test_classes_that_are_apart_have_one_sentence_and_no_rows_of_dashes(lang: str, says: str) -> None:
    rows = [OddsRow("b", name, None, None, None, None, "separated") for name in ("one", "other")]
    odds = OddsTable("a", 0.95, 10.0, rows, {})
    facts = ReportFacts("t.csv", "table", ["a", "b"], None, odds=odds)

    found = render_report(facts, lang)

    assert says in found
    assert "other</th>" not in found


def test_features_and_places_have_chinese_names() -> None:
    odds = OddsTable("a", 0.95, 10.0, [OddsRow("b", "size is missing", 2.0, 1.0, 4.0, 0.5)], {})
    learnt = CoefficientTable(["size is missing", "when, sine of the day"], np.array([[1.0, 2.0], [-1.0, -2.0]]))
    worst = [WorstRow("row 297", "a", "b", 0.9, 2.0)]
    facts = ReportFacts("t.csv", "table", ["a", "b"], None, odds=odds, coefficients=learnt, worst=worst)

    found = translated(facts, "zh")

    assert found.worst[0].place == "第 297 行"
    assert found.odds is not None
    assert found.odds.rows[0].column == "size 缺失"
    assert list(found.coefficients.feature_names) == ["size 缺失", "when，一日的正弦"]  # type: ignore[union-attr]
