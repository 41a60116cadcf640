"""The words of the report in each language: two dictionaries with equal keys."""

from __future__ import annotations

from softclass.codes import CODES
from softclass.report.words_en import WORDS as ENGLISH
from softclass.report.words_zh import NOTE_TITLES as CHINESE_NOTE_TITLES
from softclass.report.words_zh import WORDS as CHINESE

LANGUAGES = {"en": ENGLISH, "zh": CHINESE}


def note_title(code: str, lang: str) -> str:
    """Return the short title of a note, empty for a code that nobody knows.

    Examples
    --------
    >>> note_title("SC803", "en"), note_title("SC803", "zh")
    ('missing values filled', '缺失值已填补')
    """
    if lang == "zh" and code in CHINESE_NOTE_TITLES:
        return CHINESE_NOTE_TITLES[code]
    return CODES[code].title if code in CODES else ""
