"""The command line in this process, and what the journeys start from."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from softclass.cli.main import main


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def first(self) -> str:
        """The first line of what it said of errors and notes."""
        return self.err.partition("\n")[0]


@pytest.fixture
def softclass(capfd, monkeypatch, tmp_path) -> Callable[..., Ran]:
    """Run a command line in an empty folder; nothing that it does may be a bug of ours or print a traceback."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        sys.stdout.flush()
        captured = capfd.readouterr()
        assert "SC100" not in captured.err + captured.out
        assert "Traceback" not in captured.err
        assert "Warning" not in captured.err
        return Ran(status, captured.out, captured.err)

    return run
