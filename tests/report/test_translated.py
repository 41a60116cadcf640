"""The Chinese report: every sentence that notes, reasons and findings can bring has its Chinese one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from softclass.data import samples
from softclass.errors import Note
from softclass.model.train import train
from softclass.report.sentences_zh import SENTENCES
from softclass.report.translated import in_chinese, note_message

SOURCES = Path(__file__).parents[2] / "src" / "softclass"
# Notes of reading and answering, which no report shows; and texts that the code puts together from tables.
ELSEWHERE = ("SC841", "SC848", "SC850", "SC851", "SC831")


def texts_of(node: ast.expr, names: dict[str, list[ast.expr]]) -> Iterator[str]:
    """Yield what an expression can say, with ``7`` where something is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    elif isinstance(node, ast.Name):
        for value in names.get(node.id, []):
            yield from texts_of(value, {})
    elif isinstance(node, ast.IfExp):
        yield from texts_of(node.body, names)
        yield from texts_of(node.orelse, names)


def all_notes() -> Iterator[tuple[str, str, str]]:
    """Yield file, code and text of each note that the sources can add."""
    for path in sorted(SOURCES.rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            names: dict[str, list[ast.expr]] = {}
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    names.setdefault(node.targets[0].id, []).append(node.value)
            for node in ast.walk(function):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr == "add"
                    and len(node.args) == 2
                    and isinstance(node.args[0], ast.Constant)
                    and str(node.args[0].value).startswith("SC8")
                ):
                    for text in texts_of(node.args[1], names):
                        yield path.name, str(node.args[0].value), text


NOTES = [found for found in all_notes() if found[1] not in ELSEWHERE]


def test_the_sources_are_understood() -> None:
    assert len(NOTES) > 40
    assert len({code for _, code, _ in NOTES}) > 20


@pytest.mark.parametrize(("file", "code", "text"), NOTES, ids=[f"{file} {code}" for file, code, _ in NOTES])
def test_every_note_of_the_sources_has_a_chinese_sentence(file: str, code: str, text: str) -> None:
    # "7 fewer rows": the word was chosen by the count.
    for verb in ("class has", "classes have"):
        if code == "SC804" and text.startswith("7 fewer"):
            text = text.replace("7 fewer", f"{verb} fewer").replace("stay7", "stays" if verb[-1] == "s" else "stay")
    if code == "SC808":
        text = "row of the test part equals a row of the fit part"
    if code == "SC824":
        text = text.replace("7;", "rows equal a row of another class;", 1)
    if code == "SC846":
        text = text.replace("7", "some rows are", 1)
    if code == "SC801" and text.startswith("7 7"):
        text = text.replace("7 7", "7 columns are", 1)
    if code == "SC834":
        text = "of 7 images of 7 different sizes resized to 7x7 (crop)"
    if code == "SC812":
        text = text.replace("kept as 7", "kept as a category")
    if code in ("SC833", "SC836", "SC805", "SC813") and text.split(":")[-1].strip() == "7":
        return  # put together from words that are tested below
    if code in ("SC833", "SC836"):
        return

    message = note_message({"code": code, "column": None, "count": 3, "message": text, "text": text})

    assert re.search(r"[\u4e00-\u9fff]", message), text


def test_no_sentence_is_hidden_by_one_before_it() -> None:
    for english, chinese in SENTENCES:
        fillings = [f"<{place}>" for place in range(english.count("{}"))]
        found = note_message({"code": "", "column": None, "count": 5, "message": "", "text": english.format(*fillings)})
        assert found == chinese.format(*fillings, n="5")


def test_what_nobody_translated_stays_english() -> None:
    note = Note("SC803", "a new thing happened", "size", 2)

    assert note_message({**note.to_dict(), "text": note.text}) == note.message
    assert in_chinese("Biscoe, Dream") == "Biscoe, Dream"


def test_names_of_the_data_are_left_alone() -> None:
    text = 'constant, left out: the only value is "no penalty"'

    assert note_message({"column": "C", "count": None, "message": "", "text": text}) == (
        "列“C”：不变，未使用：唯一的取值是“no penalty”"
    )
    assert in_chinese('some rows of "test" are told apart without an error, by "a" and 3 more columns') == (
        '"test" 的一些行可毫无差错地分开，所用的列是 "a" 以及另外 3 列'
    )


def test_a_chinese_report_has_no_english_sentence_of_the_fit_or_the_notes(tmp_path: Path) -> None:
    model = train(
        samples.path("penguins.csv"), "species", C=float("inf"), odds_ratios=True, progress=lambda event, facts: None
    )
    page = model.report(tmp_path / "zh.html", lang="zh").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", " ", page[page.index("<main") :])

    for note in model.notes:
        assert note.text not in text
    for english in ("told apart", "no penalty", "converged", "softmax regression", "missing in", "follow from"):
        assert english not in text
    assert "可由其他特征推出" in text
