"""Errors carry a code, survive pickling, and suggest what was meant."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

import pytest

from softclass import errors
from softclass.codes import CODES
from softclass.errors import Notes, PathError, SoftclassError, TableError, nearest, shown

SOURCES = sorted(Path(errors.__file__).parent.rglob("*.py"))
CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SoftclassError)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_errors_survive_pickling(kind: type[SoftclassError]) -> None:
    error = kind("SC999", "must be so; got that", where="here", hint="Do this")

    again = pickle.loads(pickle.dumps(error))

    assert str(again) == "[SC999] here: must be so; got that. Do this"
    assert type(again) is kind


def test_exit_status_is_the_first_digit() -> None:
    assert TableError("SC321", "x").exit_status == 3
    assert PathError("SC603", "x").exit_status == 6


def _codes_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {text for text in texts if len(text) == 5 and text.startswith("SC") and text[2:].isdigit()}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_code_in_the_source_is_explained(path: Path) -> None:
    assert _codes_in(path) <= set(CODES)


def test_every_code_is_used() -> None:
    used = set().union(*(_codes_in(path) for path in SOURCES if path.name != "codes.py"))

    assert set(CODES) - used == set()


def _sentences(path: Path) -> list[str]:
    """The literal messages, notes and hints of a file; what is filled in is written {}."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    coded = [call for call in calls if call.args and re.fullmatch(r"SC\d\d\d", _text(call.args[0]))]
    hints = [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "hint"]
    return [_text(node) for node in [*(call.args[1] for call in coded if len(call.args) > 1), *hints]]


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value) for value in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else "{}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_sentences_have_no_stop_of_their_own(path: Path) -> None:
    found = [text for text in _sentences(path) if text != text.strip() or re.search(r"(?<! )\.$", text)]

    assert found == []


def test_sentences_are_found() -> None:
    assert sum(len(_sentences(path)) for path in SOURCES) > 300


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb", "a\\u000ab"),
        ("\x1b[31mred", "\\u001b[31mred"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u200bb", "a\\u200bb"),
        ("特征1", "特征1"),
        ("x" * 100, "x" * 79 + "…"),
    ],
)
def test_shown_escapes_and_cuts(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("petal_widht", ["petal_width"]), ("Species", ["species"]), ("zzzzzz", [])],
)
def test_nearest_names(name: str, expected: list[str]) -> None:
    assert nearest(name, ["petal_width", "petal_length_of_flower", "species"]) == expected


def test_notes_of_one_kind_add_up() -> None:
    notes = Notes()
    notes.add("SC801", "columns were left unread", count=2)
    notes.add("SC801", "columns were left unread", count=3)
    notes.add("SC805", "is constant", column="x")

    assert [note.message for note in notes] == ["5 columns were left unread", 'column "x": is constant']
