"""Dates: how they are written, and when they are; the truth is the standard library's datetime."""

from __future__ import annotations

import datetime
import re

import numpy as np
import pyarrow as pa
import pytest

from asserts import assert_bit_equal
from softclass.data.dates import date_format_of, seconds_of
from softclass.errors import UsageError

UTC = datetime.UTC


def seconds(*moment: int, zone: datetime.tzinfo = UTC) -> float:
    return datetime.datetime(*moment, tzinfo=zone).timestamp()  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("words", "date_format"),
    [
        (["2024-02-29", "1969-12-31"], "iso"),
        (["2024-02-29T12:30", "2024-02-29 12:30:15.25Z", "2024-02-29 12:30+02"], "iso"),
        (["2024/2/9"], "%Y/%m/%d"),
        (["2024.02.09"], "%Y.%m.%d"),
        (["2024年2月9日"], "%Y年%m月%d日"),
        (["13.1.2024", "1.2.2024 10:00"], "%d.%m.%Y"),
        (["1/13/2024", "1/2/2024"], "%m/%d/%Y"),
        (["31/1/2024", "1/2/2024"], "%d/%m/%Y"),
        (["31-1-2024"], "%d-%m-%Y"),
        (["1/2/2024", "3/4/2024"], "unclear"),
        (["1.2.2024"], "unclear"),
        (["13/13/2024"], None),
        (["1/13/2024", "13/1/2024"], None),
        (["2023-02-29"], None),
        (["2024-01-01", "soon"], None),
        (["2024-01-01T25:00"], None),
        (["20240101"], None),
        (["1.5"], None),
        ([], None),
    ],
)
def test_the_format_is_found(words: list[str], date_format: str | None) -> None:
    assert date_format_of(pa.array(words, pa.string())) == date_format


@pytest.mark.parametrize(
    ("word", "date_format", "expected"),
    [
        ("1970-01-01", "iso", 0.0),
        ("1969-12-31T23:59:59.5", "iso", -0.5),
        ("2024-02-29 12:30:15", "iso", seconds(2024, 2, 29, 12, 30, 15)),
        ("2024-02-29 12:30:15Z", "iso", seconds(2024, 2, 29, 12, 30, 15)),
        ("2024-02-29 12:30+05:30", "iso", seconds(2024, 2, 29, 7, 0)),
        ("2024-02-29 12:30-0230", "iso", seconds(2024, 2, 29, 15, 0)),
        ("0001-01-01", "iso", seconds(1, 1, 1)),
        ("9999-12-31", "iso", seconds(9999, 12, 31)),
        ("3.4.2024 05:06", "%d.%m.%Y", seconds(2024, 4, 3, 5, 6)),
        ("12/31/99 11:59 pm", "%m/%d/%y %I:%M %p", seconds(1999, 12, 31, 23, 59)),
        ("12/31/68 12:00 AM", "%D %I:%M %p", seconds(2068, 12, 31)),
        ("Mon, 5 Feb 2024 07:08:09 +0100", "%a, %d %b %Y %T %z", seconds(2024, 2, 5, 6, 8, 9)),
        ("5 February 2024", "%d %B %Y", seconds(2024, 2, 5)),
        ("2024", "%Y", seconds(2024, 1, 1)),
        ("2024-01-01 10:00:00,250", "iso", seconds(2024, 1, 1, 10) + 0.25),
        ("100% 2024-03", "100%% %Y-%m", seconds(2024, 3, 1)),
        ("2024-13-01", "iso", np.nan),
        ("2024-04-31", "iso", np.nan),
        ("2024-04-30 24:00", "iso", np.nan),
        ("13:00 pm 2024", "%I:%M %p %Y", np.nan),
        ("5 Foo 2024", "%d %b %Y", np.nan),
        ("2024-01-01x", "iso", np.nan),
        ("", "iso", np.nan),
        (None, "iso", np.nan),
    ],
)
def test_seconds_are_those_of_the_standard_library(word: str | None, date_format: str, expected: float) -> None:
    assert_bit_equal(np.array([expected]), seconds_of(pa.array([word], pa.string()), date_format))


KNOWN = "%Y %y %m %d %H %I %M %S %f %p %z %Z %b %B %a %A"


@pytest.mark.parametrize(
    ("date_format", "message"),
    [
        (
            "%d.%m.%G",
            '[SC207] --date-format must consist of the directives of strptime; got "%d.%m.%G". '
            f'It has "%G" which is not known. Known: {KNOWN}',
        ),
        (
            "%Y %Y",
            '[SC207] --date-format must consist of the directives of strptime; got "%Y %Y". '
            f'It has "%Y" twice. Known: {KNOWN}',
        ),
        (
            "%d %b %B %Y",
            '[SC207] --date-format must consist of the directives of strptime; got "%d %b %B %Y". '
            f'It has "%B" twice. Known: {KNOWN}',
        ),
        (
            "%Y %",
            '[SC207] --date-format must consist of the directives of strptime; got "%Y %". '
            f'It has "%" which is not known. Known: {KNOWN}',
        ),
        ("%d.%m", '[SC207] --date-format must have a year, %Y or %y; got "%d.%m"'),
    ],
)
def test_an_odd_format_is_refused(date_format: str, message: str) -> None:
    with pytest.raises(UsageError, match="^" + re.escape(message) + "$"):
        seconds_of(pa.array(["1"]), date_format)
