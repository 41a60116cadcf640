"""The house is in order: sizes, names, and what no file may hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import softclass

ROOT = Path(softclass.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
JUNK = {"utils", "common", "core", "misc", "base", "helpers", "util"}
FORBIDDEN = re.compile(
    r"\b(import pickle|import marshal|import joblib|torch\.load|allow_pickle=True|(?<![\w.])eval\(|(?<![\w.])exec\("
    r"|yaml\.load|shell=True|mktemp|extractall|import socket|import urllib|import http)\b"
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_600_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 600


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_holds_what_runs_foreign_code_or_opens_connections(path: Path) -> None:
    assert FORBIDDEN.findall(path.read_text()) == []


def test_there_is_no_junk_room() -> None:
    names = {path.stem for path in ROOT.rglob("*")}

    assert names & JUNK == set()


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parent.name == "model"], ids=lambda path: path.name)
def test_only_the_session_makes_sessions(path: Path) -> None:
    assert ("InferenceSession" in path.read_text()) == (path.name == "session.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_says_what_it_is(path: Path) -> None:
    assert re.match(r'(#.*\n)*r?"""[^"]', path.read_text())
