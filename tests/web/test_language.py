"""Both languages: the same places, no word outside the files of words, and no panel half translated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from web.engines import WEB, node_engine

PANELS = ["softmax", "loss", "slow", "plane", "digit", "mistakes", "reliability", "sets"]
WORDS = sorted(path.stem for path in WEB.glob("text_*.js"))
CODE = sorted(path.stem for path in WEB.glob("*.js") if not path.stem.startswith("text_"))
CHINESE = re.compile(r"[\u3400-\u9fff\uff00-\uffef]")
COMMENT = re.compile(r"/\*.*?\*/|(?<![:\"'`])//[^\n]*", re.DOTALL)
STRING = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`")
# A sentence, or a word where people read it. Names of things (float64, SVG) and signs are no words.
SENTENCE = re.compile(r"^[\"'`][A-Z][a-z]+(?: [\w,’'-]+)+")
SHOWN = re.compile(r"(?:textContent|innerText|alt|title|placeholder|\"aria-label\")\s*[:=]\s*[\"'`][A-Za-z]{2,}")
# Sentences that stand in no language: messages of errors for programmers, and names in their own language.
INTERNAL = re.compile(r"Error\($")
OWN_NAMES = {"English", "中文"}
ENGLISH = re.compile(r"(?:\b[a-z]{2,}\b[ ,]+){4,}")
# What a person reads or hears, without formulas and names in their own language.
HEARD = """() => {
  const parts = [];
  for (const node of document.querySelectorAll("body *")) {
    if (node.closest("math, body [lang], code, script, style")) continue;
    for (const child of node.childNodes) if (child.nodeType === 3) parts.push(child.data);
    for (const name of ["aria-label", "aria-valuetext", "title", "alt", "placeholder"]) {
      if (node.hasAttribute(name)) parts.push(node.getAttribute(name));
    }
  }
  return parts.filter((part) => part.trim() !== "");
}"""
TASKS = """// Read the words of a file.
async ({ given }) => (await import(`softclass/${given.file}`)).words
"""


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], dict[str, list[str]]]]:
    """Return the words of a file: each text in English and in Chinese."""
    tasks: Path = tmp_path_factory.mktemp("words") / "tasks.js"
    tasks.write_text(TASKS, encoding="utf-8")
    with node_engine(tasks) as ask:
        yield lambda file: ask("words", file=file)


def literal_words(source: str) -> list[str]:
    """Return the strings of a module that people would read."""
    code = COMMENT.sub("", source)
    found = [match.group() for match in SHOWN.finditer(code)]
    for match in STRING.finditer(code):
        internal = INTERNAL.search(code[: match.start()].rstrip())
        readable = SENTENCE.match(match.group()) or CHINESE.search(match.group())
        if readable and not internal and match.group()[1:-1] not in OWN_NAMES:
            found.append(match.group())
    return found


@pytest.mark.parametrize("file", WORDS)
def test_both_languages_say_something_with_the_same_places(
    words: Callable[[str], dict[str, list[str]]], file: str
) -> None:
    table = words(file)
    places = {key: [set(re.findall(r"\{\w+\}", text)) for text in pair] for key, pair in table.items()}

    assert {key: pair for key, pair in table.items() if len(pair) != 2 or not all(map(str.strip, pair))} == {}
    assert {key: found for key, found in places.items() if found[0] != found[1]} == {}


def test_words_are_found_under_the_name_of_their_file() -> None:
    sources = [(WEB / f"{file}.js").read_text(encoding="utf-8") for file in CODE]
    found = []
    for source in sources:
        parts = {name: part for part, name in re.findall(r'^register\("(\w+)", (\w+)\);', source, re.MULTILINE)}
        files = re.findall(r'import \{ words(?: as (\w+))? \} from "softclass/(text_\w+)"', source)
        found += [(file, f"text_{parts[name or 'words']}") for name, file in files]

    assert sorted(found) == [(file, file) for file in WORDS]


@pytest.mark.parametrize("file", WORDS)
def test_english_texts_are_not_chinese(words: Callable[[str], dict[str, list[str]]], file: str) -> None:
    assert [key for key, (english, _) in words(file).items() if CHINESE.search(english)] == []


@pytest.mark.parametrize("file", CODE)
def test_a_module_holds_no_words(file: str) -> None:
    assert literal_words((WEB / f"{file}.js").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "planted",
    ['node.append("Show the table");', 'node.textContent = "table";', "x = '显示';", 'a({ "aria-label": "close" });'],
)
def test_planted_words_are_found(planted: str) -> None:
    assert len(literal_words(planted)) > 0


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_panel_speaks_one_language(page_at: Callable[..., Any], language: str) -> None:
    page = page_at("tour=1", language=language)
    page.locator(".tour[data-stop]").wait_for()
    strange = ENGLISH if language == "zh" else CHINESE
    found = {}
    for panel in PANELS:
        page.evaluate("panel => { location.hash = `p=${panel}&tour=1` }", panel)
        page.locator(f"main[data-ready={panel}]").wait_for(state="attached")
        heard = page.evaluate(HEARD)
        missing = [part for part in heard if "⟦" in part or re.search(r"\{\w+\}", part)]
        found[panel] = (missing, [part for part in heard if strange.search(part)], len(heard) > 30)

    assert page.evaluate("document.documentElement.lang") == {"en": "en", "zh": "zh-CN"}[language]
    assert found == {panel: ([], [], True) for panel in PANELS}


def test_the_language_can_be_changed_and_stays_in_the_link(page_at: Callable[..., Any]) -> None:
    page = page_at("z=1,2,3&view=jacobian")
    page.get_by_role("button", name="中文").click()
    page.locator("html[lang=zh-CN] main[data-ready]").wait_for(state="attached")
    page.wait_for_url(re.compile("lang=zh"))

    assert page.evaluate("location.hash") == "#v=1&lang=zh&z=1,2,3&view=jacobian"
    assert page.evaluate("[document.activeElement.lang, document.activeElement.ariaPressed]") == ["zh", "true"]
    assert page.get_by_role("radio", name="雅可比矩阵").is_checked()


@pytest.mark.parametrize("width", [360, 320])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_panel_is_wider_than_a_phone(page_at: Callable[..., Any], language: str, width: int) -> None:
    page = page_at("tour=1", language=language, width=width)
    wider = {}
    for panel in PANELS:
        page.evaluate("panel => { location.hash = `p=${panel}&tour=1` }", panel)
        page.locator(f"main[data-ready={panel}]").wait_for(state="attached")
        wider[panel] = page.evaluate("document.documentElement.scrollWidth - innerWidth")

    assert wider == dict.fromkeys(PANELS, 0)
