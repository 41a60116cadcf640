"""Facts become one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from softclass.data.writing import atomic_write
from softclass.errors import OptionError, shown
from softclass.report import sections
from softclass.report.facts import (
    ChoiceFacts,
    CoefficientTable,
    ColumnFacts,
    DroppedColumn,
    FitFacts,
    NetworkFacts,
    OddsRow,
    OddsTable,
    PathFacts,
    ReportFacts,
    WeightPictures,
    WorstRow,
)
from softclass.report.numbers import count, factor, figure, percent, tiny, with_value
from softclass.report.thumbnails import data_uri
from softclass.report.translated import translated
from softclass.report.verdict import verdict_on
from softclass.report.words import LANGUAGES, fact_name, note_title

__all__ = [
    "ChoiceFacts",
    "CoefficientTable",
    "ColumnFacts",
    "DroppedColumn",
    "FitFacts",
    "NetworkFacts",
    "OddsRow",
    "OddsTable",
    "PathFacts",
    "ReportFacts",
    "WeightPictures",
    "WorstRow",
    "render_report",
    "write_report",
]

_HERE = Path(__file__).parent
# What a browser may do with the page: show it. No script, no request, no frame, no form.
CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def render_report(facts: ReportFacts, lang: str = "en") -> str:
    """Return the report as one HTML page that loads nothing.

    Parameters
    ----------
    facts : ReportFacts
        What to show.
    lang : {"en", "zh"}, default "en"
        English or Chinese.

    Returns
    -------
    str
        The page.

    Raises
    ------
    OptionError
        SC141 for another language.

    Examples
    --------
    >>> page = render_report(ReportFacts("flowers.csv", "table", ["a", "b"], evaluation=None))
    >>> "Nothing was held out" in page
    True
    """
    if lang not in LANGUAGES:
        raise OptionError("SC141", f'`lang` must be "en" or "zh"; got {lang!r}', where="render_report")
    facts, words = translated(facts, lang), words_of(LANGUAGES[lang])
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda value: with_value(value, percent(value)),
        "figure": lambda value: with_value(value, figure(value)),
        "chance": lambda value: with_value(value, f"{value:.3f}"),
        "odds": lambda value: with_value(value, factor(value)),
        "tiny": lambda value: with_value(value, tiny(value)),
        "count": lambda value: with_value(value, count(value)),
        "shown": lambda text, limit=80: shown(text, limit),
        "shown_lines": lambda text: "\n".join(shown(line, 1000) for line in str(text).splitlines()),
        "data_uri": data_uri,
    }
    page = environment.get_template("template.html").render(
        facts=facts,
        e=facts.evaluation,
        t=words,
        policy=CONTENT_POLICY,
        style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        verdict=verdict_on(facts.evaluation),
        fact_name=lambda name: fact_name(name, lang),
        note_title=lambda code: note_title(code, lang),
        **sections.all_sections(facts, words),
    )
    # Text may hold halves of surrogate pairs, which no file can; shown() escapes them, this is the last net.
    return page.encode("utf-8", "replace").decode("utf-8")


def write_report(
    facts: ReportFacts,
    path: str | Path,
    *,
    lang: str = "en",
    overwrite: bool = True,
    inputs: Sequence[str | Path] = (),
) -> Path:
    """Write the report to a file and return its path.

    Parameters
    ----------
    facts : ReportFacts
        What to show.
    path : str or Path
        Where the page will stand.
    lang : {"en", "zh"}, default "en"
        English or Chinese.
    overwrite : bool, default True
        Whether a file that stands there is replaced.
    inputs : sequence of paths, optional
        Files that the page tells of and must not replace.

    Returns
    -------
    Path
        `path`.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> facts = ReportFacts("flowers.csv", "table", ["a", "b"], evaluation=None)
    >>> write_report(facts, f"{folder}/report.html").name
    'report.html'
    """
    page = render_report(facts, lang).encode("utf-8")
    return atomic_write(path, lambda stream: stream.write(page), overwrite=overwrite, inputs=inputs)


def words_of(words: Mapping[str, str]) -> Callable[..., Markup]:
    """Return the function that fills a sentence; whatever is not markup already is escaped."""

    def fill(key: str, **values: Any) -> Markup:
        return escape(words[key]).format(**values)

    return fill
