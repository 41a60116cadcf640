"""Tutorials and how-to pages: their code runs and prints what is shown, and their numbers stand in it."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from softclass.data import samples

ROOT = Path(__file__).resolve().parents[1]
COMING = ROOT / "docs" / "how-to" / "coming-from-logistic-regression.md"
EXPLORE = ROOT / "docs" / "how-to" / "explore.md"
TUTORIALS = [
    ROOT / "docs" / "tutorials" / name for name in ("table.md", "digits.md", "table-with-a-network.md", "photos.md")
]
each_tutorial = pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
# What a slow machine prints while it waits.
WAITING = re.compile(r"^(?:reading|planning|fitting|evaluating)  .*\n", re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.,])\d+\.\d+(?:e-?\d+)?(?!\w)")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text_of(page), flags=re.DOTALL)


def numbers_of_prose(page: Path) -> set[str]:
    """Numbers with decimals that stand outside of code."""
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", " ", text_of(page), flags=re.DOTALL)
    return set(NUMBER.findall(text))


def python_said(page: Path) -> tuple[list[str], int]:
    """What went wrong in the Python of a page, and how many blocks it has."""
    runner, said = doctest.DocTestRunner(optionflags=FLAGS), []
    names: dict[str, Any] = {}
    found = blocks(page, "python")
    for number, block in enumerate(found, start=1):
        test = doctest.DocTestParser().get_doctest(block, {}, f"block {number}", str(page), 0)
        test.globs = names
        runner.run(test, out=said.append, clear_globs=False)
    return said, len(found)


def test_the_python_of_coming_from_logistic_regression_runs() -> None:
    said, n_blocks = python_said(COMING)

    assert said == []
    assert n_blocks >= 6


def test_the_numbers_of_coming_from_logistic_regression_are_in_its_output() -> None:
    shown = set(NUMBER.findall("\n".join(blocks(COMING, "python"))))
    of_the_table = {"0.1"}  # the smallest cell, looked at below

    assert numbers_of_prose(COMING) - shown - of_the_table == set()


def test_what_the_page_says_of_the_wine_table() -> None:
    from sklearn.datasets import load_wine

    features, kinds = load_wine(return_X_y=True)

    assert (features.shape, len(set(kinds))) == ((178, 13), 3)
    assert (round(features.min(), 1), round(features.max(), -2)) == (0.1, 1700)


@pytest.mark.parametrize("page", [COMING, EXPLORE, *TUTORIALS], ids=lambda page: page.name)
def test_links_lead_somewhere_and_lines_are_short(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", text_of(page))

    assert [link for link in links if not link.startswith("https://") and not (page.parent / link).exists()] == []
    assert [line for line in text_of(page).splitlines() if len(line) > 120 and not line.startswith("|")] == []


# --- the tutorials ---


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the samples, and a command called softclass."""
    for name in samples.NAMES:
        shutil.copy(samples.path(name), tmp_path)
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "softclass"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -u -m softclass "$@"\n')
    command.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_in(desk: Path, command: str) -> str:
    environment = {
        **os.environ,
        "PATH": f"{desk / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "COLUMNS": "100",
    }
    done = subprocess.run(
        ["sh", "-c", command], cwd=desk, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False,
    )  # fmt: skip
    return done.stdout


def console_said(desk: Path, block: str) -> list[str]:
    """What was printed otherwise than a block of commands shows."""
    checker, wrong = doctest.OutputChecker(), []
    for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, expected = re.sub(r"\\\n\s*", "", piece).partition("\n")
        found = WAITING.sub("", run_in(desk, command))
        if not checker.check_output(expected, found, FLAGS):
            wrong.append(f"$ {command}\n{found}")
    return wrong


def python_of_block_said(block: str, names: dict[str, Any], page: Path) -> list[str]:
    """What was printed otherwise than a block of Python shows; a block without prompts is a script."""
    if ">>>" not in block:
        exec(compile(block, str(page), "exec"), names)
        return []
    said: list[str] = []
    test = doctest.DocTestParser().get_doctest(block, {}, page.name, str(page), 0)
    test.globs = names
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append, clear_globs=False)
    return said


@each_tutorial
def test_a_tutorial_shows_what_happens(desk: Path, page: Path) -> None:
    """Block by block, as a reader goes: commands in the shell, Python in one session."""
    names: dict[str, Any] = {}
    found = re.findall(r"```(console|python)\n(.*?)```", text_of(page), flags=re.DOTALL)
    wrong = [
        line
        for language, block in found
        for line in (console_said(desk, block) if language == "console" else python_of_block_said(block, names, page))
    ]

    assert "\n".join(wrong) == ""
    assert len(found) >= 6


@each_tutorial
def test_the_numbers_of_a_tutorial_are_in_its_output(page: Path) -> None:
    shown = set(NUMBER.findall("\n".join(blocks(page, "(?:console|python)"))))

    assert numbers_of_prose(page) - shown == set()
