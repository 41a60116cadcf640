from __future__ import annotations

import io
import json
import sys

import pytest

from softclass.cli.layout import jsonable, padded, wrapped
from softclass.cli.output import Screen, Stream
from softclass.errors import Note, TableError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


COLOURS = [
    # option, environment, terminal, coloured
    ("auto", {}, True, True),
    ("auto", {}, False, False),
    ("auto", {"NO_COLOR": "1"}, True, False),
    ("auto", {"NO_COLOR": "0"}, True, False),
    ("auto", {"NO_COLOR": ""}, True, True),
    ("auto", {"FORCE_COLOR": "1"}, False, True),
    ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
    ("auto", {"TERM": "dumb"}, True, False),
    ("always", {"NO_COLOR": "1"}, False, True),
    ("never", {"FORCE_COLOR": "1"}, True, False),
]


@pytest.mark.parametrize(("option", "environment", "terminal", "coloured"), COLOURS)
def test_when_there_are_colours(option, environment, terminal, coloured):
    stream = Stream(Terminal() if terminal else io.StringIO(), option, environment)

    assert ("\x1b" in stream.paint("x", "error")) is coloured


def test_each_stream_is_judged_on_its_own(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    screen = Screen(environment={})

    assert (screen.out.is_terminal, screen.err.is_terminal) == (True, False)


@pytest.mark.parametrize(("columns", "width"), [("40", 40), ("", 80), ("many", 80)])
def test_width_of_a_terminal(columns, width):
    assert Stream(Terminal(), "auto", {"COLUMNS": columns}).width == width


def test_width_without_a_terminal_is_100():
    assert Stream(io.StringIO(), "auto", {"COLUMNS": "40"}).width == 100


def test_results_go_to_stdout_and_the_rest_to_stderr(capsys):
    screen = Screen(environment={})
    screen.labelled("data", "x")
    screen.note(Note("SC801", "extra", hint="none"))
    screen.error(TableError("SC301", "empty"))
    captured = capsys.readouterr()

    assert captured.out == "data     x\n"
    assert captured.err == (
        "note[SC801] extra\n  fix:    none\nerror[SC301] empty\n  more:   softclass explain SC301\n"
    )


def test_json_replaces_the_text(capsys):
    screen = Screen(as_json=True, environment={})
    screen.result("text")
    screen.document({"名": 1})
    captured = capsys.readouterr()

    assert json.loads(captured.out) == {"名": 1}


def test_quiet_leaves_errors_only(capsys):
    screen = Screen(quiet=True, environment={})
    screen.note(Note("SC801", "extra"))
    screen.error(TableError("SC301", "empty"))

    assert capsys.readouterr().err.startswith("error[SC301]")


def test_markup_of_rich_is_only_text(capsys):
    Screen(environment={}).labelled("data", "[bold]x[/bold] [link=http://a]y[/link]")

    assert capsys.readouterr().out == "data     [bold]x[/bold] [link=http://a]y[/link]\n"


def test_long_lines_are_broken_under_their_label(capsys):
    Screen(environment={}).labelled("classes", " ".join(["class"] * 40))
    lines = capsys.readouterr().out.splitlines()

    assert max(map(len, lines)) <= 100
    assert {line[:9] for line in lines[1:]} == {" " * 9}


def test_chinese_takes_two_columns():
    assert wrapped("特征 类别", 4) == ["特征", "类别"]
    assert padded("特征", 6) + "|" == "特征  |"


def test_numbers_json_does_not_have_become_null():
    assert jsonable({1: [float("nan"), float("inf"), 0.5, None, True]}) == {"1": [None, None, 0.5, None, True]}
