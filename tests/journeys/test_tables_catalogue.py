"""Bad and strange tables, row by row of the catalogue (trust.md B2), through the command line.

Every row T01 to T41 has an entry. Where the catalogue gives two answers to one input, that of interface.md section 9
holds: dates are encoded rather than refused (T29), almost numbers are refused from 95 % on (T28), a delimiter is the
one that gives most fields (T10). Not reachable through this command line: T38, sparse matrices, belongs to the
estimator (tests/estimators/test_sklearn_contract.py and test_softmax_regression.py); T41, data frames, is called from
Python below; for T24 only the estimate that is refused is run.
"""

from __future__ import annotations

import bz2
import codecs
import io
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import softclass as library
from softclass.errors import DataError
from softclass.estimators.softmax_regression import SoftmaxRegression

QUICK = ("--C", "1", "--no-report", "--no-predictions", "-o", "run", "--overwrite")
LENGTHS = [i * 7 % 13 + (0 if i % 2 else 10) for i in range(60)]


def lines(row: Callable[[int], str], n: int = 60, head: str = "x,y,kind") -> list[str]:
    return [head, *(row(i) for i in range(n))]


def joined(rows: list[str]) -> bytes:
    return "".join(f"{row}\n" for row in rows).encode()


def kind(i: int) -> str:
    return "AB"[i % 2]


GOOD = lines(lambda i: f"{LENGTHS[i]},{'red' if i % 3 else 'blue'},{kind(i)}", head="length,colour,kind")


def with_x(cell: str, times: int = 2, other: Callable[[int], str] = lambda i: f"{i * 3 % 17}.5") -> bytes:
    """A column x of numbers in which some cells are something else."""
    return joined(lines(lambda i: f"{cell if 3 <= i < 3 + times else other(i)},{i * i % 7},{kind(i)}"))


def put(rows: list[str], at: int, *more: str) -> bytes:
    return joined([*rows[:at], *more, *rows[at:]])


def parquet(columns: dict[str, object]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


LABELS = ["A", "B"] * 30
TYPED = parquet(
    {
        "whole": [i % 7 for i in range(60)],
        "money": pa.array([Decimal(i % 9) / 4 for i in range(60)], pa.decimal128(10, 2)),
        "hue": pa.array(["red", "blue", "red"] * 20).dictionary_encode(),
        "kind": LABELS,
    }
)


@dataclass(frozen=True)
class Step:
    """A command, its exit status, and words that it must say; those after a "!" it must not."""

    arguments: str
    status: int
    words: tuple[str, ...] = ()


def train(status: int, *words: str, data: str = "t.csv", target: str = "kind", more: str = "") -> Step:
    return Step(f"train {data} -t {target} {' '.join(QUICK)} {more}", status, words)


def step(arguments: str, status: int, *words: str) -> Step:
    return Step(arguments, status, words)


# Name, files, what is done with them.
CASES: list[tuple[str, dict[str, bytes], tuple[Step, ...]]] = [
    ("T01-zero-bytes", {"t.csv": b"", "lines.csv": b"\n\n\n"}, (
        train(3, "error[SC301] t.csv: the file is empty"),
        train(3, "error[SC301] lines.csv: the file is empty", data="lines.csv"),
        step("inspect t.csv", 3, "error[SC301]"))),
    ("T02-header-only", {"t.csv": joined(GOOD[:1]), "good.csv": joined(GOOD)}, (
        train(3, "error[SC301] t.csv: the table has no rows"),
        train(0, data="good.csv"),
        step("predict run t.csv", 0, "row,prediction,confidence,proba_A,proba_B\n"),
        step("evaluate run t.csv", 3, "error[SC301] t.csv: there are no rows to evaluate"))),
    ("T03-row-with-more-fields", {"t.csv": put(GOOD, 20, "1,red,A,extra")}, (
        train(3, "error[SC302] t.csv, line 21: ", 'like the header; got 4: "1,red,A,extra"', "--bad-rows skip"),
        train(0, "60 rows", "note[SC811] 1 row with too many or too few fields left out", "rejects.csv",
              more="--bad-rows skip"),
        step("predict run t.csv", 3, "error[SC302]"),
        step("predict run t.csv --bad-rows skip -o p.csv", 0, "note[SC811]", "p.rejects.csv"))),
    ("T04-row-with-fewer-fields", {"t.csv": put(GOOD, 20, "1,red")}, (
        train(3, "error[SC302] t.csv, line 21: ", 'got 2: "1,red"'),
        train(0, "60 rows", "note[SC811]", more="--bad-rows skip"))),
    ("T05-equal-column-names", {"t.csv": joined(["a,kind,a", *GOOD[1:]])}, (
        train(3, 'error[SC303] t.csv: column names must differ; "a" is column 1 and column 3'),)),
    ("T06-empty-and-blank-names", {"t.csv": joined([" length ,,kind", *GOOD[1:]]),
                                   "twice.csv": joined(["length,length ,kind", *GOOD[1:]])}, (
        train(0, "note[SC818] 1 column name freed", "note[SC818] 1 column without a name", "column_2  category"),
        train(3, 'error[SC303] twice.csv: column names must differ; "length"', data="twice.csv"))),
    ("T07-utf8-bom", {"t.csv": codecs.BOM_UTF8 + joined(["kind,length", "A,1", "B,2", "A,3"])}, (
        train(0, "target kind: A 2, B 1", "!SC816"),)),
    ("T08-utf16-and-utf32", {"t.csv": joined(GOOD).decode().encode("utf-16"),
                             "32.csv": joined(GOOD).decode().encode("utf-32"),
                             "bare.csv": joined(GOOD).decode().encode("utf-16-le")}, (
        train(0, "60 rows × 3 columns"), train(0, "60 rows × 3 columns", data="32.csv"),
        train(3, "error[SC304] bare.csv: the bytes look like UTF-16", "--encoding utf-16-le", data="bare.csv"),
        train(0, "60 rows × 3 columns", data="bare.csv", more="--encoding utf-16-le"))),
    ("T09-not-utf8", {"t.csv": joined(GOOD).replace(b"red", b"caf\xe9"),
                      "cn.csv": joined(GOOD).decode().replace("red", "红色").encode("gb18030")}, (
        train(3, "error[SC304] t.csv, line 3: ", "the byte 0xe9 at offset 34", "--encoding cp1252"),
        train(0, "café", more="--encoding latin-1"),
        train(3, "error[SC304] cn.csv", "--encoding gb18030", data="cn.csv"),
        train(0, "红色", data="cn.csv", more="--encoding gb18030"))),
    ("T10-delimiters", {"t.csv": joined(GOOD).replace(b",", b";"), "tab.csv": joined(GOOD).replace(b",", b"\t"),
                        "bar.csv": joined(GOOD).replace(b",", b"|"), "odd.csv": joined(GOOD).replace(b",", b"~")}, (
        train(0, 'note[SC816] the delimiter is ";"', "60 rows × 3 columns"),
        train(0, "note[SC816] the delimiter is tab", data="tab.csv"),
        train(0, 'note[SC816] the delimiter is "|"', data="bar.csv"),
        train(3, "error[SC311]", "--delimiter with the character between them", data="odd.csv"),
        train(0, "60 rows × 3 columns", data="odd.csv", more="--delimiter ~"))),
    ("T11-decimal-comma", {"t.csv": joined(lines(lambda i: f'"{i % 9},{i % 7}",{i * 7 % 11},{kind(i)}')),
                           "one.csv": with_x('"5,1"', 1, lambda i: str(i * 3 % 17)),
                           "spoilt.csv": with_x('"5,1"', 1),
                           "thousand.csv": joined(lines(lambda i: f"1,{i:03d};{kind(i)}", head="x;kind"))}, (
        train(0, 'note[SC816] the decimal mark is ","', "x  number     0 … 8.5"),
        train(3, 'error[SC307] one.csv, line 5, column "x": ', 'got "5,1"', "--decimal ,", data="one.csv"),
        train(0, "x  number", data="one.csv", more="--decimal ,"),
        train(3, 'error[SC307] spoilt.csv, line 5, column "x"', "!--decimal ,", data="spoilt.csv"),
        train(3, "error[SC309] thousand.csv", "may be a fraction or thousands", data="thousand.csv"))),
    ("T12-quotes-and-long-cells", {"t.csv": put(GOOD, 10, '"5,red,A'), "after.csv": put(GOOD, 10, '"5"x,red,A'),
                                   "long.csv": put(GOOD, 10, f"5,{'r' * 1_100_000},A")}, (
        train(3, "error[SC306] t.csv, line 11: a quote opens here and is never closed"),
        train(3, 'error[SC306] after.csv, line 11: after a closing quote the cell must end; got "x', data="after.csv"),
        train(3, "error[SC306] long.csv, line 11: a cell may hold at most 1,048,576 bytes", data="long.csv"))),
    ("T13-line-ends-and-nul", {"t.csv": joined(GOOD).replace(b"\n", b"\r"),
                               "mixed.csv": joined(GOOD[:9]).replace(b"\n", b"\r\n") + joined(GOOD[9:]),
                               "quoted.csv": joined(GOOD).replace(b"red", b'"r\ne"'),
                               "nul.csv": put(GOOD, 5, "5,r\0d,A")}, (
        train(0, "60 rows × 3 columns"), train(0, "60 rows × 3 columns", data="mixed.csv"),
        train(0, "60 rows × 3 columns", "r\\u000ae, blue", data="quoted.csv"),
        train(3, "error[SC306] nul.csv, line 6: the text must not hold a NUL byte", data="nul.csv"))),
    ("T14-preamble-and-second-header", {"t.csv": put(GOOD, 0, "My table", "of today", ""),
                                        "comment.csv": put(GOOD, 0, "# a comment"),
                                        "twice.csv": joined([*GOOD[:30], *GOOD])}, (
        train(3, "error[SC305] t.csv: the first line must be the header", "line 1 has 1 field and line 4 has 3"),
        train(3, "error[SC305] comment.csv", "line 1 has 1 field and line 2 has 3", data="comment.csv"),
        train(3, 'error[SC307] twice.csv, line 31, column "length": must be a number; got "length"',
              data="twice.csv"))),
    ("T15-no-header", {"t.csv": joined(lines(lambda i: f"{i * 1.5},{i * 7 % 11},{i % 2}", head="5.1,3.5,0"))}, (
        train(3, "error[SC305] t.csv, line 1: ", "it holds only numbers", "--no-header", target="0"),
        train(0, "61 rows × 3 columns", target="column_3", more="--no-header"))),
    ("T16-odd-numbers", {"t.csv": with_x("inf"), "large.csv": with_x("1e309"), "small.csv": with_x("1e-400"),
                         "code.csv": with_x("007"), "whole.csv": with_x("9007199254740993"),
                         "truth.csv": joined(lines(lambda i: f"{bool(i % 3)},{i * 7 % 11},{kind(i)}"))}, (
        train(3, 'error[SC308] t.csv, line 5, column "x": must be a finite number; got "inf" (2 of 60 cells'),
        train(3, 'error[SC308] large.csv, line 5, column "x"', 'got "1e309"', data="large.csv"),
        train(0, 'note[SC826] column "x": 2 numbers too small', data="small.csv"),
        train(0, 'note[SC819] column "x": 2 numbers with leading zeros', "x  category", data="code.csv"),
        train(0, 'note[SC819] column "x"', "x  category", data="whole.csv"),
        train(0, "x  boolean    true / false", data="truth.csv"))),
    ("T17-classes-named-NA", {"t.csv": joined(lines(lambda i: f"{i % 7},1,{['NA', 'None', 'nan', 'null'][i % 4]}"))},
     (train(0, "target kind: NA 15, None 15, nan 15, null 15"),
      step("predict run t.csv", 0, "proba_NA,proba_None,proba_nan,proba_null"))),
    ("T18-labels-alike", {"t.csv": joined(lines(
        lambda i: f"{i % 7},{i % 13},{['1', '1.0', 'cat ', ' Cat', 'café', 'cafe' + chr(0x301)][i % 6]}"))}, (
        train(0, 'note[SC806]', '"Cat" and "cat"', "target kind: 1 10, 1.0 10, Cat 10, café 20, cat 10"),
     )),
    ("T19-target-misspelt", {"t.csv": joined(GOOD)}, (
        train(3, 'error[SC311] t.csv: target column "knd" is missing', 'Did you mean "kind"?', target="knd"),
        step(f"train t.csv {' '.join(QUICK)}", 3, "error[SC311] t.csv: the target column must be named"),
        train(2, "error[SC203]", "-t is given twice", more="-t colour"))),
    ("T20-empty-labels", {"t.csv": joined(lines(lambda i: f"{i * 5 % 7},{i % 13},{['A', 'B', '', ' '][i % 4]}"))}, (
        train(3, 'error[SC312] t.csv, column "kind": every row needs a label; 30 of 60 are empty: line 4, line 5, '),
        train(0, 'note[SC811] column "kind": 30 rows without a label', "30 rows", more="--drop-missing-target"),
        step("predict run t.csv -o p.csv", 0), step("evaluate run t.csv", 3, "error[SC312]"))),
    ("T21-one-class", {"t.csv": joined(lines(lambda i: f"{i % 7},{i % 13},A"))}, (
        train(3, 'error[SC313] t.csv, column "kind": at least 2 classes are needed; found only "A"'),)),
    ("T22-class-of-one-row", {"t.csv": joined(lines(lambda i: f"{i % 7},{i % 13},{'C' if i == 9 else kind(i)}"))}, (
        train(0, "note[SC804] 1 class has fewer rows", '"C" 1'),)),
    ("T23-class-only-in-the-evaluated-file", {"t.csv": joined(GOOD),
                                              "new.csv": joined(GOOD).replace(b",A\n", b",Z\n", 3)}, (
        train(0), step("evaluate run new.csv", 0, 'note[SC810] column "kind": 3 rows', "log loss of the known",
                       "3 rows with a label that the model does not know: counted as wrong"))),
    ("T25-continuous-target", {"t.csv": joined(lines(lambda i: f"{i % 7},{i % 13},{i * 0.37 + 0.1:g}", 100)),
                               "key.csv": joined(lines(lambda i: f"{i % 7},{i % 13},n{i}", 120))}, (
        train(3, 'error[SC314] t.csv, column "kind": the target looks like a measurement: 100', "--force-classes"),
        train(0, "100 classes, 1 each", more="--force-classes"),
        train(3, 'error[SC314] key.csv, column "kind": the target looks like a name or a key', data="key.csv"))),
    ("T26-unseen-category", {"t.csv": joined(GOOD), "new.csv": b"length,colour\n3,zz\n4,\x1b[31m\n5,\n"}, (
        train(0), step("predict run new.csv", 0, 'note[SC802] column "colour": 2 cells', '"zz", "\\u001b[31m"'),
        step("predict run new.csv --unseen fail", 3, 'error[SC323] new.csv, column "colour": 2 cells'))),
    ("T27-columns-reordered-extra-missing", {
        "t.csv": joined(GOOD), "moved.csv": b"colour,more,length\nred,1,3\n", "less.csv": b"colour\nred\n",
        "near.csv": b"colour,lenght\nred,1\n", "text.csv": b"colour,length\nred,abc\nred,def\n"}, (
        train(0), step("predict run moved.csv", 0, 'note[SC801] 1 column is not used: "more"'),
        step("predict run less.csv", 3, 'error[SC321] less.csv: column "length" is missing; found colour'),
        step("predict run near.csv", 3, "--rename lenght=length"),
        step("predict run near.csv --rename lenght=length", 0),
        step("predict run near.csv --rename lenght=size", 2, "error[SC207]", "leads to no column of the model"),
        step("predict run text.csv", 3, 'error[SC322] text.csv, line 2, column "length": held numbers'))),
    ("T28-almost-numbers", {"t.csv": with_x("0x10", 1), "sep.csv": with_x("1_000", 1), "thou.csv": with_x('"1,234"', 1),
                            "tenth.csv": with_x("foo", 6)}, (
        train(3, 'error[SC307] t.csv, line 5, column "x": must be a number; got "0x10" (1 of 60 cells', "--na-values"),
        train(3, 'got "1_000"', data="sep.csv"),
        train(3, 'got "1,234"', "--thousands ,", data="thou.csv"),
        train(0, 'note[SC819] column "x": 54 numbers among 60 cells', '6 others: "foo"', "--na-values x=foo",
              data="tenth.csv"),
        train(0, "x  number", data="tenth.csv", more="--na-values x=foo"))),
    ("T29-constant-duplicate-leaking-dates", {"t.csv": joined(lines(
        lambda i: f"{i * 5 % 7},7,,{i * 5 % 7},2024-01-{i % 28 + 1:02d},{kind(i)},{kind(i)}", 120,
        "x,const,empty,twin,day,leak,kind"))}, (
        train(0, 'note[SC805] column "const"', 'note[SC805] column "empty"', 'note[SC825] column "twin"',
              'note[SC807] column "leak"', 'note[SC820] column "day"', "day   datetime   2024-01-01 … 2024-01-28"),)),
    ("T32-long-line-and-bomb", {"t.csv": b"a,kind\n" + b"x" * (17 * 2**20) + b",1\n",
                                "t.csv.bz2": bz2.compress(b"a,kind\n1,A\n2,B\n" * 3)}, (
        train(3, "error[SC306] t.csv, line 2: a row may hold at most 16,777,216 bytes"),
        train(3, "error[SC307] t.csv.bz2, line 4", data="t.csv.bz2", more="--number a"))),
    ("T33-formulas", {"t.csv": joined(lines(lambda i: f"{i % 7},{i % 11},{['=cmd()', '+A', '-B', '@C'][i % 4]}"))}, (
        train(0), step("predict run t.csv", 0, 'note[SC841] column "prediction": 60 cells', ",=cmd(),", "!'="),
        step("predict run t.csv --spreadsheet-safe", 0, ",'=cmd(),", "!SC841"))),
    ("T34-invisible-names", {"t.csv": joined(["a\u202eb,c\u200b,kind", *GOOD[1:]]),
                             "bell.csv": joined(["a\x07,b,kind", *GOOD[1:]])}, (
        train(0, "a\\u202eb  number", "c\\u200b   category", "!\u202e"),
        train(3, 'error[SC303] bell.csv: a column name must not hold a control character; column 1 is "a\\u0007"',
              data="bell.csv"))),
    ("T35-parquet", {"t.parquet": TYPED, "cut.parquet": TYPED[: len(TYPED) // 2],
                     "nested.parquet": parquet({"x": [[1], [2]] * 30, "y": list(range(20)) * 3, "kind": LABELS})}, (
        train(0, "whole  number", "money  number     0 … 2", "hue    category   red, blue", data="t.parquet"),
        train(3, "error[SC331] cut.parquet: the Parquet data are damaged or cut short", data="cut.parquet"),
        train(3, 'error[SC332] nested.parquet, column "x": columns of type list<', "--drop x", data="nested.parquet"),
        train(0, "y  number", data="nested.parquet", more="--drop x"))),
    ("T36-no-files", {"good.csv": joined(GOOD)}, (
        train(6, "error[SC603] none.csv: there is no such file or folder", data="none.csv"),
        train(6, "error[SC603] the path is empty", data="EMPTY"),
        train(6, "error[SC605] /dev/zero: must be a regular file; it is a device", data="/dev/zero"),
        train(2, "error[SC202]", "A folder is read as images", data="."),
        train(2, "error[SC208]", "Download the file first", data="https://example.org/a.csv"))),
    ("T37-weights-and-groups", {
        "t.csv": joined(lines(lambda i: f"{i % 7},{-1 if i == 5 else 1},{kind(i)}")),
        "nan.csv": joined(lines(lambda i: f"{i % 7},{'' if i == 5 else 1},{kind(i)}")),
        "word.csv": joined(lines(lambda i: f"{i % 7},{'abc' if i == 5 else 1},{kind(i)}")),
        "zero.csv": joined(lines(lambda i: f"{i % 7},0,{kind(i)}"))}, (
        train(3, 'error[SC316] t.csv, line 7, column "y": sample weights must be finite and not negative; got -1 ',
              more="--sample-weight y"),
        train(3, 'error[SC316] nan.csv, line 7, column "y": every row needs a value', data="nan.csv",
              more="--sample-weight y"),
        train(3, 'error[SC307] word.csv, line 7, column "y"', "!--category", data="word.csv", more="--sample-weight y"),
        train(3, 'error[SC316] zero.csv, column "y": sample weights must not all be zero', data="zero.csv",
              more="--sample-weight y"),
        train(3, 'error[SC321] t.csv: --group names column "w", which the table does not have', more="--group w"),
        train(2, 'error[SC203] the target "kind" cannot also hold the groups', more="--group kind"))),
    ("T39-outputs", {"t.csv": joined(GOOD)}, (
        train(0), step("train t.csv -t kind -o run", 2, "error[SC204] run: the output exists", "--overwrite"),
        step("predict run t.csv -o t.csv --overwrite", 2, "error[SC205]"),
        step("predict run t.csv -o p.csv", 0), step("predict run t.csv -o p.csv", 2, "error[SC204] p.csv"),
        step("predict run t.csv -o none/p.csv", 6, 'error[SC604] none/p.csv', 'there is no folder "none"'),
        step("predict run t.csv -o /dev/full --format csv", 6, "error[SC605] /dev/full"))),
    ("T40-blank-lines", {"t.csv": put(GOOD, 5, "", ""), "one.csv": joined(lines(lambda i: f"{i % 7},1,{kind(i)}")),
                         "gap.csv": b"length,colour\n1,red\n\n3,red\n", "x.csv": b"x\n1\n\n3\n",
                         "only.csv": b"x\nA\nB\n",
                         "train.csv": joined(lines(lambda i: f"{i % 7},{kind(i)}", head="x,kind"))}, (
        train(0, "60 rows × 3 columns"), step("predict run gap.csv", 0, "\n2,", "!\n3,"),
        train(0, data="train.csv"), step("predict run x.csv", 0, "\n3,", "!\n4,"),
        train(3, "error[SC315]", "there is no column but the target", "!fix:", data="only.csv", target="x"))),
]  # fmt: skip


@pytest.mark.parametrize(("files", "steps"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_row(softclass, files, steps):
    for name, content in files.items():
        Path(name).write_bytes(content)

    for one in steps:
        ran = softclass(*("" if word == "EMPTY" else word for word in one.arguments.split()))
        said = ran.out + ran.err
        assert (ran.status, ran.err) == (one.status, ran.err)
        assert [word for word in one.words if (word[1:] in said if word[0] == "!" else word not in said)] == [], said
        # Results go to stdout, errors to stderr: never the other way round.
        assert "error[" not in ran.out
        assert (one.status != 0) == ("error[" in ran.err)


def test_T24_too_large_is_refused_with_an_estimate(softclass, monkeypatch):
    monkeypatch.setattr("softclass.model.limits._memory_bytes", lambda: 100)
    Path("t.csv").write_bytes(joined(GOOD))
    ran = softclass("train", "t.csv", "-t", "kind", *QUICK)

    assert (ran.status, "error[SC606]" in ran.err, Path("run").exists()) == (6, True, False)


@pytest.mark.parametrize("scale", ["e307", "e-200", "e37"])
def test_T30_the_size_of_numbers_changes_nothing(softclass, scale):
    for name, unit in (("plain", ""), ("scaled", scale)):
        Path("t.csv").write_bytes(joined(lines(lambda i, unit=unit: f"{i * 3 % 7 + 1}{unit},{i * 7 % 11},{kind(i)}")))
        assert softclass("train", "t.csv", "-t", "kind", *QUICK).status == 0
        Path(name).write_text(softclass("predict", "run", "t.csv").out)
    plain, scaled = (np.genfromtxt(name, delimiter=",", skip_header=1)[:, 3:] for name in ("plain", "scaled"))

    np.testing.assert_allclose(scaled, plain, atol=2e-6)


def test_T31_separable_classes_without_a_penalty(softclass):
    Path("t.csv").write_bytes(joined(lines(lambda i: f"{i % 7},{i % 2},{kind(i)}")))
    ran = softclass("train", "t.csv", "-t", "kind", *QUICK[2:], "--C", "inf")
    metrics = json.loads(Path("run/metrics.json").read_text())

    assert (ran.status, "note[SC846]" in ran.err) == (0, True)
    assert (metrics["fit"]["C"], metrics["fit"]["converged"]) == (None, False)
    model = Path("run/model.onnx").read_bytes()
    assert softclass("train", "-c", "run/config.toml", "-o", "again", "--no-report").status == 0
    assert Path("again/model.onnx").read_bytes() == model


def test_T36_a_pipe_is_read_once(softclass):
    os.mkfifo("pipe")
    if os.fork() == 0:
        signal.alarm(60)  # if nobody reads
        Path("pipe").write_bytes(joined(GOOD))
        os._exit(0)
    ran = softclass("train", "pipe", "-t", "kind", *QUICK)
    os.wait()

    assert (ran.status, "60 rows" in ran.out) == (0, True)


def test_T38_not_a_number_in_a_matrix():
    with pytest.raises(ValueError, match="NaN"):
        SoftmaxRegression().fit(np.array([[1.0], [np.nan], [2.0]]), ["a", "b", "a"])


FRAMES = {
    "mixed": ([1, "a", 2.5] * 20, "category"),
    "nullable": (pa.array([1, 2, None] * 20), "number"),
    "truth": ([True, False, None] * 20, "boolean"),
    "decimal": ([Decimal(i % 9) / 4 for i in range(60)], "number"),
    "dictionary": (pa.array(["r", "g", None] * 20).dictionary_encode(), "category"),
}


@pytest.mark.parametrize(("cells", "found"), FRAMES.values(), ids=FRAMES)
@pytest.mark.filterwarnings("ignore::softclass.errors.SoftclassWarning")
def test_T41_columns_of_a_frame(cells, found):
    model = library.train({"z": cells, "x": LENGTHS, "kind": LABELS}, "kind", C=1.0)

    assert model.schema.columns[0].kind == found


NOT_TAKEN = {
    "lists": ([[1], [2]] * 30, '[SC332] dict, column "z": columns of type list<'),
    "bytes": ([b"a", b"b"] * 30, '[SC332] dict, column "z": columns of type binary'),
    "objects": ([object()] * 60, '[SC332] dict, column "z": columns of type'),
    "almost": ([1.5] * 59 + ["x"], '[SC307] dict, row 60, column "z": must be a number; got "x"'),
    "infinite": ([1.0, np.inf] * 30, '[SC308] dict, row 2, column "z": must be a finite number; got inf'),
    "surrogate": (["a", "b\ud800"] * 30, '[SC304] dict, row 2, column "z": a text must be Unicode; "b\\ud800" holds'),
    "nul": (["a", "b\0c"] * 30, '[SC306] dict, row 2, column "z": a text must not hold a NUL character'),
    "nul-in-numpy": (np.array(["a", "b\0c"] * 30), '[SC306] dict, row 2, column "z": a text must not hold a NUL'),
    "short": ([1, 2], "[SC302] dict: columns must have equally many rows"),
}


@pytest.mark.parametrize(("cells", "message"), NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_T41_columns_that_no_model_takes(cells, message):
    with pytest.raises(DataError) as caught:
        library.train({"x": LENGTHS, "z": cells, "kind": LABELS}, "kind", C=1.0)

    assert str(caught.value).startswith(message)


def test_many_notes_of_one_kind_do_not_drown_the_result(softclass):
    Path("t.csv").write_bytes(joined(lines(lambda i: f"{i % 7},{'3,' * 20}{kind(i)}",
                                           head="x," + "".join(f"c{k}," for k in range(20)) + "kind")))  # fmt: skip
    ran = softclass("train", "t.csv", "-t", "kind", *QUICK)

    assert ran.err.count("note[SC805]") == 6
    assert "note[SC805] and 15 more notes of this kind; -v shows each of them\n" in ran.err
    assert sum(note["code"] == "SC805" for note in json.loads(Path("run/metrics.json").read_text())["notes"]) == 20
    assert softclass("train", "t.csv", "-t", "kind", *QUICK, "-v").err.count("note[SC805]") == 20
