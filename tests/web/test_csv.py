"""The reader of CSV files on the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from softclass.data.cells import MISSING_TOKENS
from web.engines import Ask, engine_fixtures

TASKS = Path(__file__).parent / "plane_tasks.js"
engine, node = engine_fixtures(TASKS)


@pytest.mark.parametrize(
    ("text", "names", "rows"),
    [
        ("a,b\n1,2\n3,4\n", ["a", "b"], [["1", "2"], ["3", "4"]]),
        ("\ufeffa,b\r\n1,2", ["a", "b"], [["1", "2"]]),
        ('a,"b ""c"""\r\n"1,5","two\nlines"\r\n', ["a", 'b "c"'], [["1,5", "two\nlines"]]),
        ("a;b\n1,5;2,5\n", ["a", "b"], [["1,5", "2,5"]]),
        ("a\tb\r\r1\t\r", ["a", "b"], [["1", ""]]),
        ("特征1,类别\n5.1,A\n\n\n4.9,B", ["特征1", "类别"], [["5.1", "A"], ["4.9", "B"]]),
        ("one\n1\n", ["one"], [["1"]]),
    ],
)
def test_csv_is_read_as_the_rfc_says(engine: Ask, text: str, names: list[str], rows: list[list[str]]) -> None:
    assert engine("csv", text=text) == {"value": {"names": names, "rows": rows}}


@pytest.mark.parametrize(
    ("text", "reason", "values"),
    [
        ("", "empty", {}),
        ("\n\r\n", "empty", {}),
        ("a,b\n", "no_rows", {}),
        ("a,\n1,2\n", "no_name", {"column": 2}),
        ("a,b,a\n1,2,3\n", "name_twice", {"column": "a"}),
        ("a,b\n1,2\n1\n", "cells", {"row": 3, "found": 1, "wanted": 2}),
        ("a,b\n1,2,3\n", "cells", {"row": 2, "found": 3, "wanted": 2}),
        ('a,b\n1,x"y\n', "quote_inside", {"row": 2, "column": 2}),
        ('a,b\n"1"2,3\n', "after_quote", {"row": 2, "column": 1}),
        ('a,b\n1,"2\n', "open_quote", {"row": 2, "column": 2}),
        ("a\n1\n2\n3\n", "too_many", {"most": 2}),
    ],
)
def test_csv_that_is_wrong_names_row_and_column(node: Ask, text: str, reason: str, values: dict[str, Any]) -> None:
    found = node("csv", text=text, most=2)

    assert (found["error"], found["reason"], found["values"]) == ("CsvError", reason, values)


@pytest.mark.parametrize("cell", ["x", "", "NaN", "Infinity", "0x10", "1e999", "1 2", "1,5"])
def test_cell_that_is_no_number_is_named(node: Ask, cell: str) -> None:
    found = node("column", text=f'a,b\n1,2\n"{cell}",3\n', name="a")

    assert (found["reason"], found["values"]) == ("number", {"row": 3, "column": "a", "value": cell})


def test_numbers_are_read_and_their_columns_found(node: Ask) -> None:
    text = "a,b,c\n 1 ,-2.5e-3,x\n+.5,7.,4\n"

    assert node("column", text=text, name="b") == {"value": [-0.0025, 7]}
    assert node("numeric", text=text) == ["a", "b"]


def test_words_for_a_gap_are_those_of_the_product(node: Ask) -> None:
    cells = [*MISSING_TOKENS, " NA ", "0", "x", "nA", "inf"]

    assert [cell for cell in cells if node("missing", cell=cell)] == [*MISSING_TOKENS, " NA "]


def test_a_column_of_gaps_alone_is_no_column_of_numbers(node: Ask) -> None:
    text = "a,b,c,d\n1,NA,,x\n,NA,2,3\n-, ,?,4\n"

    assert node("numeric", text=text) == ["a", "c"]
    assert node("column", text=text, name="a", gaps=True) == {"value": [1, None, None]}
    assert node("column", text=text, name="d", gaps=True)["values"] == {"row": 2, "column": "d", "value": "x"}


@pytest.mark.parametrize(
    ("language", "sentence"), [("en", "The file has more than 100,000 rows."), ("zh", "文件超过 100,000 行。")]
)
def test_numbers_in_messages_are_written_as_the_language_does(
    page_at: Callable[..., Any], language: str, sentence: str
) -> None:
    rows = {"name": "long.csv", "mimeType": "text/csv", "buffer": b"a,b\n" + b"1,2\n" * 100_001}
    found = []
    for panel in ("plane&data=own", "mistakes"):
        page = page_at(f"p={panel}", language=language)
        page.locator(".panel input[type=file]").set_input_files(rows, timeout=30_000)
        failed = page.locator(".failed:visible", has_text="100")
        failed.wait_for()
        found.append(failed.inner_text())

    assert found == [sentence, sentence]
