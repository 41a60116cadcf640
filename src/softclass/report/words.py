"""The words of the report in each language: two dictionaries with equal keys."""

from __future__ import annotations

from softclass.codes import CODES
from softclass.errors import shown
from softclass.report.words_en import WORDS as ENGLISH
from softclass.report.words_zh import FACT_NAMES as CHINESE_FACT_NAMES
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


def fact_name(name: str, lang: str) -> str:
    """Return the name of a fact of the last section, translated if it is one of our own.

    Examples
    --------
    >>> fact_name("seed", "zh"), fact_name("Command", "en")
    ('随机种子', 'Command')
    """
    return CHINESE_FACT_NAMES.get(name, shown(name)) if lang == "zh" else shown(name)
