"""Names of columns."""

from __future__ import annotations

import re

import pytest

from softclass.data.names import clean_names
from softclass.errors import Notes, TableError


def test_names_are_trimmed_and_made() -> None:
    notes = Notes()

    names = clean_names([" a ", "", "\u3000花\u3000", "  ", "b\u202e"], notes, "a.csv")

    assert names == ["a", "column_2", "花", "column_4", "b\u202e"]
    assert [note.message for note in notes] == [
        "2 column names freed of the blanks round them",
        "2 columns without a name, now called column_<n> after their position",
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b", " a"], 'column names must differ; "a" is column 1 and column 3. Rename one of them'),
        (["column_2", ""], 'column names must differ; "column_2" is column 1 and column 2. Rename one of them'),
        (
            ["a", "b\nc"],
            'a column name must not hold a control character; column 2 is "b\\u000ac". '
            "Is a quote missing in the header?",
        ),
        (
            ["a\u2028b"],
            'a column name must not hold a control character; column 1 is "a\\u2028b". '
            "Is a quote missing in the header?",
        ),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(TableError, match="^" + re.escape(f"[SC303] a.csv: {message}") + "$"):
        clean_names(names, Notes(), "a.csv")


def test_case_tells_names_apart() -> None:
    assert clean_names(["a", "A"], Notes(), "a.csv") == ["a", "A"]
