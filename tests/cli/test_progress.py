from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable

import pytest

from softclass.cli import progress as module
from softclass.cli.output import Screen
from softclass.cli.progress import Progress
from softclass.errors import Note

STEP = {"loss": 0.5, "gradient_norm": 0.01, "seconds": 0.1, "C": 1.0}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def _terminal(monkeypatch, **environment: str) -> tuple[Terminal, Screen]:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal, Screen(environment={"COLUMNS": "80", **environment})


def test_lines_of_the_solver_come_every_two_seconds(clock, capsys):
    progress = Progress(Screen(environment={}), "lines")
    for iteration in range(100):
        clock[0] = iteration / 10
        progress("iteration", {"iteration": iteration, **STEP})

    assert capsys.readouterr().err.splitlines() == [
        f"fitting    iteration {n} · loss 0.5 · gradient 1.0e-02 · {n // 10:.1f} s" for n in (20, 40, 60, 80)
    ]


def test_lines_of_reading_come_every_five_seconds(clock, capsys):
    progress = Progress(Screen(environment={}), "lines")
    for second in range(12):
        clock[0] = float(second)
        progress("phase", {"name": "reading", "done": second * 1000, "total": 12000})

    assert capsys.readouterr().err.splitlines() == [
        "reading    5,000 of 12,000 · 5.0 s",
        "reading    10,000 of 12,000 · 10.0 s",
    ]


def test_json_lines(clock, capsys):
    screen = Screen(environment={})
    progress = Progress(screen, "json")
    progress("iteration", {"iteration": 1, **STEP, "loss": float("nan")})
    screen.note(Note("SC801", "extra"))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    assert lines[0] == {"event": "iteration", "t": 0.0, "iteration": 1, **STEP, "loss": None}
    assert lines[1]["code"] == "SC801"


@pytest.mark.parametrize(
    ("mode", "environment", "terminal", "expected"),
    [
        ("auto", {}, True, "bar"),
        ("auto", {"TERM": "dumb"}, True, "lines"),
        ("auto", {}, False, "lines"),
        ("none", {}, True, "none"),
        ("lines", {}, True, "lines"),
    ],
)
def test_modes(monkeypatch, mode, environment, terminal, expected):
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    progress = Progress(Screen(environment=environment), mode)
    progress.close()

    assert progress.mode == expected


def test_quiet_means_no_progress():
    assert Progress(Screen(quiet=True, environment={}), "json").mode == "none"


def test_short_work_shows_no_bar(monkeypatch):
    terminal, screen = _terminal(monkeypatch)
    progress = Progress(screen, "bar")
    progress("phase", {"name": "reading", "done": 1, "total": 2})
    progress.close()

    assert terminal.getvalue() == ""


def _wait(happened: Callable[[], object]) -> None:
    """The bar is drawn by a thread of its own; one that never draws fails instead of hanging."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_bar_shows_text_as_it_is_and_steps_aside(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    terminal, screen = _terminal(monkeypatch)
    progress = Progress(screen, "bar")
    progress("phase", {"name": "[red]r", "done": 1, "total": 2})
    _wait(terminal.getvalue)
    screen.note(Note("SC801", "extra"))
    progress.close()
    shown = terminal.getvalue()

    assert "[red]r" in shown
    assert "1 of 2" in shown
    # The line of the bar was erased before the note was written.
    assert "\x1b[2K" in shown.split("note[SC801]")[0]


def test_the_bar_without_colours(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    terminal, screen = _terminal(monkeypatch, NO_COLOR="1")
    progress = Progress(screen, "bar")

    def is_drawn() -> bool:
        progress("iteration", {"iteration": 3, **STEP})
        return "iteration 3" in terminal.getvalue()

    _wait(is_drawn)
    progress.close()

    assert "\x1b[3" not in terminal.getvalue()


def test_very_verbose_shows_every_step(clock, capsys):
    progress = Progress(Screen(verbose=2, environment={}), "lines")
    for iteration in range(3):
        progress("iteration", {"iteration": iteration, **STEP})

    assert len(capsys.readouterr().err.splitlines()) == 3
