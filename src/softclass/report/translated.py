"""The facts of a report in another language: sentences that come with the data and the fit, not with the page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from softclass.errors import shown
from softclass.report.facts import CoefficientTable, OddsTable, PathFacts, ReportFacts
from softclass.report.sentences_zh import COLUMN, SENTENCES, TAILS, WORDS

_NUMBER = r"\{\d*\}"


def translated(facts: ReportFacts, lang: str) -> ReportFacts:
    """Return the facts with their sentences in a language; English is what they come in.

    Examples
    --------
    >>> facts = ReportFacts("a.csv", "table", ["a", "b"], None, facts=[("C", "no penalty")])
    >>> translated(facts, "zh").facts
    [('C', '没有惩罚')]
    """
    if lang != "zh":
        return facts
    return replace(
        facts,
        notes=[{**note, "message": note_message(note)} for note in facts.notes],
        dropped=[replace(column, reason=in_chinese(column.reason)) for column in facts.dropped],
        columns=[
            replace(column, values=in_chinese(column.values)) if column.kind == "category" else column
            for column in facts.columns
        ],
        fit=None if facts.fit is None else replace(facts.fit, separation=in_chinese(facts.fit.separation)),
        worst=[replace(row, place=in_chinese(row.place)) for row in facts.worst],
        coefficients=_coefficients(facts.coefficients),
        path=None if facts.path is None else _path(facts.path),
        odds=None if facts.odds is None else _odds(facts.odds),
        facts=[(name, text if name == "configuration" else in_chinese(text)) for name, text in facts.facts],
    )


def _coefficients(learnt: Any) -> Any:
    if not isinstance(learnt, CoefficientTable):
        return learnt
    return replace(learnt, feature_names=[in_chinese(name) for name in learnt.feature_names])


def _path(path: PathFacts) -> PathFacts:
    weights = {
        name: {in_chinese(feature): curve for feature, curve in curves.items()} for name, curves in path.weights.items()
    }
    return replace(path, weights=weights)


def _odds(odds: OddsTable) -> OddsTable:
    return replace(odds, rows=[replace(row, column=in_chinese(row.column)) for row in odds.rows])


def note_message(note: Mapping[str, Any]) -> str:
    """
    Return the sentence of a note in Chinese, or its English message where there is none.

    Parameters
    ----------
    note : mapping
        ``code``, ``column``, ``count``, ``message`` and, for the sentence alone, ``text``.

    Returns
    -------
    str
        With the column before it.

    Examples
    --------
    >>> text = "missing in the fit part, filled with the median 44.5"
    >>> note_message({"column": "length", "count": 2, "text": text, "message": f"2 {text}"})
    '列“length”：拟合部分有 2 个缺失，用中位数 44.5 填补'
    """
    found = _matched(str(note.get("text", "")), note.get("count"), SENTENCES)
    if found is None:
        return str(note["message"])
    return found if note["column"] is None else COLUMN.format(shown(note["column"])) + found


def in_chinese(text: str) -> str:
    """
    Return a sentence in Chinese, or itself where there is none.

    Examples
    --------
    >>> in_chinese("left out by option"), in_chinese("Biscoe, Dream")
    ('按选项排除', 'Biscoe, Dream')
    """
    return _matched(text, None, SENTENCES) or text


def _matched(text: str, count: int | None, sentences: Sequence[tuple[str, str]]) -> str | None:
    """Return the Chinese of the first sentence that fits."""
    for english, chinese in sentences:
        found = _pattern(english).fullmatch(text)
        if found is not None:
            fillings = [_filling(one) for one in found.groups()]
            return chinese.format(*fillings, n="" if count is None else f"{count:,}")
    return None


def _filling(text: str) -> str:
    tail = _matched(text, None, TAILS)
    return WORDS.get(text, text) if tail is None else tail


@cache
def _pattern(english: str) -> re.Pattern[str]:
    """Return what recognises a sentence: anything may stand where something is filled in."""
    return re.compile("(.+?)".join(re.escape(part) for part in re.split(_NUMBER, english)), re.DOTALL)
