from __future__ import annotations

import io

import pytest

from softclass.cli.commands import COMMANDS
from softclass.cli.configuration import known_options
from softclass.cli.help import command_help, overview
from softclass.cli.layout import cells
from softclass.cli.output import Stream


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


NARROW = Stream(Terminal(), "never", {"COLUMNS": "40"})


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_of_a_command_lists_every_option(name):
    page = command_help(name, Stream(io.StringIO(), "auto", {})).replace(",", " ").split()

    assert [
        known.option for known in known_options(name).values() if not known.positional and known.option not in page
    ] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_narrow_page_breaks_at_words(name):
    lines = command_help(name, NARROW).splitlines()
    # What cannot be broken, such as a list of choices, may stand out.
    long = [line for line in lines if cells(line) > 40 and len(line.split()) > 3]

    assert long == [line for line in long if line.startswith("Usage:")]


def test_the_overview_fits_a_narrow_screen():
    texts = [line for line in overview(NARROW).splitlines() if line.startswith("   ")]

    assert max(map(cells, texts)) <= 40


def test_colours_only_if_wanted():
    assert "\x1b[" not in command_help("train", Stream(io.StringIO(), "auto", {}))
    assert "\x1b[" in command_help("train", Stream(Terminal(), "auto", {}))
