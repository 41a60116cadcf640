"""Both languages say the same things, with the same blanks to fill."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from softclass.codes import CODES
from softclass.report import html
from softclass.report.words import LANGUAGES, note_title
from softclass.report.words_zh import NOTE_TITLES

ENGLISH, CHINESE = LANGUAGES["en"], LANGUAGES["zh"]


def test_both_languages_have_the_same_keys() -> None:
    assert list(ENGLISH) == list(CHINESE)


def test_both_languages_leave_the_same_blanks() -> None:
    blanks = {
        lang: {key: sorted(re.findall(r"\{(\w+)\}", text)) for key, text in words.items()}
        for lang, words in LANGUAGES.items()
    }

    assert blanks["en"] == blanks["zh"]


def test_chinese_is_chinese() -> None:
    same = {key for key, text in CHINESE.items() if text == ENGLISH[key]}

    assert same == {"f1", "title_target"}


def test_every_word_is_used_somewhere() -> None:
    room = Path(html.__file__).parent
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in room.iterdir()
        if path.suffix in (".py", ".html") and not path.name.startswith("words")
    )
    made = re.compile(r"^(nav|kind|part|parts|part_word|candidate|tile|verdict|strip|about|compare|image|row)s?(_|$)")

    assert [
        key for key in ENGLISH if f"'{key}'" not in sources and f'"{key}"' not in sources and not made.match(key)
    ] == []


def test_every_note_has_a_chinese_title() -> None:
    assert {code for code in CODES if code.startswith("SC8")} - set(NOTE_TITLES) == set()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_an_unknown_note_has_no_title(lang: str) -> None:
    assert note_title("SC899", lang) == ""
