from __future__ import annotations

import json

import pytest

from softclass.codes import CODES


@pytest.mark.parametrize("code", CODES)
def test_explain_knows_every_code(command, code):
    ran = command("explain", code)

    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(f"{code}  {CODES[code].title} (")


@pytest.mark.parametrize("spelling", ["321", "sc321", "error[SC321]", "[SC321]"])
def test_spellings_of_a_code(command, spelling):
    assert command("explain", spelling).out == command("explain", "SC321").out


def test_without_a_code_all_are_listed(command):
    assert len(command("explain").out.splitlines()) == len(CODES)


def test_explanation_as_json(command):
    document = json.loads(command("explain", "SC802", "--json").out)

    assert (document["code"], document["exit"], document["text"]) == ("SC802", 0, CODES["SC802"].text)


def test_a_note_is_not_an_error(command):
    assert "a note: the work goes on" in command("explain", "SC802").out
    assert "an error: exit status 3" in command("explain", "SC321").out
