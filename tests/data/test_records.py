"""Records, found without a loop, against a reader that goes character by character."""

from __future__ import annotations

import re

import pytest

from softclass.data import records
from softclass.data.records import find_records
from softclass.errors import TableError


def found(data: bytes, delimiter: str = ",", *, line: int = 1, final: bool = True) -> list[tuple[bytes, int, int]]:
    """Text, number of fields and line of each record."""
    result = find_records(data, delimiter, line=line, final=final, where="a.csv")
    spans = zip(result.starts, result.ends, result.fields.tolist(), result.lines.tolist(), strict=True)
    return [(data[start:end], fields, line) for start, end, fields, line in spans]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a,b", [(b"a,b", 2, 1)]),
        (b"a,b\n", [(b"a,b", 2, 1)]),
        (b"a\rb\r\nc\nd\r", [(b"a", 1, 1), (b"b", 1, 2), (b"c", 1, 3), (b"d", 1, 4)]),
        (b"\n\r\n\n", [(b"", 1, 1), (b"", 1, 2), (b"", 1, 3)]),
        (b'"a\n,\r\nb",c\nd,e\n', [(b'"a\n,\r\nb",c', 2, 1), (b"d,e", 2, 4)]),
        (b'"a""b",c\n', [(b'"a""b",c', 2, 1)]),
        (b'"",""\n"""",""""""\n', [(b'"",""', 2, 1), (b'"""",""""""', 2, 2)]),
        (b'5" pipe,6"\nx""y,"z"\n', [(b'5" pipe,6"', 2, 1), (b'x""y,"z"', 2, 2)]),
        (b' "a,b"\n', [(b' "a,b"', 2, 1)]),
        ('"é,花",ü\n'.encode(), [('"é,花",ü'.encode(), 2, 1)]),
    ],
)
def test_records_are_found(data: bytes, expected: list[tuple[bytes, int, int]]) -> None:
    assert found(data) == expected


@pytest.mark.parametrize(
    ("data", "n_used", "next_line"),
    [
        (b"a\nb", 2, 2),
        (b"a\r\n", 3, 2),
        (b"a\r", 0, 1),  # the first half of CRLF, perhaps
        (b'a\n"b\nc', 2, 2),
        (b'a\n"b\nc"\nd', 8, 4),
    ],
)
def test_the_rest_waits_for_more(data: bytes, n_used: int, next_line: int) -> None:
    result = find_records(data, ",", line=1, final=False, where="a.csv")

    assert (result.n_used, result.next_line) == (n_used, next_line)


MIB = 2**20


@pytest.mark.parametrize(
    ("data", "final", "message"),
    [
        (b'a\n1,"2\n3,4\n', True, "[SC306] a.csv, line 8: a quote opens here and is never closed"),
        (b'a,"b"\nc,"', True, "[SC306] a.csv, line 8: a quote opens here and is never closed"),
        (
            b'a,"b"c,d\n',
            False,
            '[SC306] a.csv, line 7: after a closing quote the cell must end; got "c,d". '
            "The quote opened on line 7; inside a quoted cell write two quotes",
        ),
        (
            b'1,"2\n3,"4\n',
            True,
            '[SC306] a.csv, line 8: after a closing quote the cell must end; got "4". '
            "The quote opened on line 7; inside a quoted cell write two quotes",
        ),
        (
            b'1,""2\n',
            True,
            '[SC306] a.csv, line 7: after a closing quote the cell must end; got "2". '
            "The quote opened on line 7; inside a quoted cell write two quotes",
        ),
        (
            b"a,b\n1," + b"x" * (MIB + 1) + b"\n",
            True,
            "[SC306] a.csv, line 8: a cell may hold at most 1,048,576 bytes; this one holds 1,048,577. "
            "Is a quote never closed?",
        ),
        (
            b"a,b\n" + b"1,2" * (6 * MIB) + b"\n",
            True,
            "[SC306] a.csv, line 8: a row may hold at most 16,777,216 bytes; this one holds more",
        ),
        (
            b"a,b\n" + b"1,2" * (6 * MIB),
            False,
            "[SC306] a.csv, line 8: a row may hold at most 16,777,216 bytes; this one holds more",
        ),
        (
            b'a,b\n1,"' + b"x\n" * (9 * MIB),
            False,
            "[SC306] a.csv, line 8: a quote opens here and is not closed within 16,777,216 bytes",
        ),
    ],
)
def test_damage_is_named_with_its_line(data: bytes, final: bool, message: str) -> None:
    with pytest.raises(TableError, match="^" + re.escape(message) + "$"):
        find_records(data, ",", line=7, final=final, where="a.csv")


def test_a_cell_at_the_limit_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_CELL_BYTES", 10)

    assert len(found(b"0123456789,0123456789\n")) == 1
