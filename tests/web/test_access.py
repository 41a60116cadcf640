"""The page without eyes, without a mouse, in both schemes and without colours: axe, keyboard, live region, tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

PANELS = ["softmax", "loss", "slow", "plane", "digit", "mistakes", "reliability", "sets"]
AXE = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map((node) => node.html.slice(0, 160))]);
}"""
OPEN_ALL = "() => document.querySelectorAll('details').forEach((details) => { details.open = true; })"
# The same for axe, with the first rows of long tables: hundreds of rows that are alike take it half a minute.
OPEN_SHORT = """() => {
  document.querySelectorAll("details").forEach((details) => { details.open = true; });
  return new Promise((resolve) => setTimeout(() => {
    document.querySelectorAll("tbody tr:nth-child(n + 13)").forEach((row) => row.remove());
    resolve();
  }, 50));
}"""
# Things to press or to type into that are smaller than 24 px and not within a line of text.
SMALL = """() => [...document.querySelectorAll("button, input, select, summary, a[href], [tabindex='0']")]
  .filter((node) => node.checkVisibility() && !node.closest(".skip, svg") && !node.matches("[role=gridcell] *"))
  .map((node) => [node, node.getBoundingClientRect()])
  .filter(([node, box]) => box.width > 0 && (box.width < 24 || box.height < 24) && !(node.matches("label input")))
  .map(([node, box]) => `${node.outerHTML.slice(0, 80)} ${box.width.toFixed(0)} x ${box.height.toFixed(0)}`)"""
# Change a slider 40 times in two seconds; how often the live region spoke.
SPOKEN = """async () => {
  const region = document.querySelector("[aria-live=polite]");
  let spoken = 0;
  const observer = new MutationObserver(() => { spoken += 1; });
  observer.observe(region, { childList: true, characterData: true, subtree: true });
  const range = document.querySelector("main .slider input[type=range]");
  for (let i = 0; i < 40; i += 1) {
    range.value = String(i / 10);
    range.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return spoken;
}"""
SEEN = "[...document.querySelectorAll('[data-figure]')].filter((figure) => figure.checkVisibility())"
FIGURES = (
    f"() => {SEEN}"
    + """.map((figure) => ({
  title: figure.querySelector("figcaption span").textContent,
  name: figure.querySelector(".picture").getAttribute("aria-label") ?? "",
  role: figure.querySelector(".picture").getAttribute("role"),
  rows: figure.querySelectorAll("tbody tr").length,
  columns: figure.querySelectorAll("thead th").length,
  cells: [...figure.querySelectorAll("tbody tr")].map((row) => row.children.length),
}))"""
)
BARS = """() => {
  const texts = [...document.querySelectorAll("[data-figure=softmax-bars] svg text")].map((node) => node.textContent);
  const rows = [...document.querySelectorAll("[data-figure=softmax-bars] tbody tr")];
  return { texts, rows: rows.map((row) => [...row.children].map((cell) => cell.textContent)) };
}"""


def axe_source() -> str:
    """Return where the script of axe is."""
    spec = find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-playwright-python is not installed")
    return str(Path(spec.origin).parent / "axe.min.js")


@pytest.fixture
def each_panel(page_at: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Return a function that opens all panels one after the other and asks each the same."""

    def visit(question: str, *, before: str | None = None, script: str | None = None, **options: Any) -> dict[str, Any]:
        page = page_at(**options)
        if script is not None:
            page.add_script_tag(path=script)
        answers = {}
        for panel in PANELS:
            page.evaluate("panel => { location.hash = `p=${panel}` }", panel)
            page.locator(f"main[data-ready={panel}]").wait_for(state="attached")
            if before is not None:
                page.evaluate(before)
            answers[panel] = page.evaluate(question)
        return answers

    return visit


@pytest.mark.parametrize(
    ("language", "width", "scheme"),
    [
        ("en", 1280, "light"),
        ("zh", 1280, "dark"),
        ("en", 360, "dark"),
        ("zh", 360, "light"),
        *(
            pytest.param(*look, marks=pytest.mark.slow)
            for look in [("zh", 1280, "light"), ("en", 1280, "dark"), ("zh", 360, "dark"), ("en", 360, "light")]
        ),
    ],
)
def test_axe_finds_nothing(each_panel: Callable[..., dict[str, Any]], language: str, width: int, scheme: str) -> None:
    found = each_panel(
        AXE, before=OPEN_SHORT, script=axe_source(), language=language, width=width, scheme=scheme, bypass_csp=True
    )

    assert found == {panel: [] for panel in PANELS}


@pytest.mark.parametrize("view", ["jacobian", "simplex", "precision"])
def test_axe_finds_nothing_in_the_other_views_of_panel_1(page_at: Callable[..., Any], view: str) -> None:
    page = page_at(f"view={view}&tour=5&T=99", width=360, bypass_csp=True)
    page.add_script_tag(path=axe_source())
    page.locator(".tour[data-stop]").wait_for()

    assert page.evaluate(AXE) == []


@pytest.mark.parametrize("width", [1280, 360])
def test_things_to_press_are_at_least_24_pixels(each_panel: Callable[..., dict[str, Any]], width: int) -> None:
    assert each_panel(SMALL, width=width) == {panel: [] for panel in PANELS}


def test_every_picture_has_a_name_and_a_table(each_panel: Callable[..., dict[str, Any]]) -> None:
    figures = each_panel(FIGURES, before=OPEN_ALL)
    wrong = {
        panel: [
            figure
            for figure in found
            if len(figure["name"]) < 12
            or figure["role"] not in {"img", "group", "grid"}
            or figure["rows"] == 0
            or set(figure["cells"]) != {figure["columns"]}
        ]
        for panel, found in figures.items()
    }

    assert [panel for panel, found in figures.items() if not found] == []
    assert wrong == {panel: [] for panel in PANELS}


def test_the_table_holds_the_numbers_of_the_picture(page_at: Callable[..., Any]) -> None:
    page = page_at("lang=en&z=3,-1.5,0.25,2&T=2")
    page.evaluate(OPEN_ALL)
    found = page.evaluate(BARS)
    probabilities = [float(row[4]) for row in found["rows"]]
    shown = [text for text in found["texts"] if text.endswith("%")]
    digits = [float(match[1]) for text in found["texts"] if (match := re.match(r"(0\.\d{6}) ·", text))]

    assert [f"{100 * p:.1f} %" for p in probabilities] == shown
    assert probabilities == digits


def test_the_live_region_speaks_at_most_once_a_second(page_at: Callable[..., Any]) -> None:
    assert 1 <= page_at("lang=en").evaluate(SPOKEN) <= 3


def test_the_page_has_its_landmarks_and_one_heading(each_panel: Callable[..., dict[str, Any]]) -> None:
    landmarks = "() => ['header', 'nav', 'main', 'aside', 'footer', 'h1', '[aria-current=page]', '.skip']"
    counts = each_panel(f"{landmarks}.map((name) => document.querySelectorAll(`body ${{name}}`).length)")

    assert counts == {panel: [1] * 8 for panel in PANELS}


def focused(page: Any) -> str:
    """Return the words of what has the focus."""
    return str(page.evaluate("document.activeElement.textContent || document.activeElement.ariaLabel"))


def test_the_skip_link_is_first_and_leads_to_the_panel(page_at: Callable[..., Any]) -> None:
    page = page_at("lang=en")
    page.keyboard.press("Tab")
    first = focused(page)
    page.keyboard.press("Enter")

    assert first == "Skip to the panel"
    assert page.evaluate("document.activeElement.id") == "panel"


def test_a_panel_is_opened_by_keyboard_and_its_heading_gets_the_focus(page_at: Callable[..., Any]) -> None:
    page = page_at("lang=en")
    page.get_by_role("link", name="Loss and gradient").focus()
    page.keyboard.press("Enter")
    page.locator("main[data-ready=loss]").wait_for(state="attached")
    heading = focused(page)
    page.go_back()
    page.locator("main[data-ready=softmax]").wait_for(state="attached")

    assert heading == "Loss and gradient"
    assert page.title() == "Softmax · softclass"


def test_going_back_keeps_the_language_and_a_link_brings_its_own(page_at: Callable[..., Any]) -> None:
    page = page_at("lang=en")
    page.get_by_role("link", name="Loss and gradient").click()
    page.locator("main[data-ready=loss]").wait_for(state="attached")
    page.get_by_role("button", name="中文").click()
    page.locator("html[lang=zh-CN]").wait_for(state="attached")
    page.go_back()
    page.locator("main[data-ready=softmax]").wait_for(state="attached")
    back = page.evaluate("document.documentElement.lang")
    page.evaluate("location.hash = 'lang=en&p=loss'")
    page.locator("main[data-ready=loss]").wait_for(state="attached")

    assert back == "zh-CN"
    assert page.evaluate("document.documentElement.lang") == "en"


def test_a_panel_that_nobody_serves_any_more_says_so_once(page_at: Callable[..., Any], watched: Any) -> None:
    page = page_at("lang=en")
    page.route("**/panel_*.js", lambda route: route.abort())
    for panel in ("loss", "slow"):
        page.evaluate(f"location.hash = 'lang=en&p={panel}'")
        page.locator(f"main[data-ready={panel}]").wait_for(state="attached")
    said = page.locator(".notice").all_inner_texts()
    stopped, watched.faults[:] = [fault for fault in watched.faults if "ERR_FAILED" in fault], []

    assert ["softclass explore has ended" in sentence for sentence in said] == [True]
    assert len(stopped) == 2


def test_the_whole_tour_is_walked_by_keyboard(page_at: Callable[..., Any]) -> None:
    page = page_at("lang=en")
    page.get_by_role("button", name="Tour", exact=True).focus()
    page.keyboard.press("Enter")
    page.locator(".tour[data-stop='1']").wait_for()
    page.get_by_role("button", name="Next").focus()
    walked = []
    for stop in range(2, 13):
        page.keyboard.press("Enter")
        page.locator(f".tour[data-stop='{stop}']").wait_for()
        walked.append((stop, focused(page), page.evaluate("/tour=(\\d+)/.exec(location.hash)[1]")))
    page.get_by_role("button", name="End the tour").press("Enter")
    page.locator(".tour").wait_for(state="detached")

    assert walked[:-1] == [(stop, "Next", str(stop)) for stop in range(2, 12)]
    assert walked[-1][2] == "12"  # the last stop has no next one


def test_sliders_and_the_triangle_answer_to_arrow_keys(page_at: Callable[..., Any]) -> None:
    page = page_at("lang=en&view=simplex")
    page.get_by_role("slider", name="A", exact=True).press("ArrowRight")
    score = page.get_by_role("spinbutton", name="A", exact=True).input_value()
    point = page.get_by_role("slider", name="Probabilities of the three classes")
    point.focus()
    before = point.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")

    assert score == "2.1"
    assert (before, point.get_attribute("aria-valuetext")) == (
        "A 68.1 %, B 22.7 %, C 9.2 %",
        "A 67.1 %, B 21.7 %, C 11.2 %",
    )
    assert page.evaluate("document.activeElement.getAttribute('role')") == "slider"


def test_a_number_that_cannot_be_taken_is_marked_and_changes_nothing(page_at: Callable[..., Any]) -> None:
    page = page_at("lang=en")
    box = page.get_by_role("spinbutton", name="Temperature T")
    box.fill("0")
    wrong = box.get_attribute("aria-invalid")
    box.blur()

    assert wrong == "true"
    assert (box.input_value(), box.get_attribute("aria-invalid")) == ("1", "false")


def test_the_link_can_be_copied_and_that_is_said_once(page_at: Callable[..., Any]) -> None:
    page = page_at("lang=en&T=2", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    page.get_by_role("button", name="Copy link").click()
    page.locator(".notice").wait_for()

    assert page.evaluate("navigator.clipboard.readText()") == page.url
    assert page.locator(".notice p").all_inner_texts() == ["The link to this very view is in the clipboard."]


def test_hidden_keys_have_no_control(page_at: Callable[..., Any]) -> None:
    page = page_at("lang=en&hide=T,shift,view,z")

    assert page.get_by_role("slider").count() == 0
    assert page.get_by_role("radio").count() == 0
    assert page.get_by_role("button", name="Add a class").count() == 0


def test_the_page_is_usable_without_its_colours(page_at: Callable[..., Any]) -> None:
    page = page_at("lang=en", forced_colors="active")
    outline = page.evaluate("getComputedStyle(document.querySelector('.segments label:has(:checked)')).outlineStyle")

    assert outline == "solid"


def test_nothing_moves_by_itself(each_panel: Callable[..., dict[str, Any]]) -> None:
    frames = """async () => {
      let changes = 0;
      const observer = new MutationObserver((records) => { changes += records.length; });
      observer.observe(document.querySelector("main"), { childList: true, subtree: true, attributes: true });
      await new Promise((resolve) => setTimeout(resolve, 400));
      return changes;
    }"""
    settle = "() => new Promise((resolve) => setTimeout(resolve, 300))"

    assert each_panel(frames, before=settle, reduced_motion="no-preference") == dict.fromkeys(PANELS, 0)
