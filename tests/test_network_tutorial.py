"""The tutorial on the estimator of networks: its code runs and prints what is shown, its links lead somewhere."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).resolve().parents[1] / "docs" / "tutorials"
each_page = pytest.mark.parametrize("page", [TUTORIALS / "mlp.md"], ids=lambda page: page.stem)


@each_page
def test_the_code_of_the_tutorial_prints_what_is_shown(page: Path) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL))
    test = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), 0)
    said: list[str] = []

    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=said.append)

    assert said == []
    assert len(test.examples) > 30


@each_page
def test_links_of_the_tutorial_lead_somewhere_and_its_lines_are_short(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)

    assert [link for link in links if not (page.parent / link).exists()] == []
    assert [line for line in text.splitlines() if len(line) > 120] == []
