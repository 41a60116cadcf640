"""Delimiters: told by the first records, by the model, or not at all."""

from __future__ import annotations

import re

import pytest

from softclass.data.sniff import check_delimiter, sniff_delimiter
from softclass.errors import TableError, UsageError


def sniffed(text: bytes, tie_break: str | None = None) -> str:
    return sniff_delimiter(text, final=True, tie_break=tie_break, where="a.csv")


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        (b"a,b\n1,2\n", ","),
        (b"a;b\n1;2\n", ";"),
        (b"a\tb\n1\t2\n", "\t"),
        (b"a|b\n1|2\n", "|"),
        (b"a,b,c|d\n1,2,3|4\n", ","),  # most fields
        (b"a;b\n1,5;2,5\n", ";"),
        (b"1,5;2,5\n1,25;2\n", ";"),
        (b"1,5;2,5\n1,25;2,0\n", ";"),  # commas split evenly, too, into more fields
        (b'"a";"b,c"\n"1";"2,3"\n', ";"),
        (b'"a;b",c\n"1;2",3\n', ","),
        (b'"a|""b";c\n"x|y";z\n', ";"),
        (b"a\n1\n\n2\n", ","),  # one column
        (b"a,b\n\n1,2\n\n\n", ","),
        (b"a,b,c\n1,2,3\n1,2\n4,5,6\n", ","),  # one bad row is not the delimiter's fault
        (b"a,b,c\n1,2\n", ","),
        (b"a;b;c\n1;2\n3;4;5\n", ";"),
        (b"text,label\nhello; you,x\nbye,y\n", ","),
    ],
)
def test_the_delimiter_is_found(text: bytes, delimiter: str) -> None:
    assert sniffed(text) == delimiter


@pytest.mark.parametrize("tie_break", [";", ","])
@pytest.mark.parametrize("text", [b"a;b,c\n1;2,3\n", b"a\n1\n"])
def test_the_model_breaks_ties(text: bytes, tie_break: str) -> None:
    assert sniffed(text, tie_break) == tie_break


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            b"a;b,c\nx;y,z\n",
            '[SC305] a.csv: the delimiter must be clear; "," and ";" both split the first records into 2 fields. '
            "Pass --delimiter ','",
        ),
        (
            b"a\tb|c\nx\ty|z\n",
            '[SC305] a.csv: the delimiter must be clear; tab and "|" both split the first records into 2 fields. '
            "Pass --delimiter tab",
        ),
        (
            b"Report\n\nby us\na,b,c\n1,2,3\n4,5,6\n",
            '[SC305] a.csv: the first line must be the header; split at ",", line 1 has 1 field and line 4 has 3. '
            "Remove the lines before the header, or pass --delimiter",
        ),
        (
            b"# a, b\na,b,c\n1,2,3\n4,5,6\n",
            '[SC305] a.csv: the first line must be the header; split at ",", line 1 has 2 fields and line 2 has 3. '
            "Remove the lines before the header, or pass --delimiter",
        ),
    ],
)
def test_what_is_unclear_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(TableError, match="^" + re.escape(message) + "$"):
        sniffed(text)


def test_a_broken_quote_is_named_whatever_the_delimiter() -> None:
    with pytest.raises(TableError, match=re.escape("[SC306] a.csv, line 2: a quote opens here and is never closed")):
        sniffed(b'a,b\n"1,2\n')


@pytest.mark.parametrize(("asked", "meant"), [("tab", "\t"), ("TAB", "\t"), ("\\t", "\t"), (";", ";"), (" ", " ")])
def test_delimiters_have_names(asked: str, meant: str) -> None:
    assert check_delimiter(asked) == meant


@pytest.mark.parametrize("asked", ["", ";;", "；", '"', "\n", "\0"])
def test_an_odd_delimiter_is_refused(asked: str) -> None:
    shown = {"\n": "\\u000a", "\0": "\\u0000"}.get(asked, asked)
    message = f'[SC207] --delimiter must be one ASCII character, or tab; got "{shown}"'

    with pytest.raises(UsageError, match="^" + re.escape(message) + "$"):
        check_delimiter(asked)
