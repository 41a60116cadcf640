"""The tutorial on digits: its code runs and prints what is shown, its links lead somewhere."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tutorials" / "digits.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_code_of_the_tutorial_prints_what_is_shown() -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL))
    test = doctest.DocTestParser().get_doctest(code, {}, PAGE.name, str(PAGE), 0)
    said: list[str] = []

    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=said.append)

    assert said == []
    assert len(test.examples) > 30


def test_links_of_the_tutorial_lead_somewhere_and_its_lines_are_short() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)

    assert [link for link in links if not (PAGE.parent / link).exists()] == []
    assert [line for line in TEXT.splitlines() if len(line) > 120] == []
