"""The page reaches nothing but its own server, and as one file nothing at all; text of users stays text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from served import TOKEN, exploring
from softclass.server.explore import Explored, demo_bundle
from softclass.server.page import exported_page
from web.explored import NAMES, PANELS, explored_table

ELSEWHERE = "http://127.0.0.2:9/"
# What a script that got in would try: each gives whether it came through.
ATTEMPTS = {
    "fetch": f"fetch('{ELSEWHERE}').then(() => true, () => false)",
    "beacon": f"Promise.resolve(navigator.sendBeacon('{ELSEWHERE}', 'x'))",
    "picture": f"""new Promise(done => {{
      const picture = new Image(); picture.onload = () => done(true); picture.onerror = () => done(false);
      picture.src = '{ELSEWHERE}a.png'; }})""",
    "script": """new Promise(done => {
      const script = document.createElement('script'); script.textContent = 'globalThis.planted = 1';
      document.body.append(script); setTimeout(() => done(globalThis.planted === 1), 50); })""",
    "text as code": """new Promise(done => {
      setTimeout('globalThis.planted = 1', 10); setTimeout(() => done(globalThis.planted === 1), 100); })""",
    "form": f"""new Promise(done => {{
      const form = document.createElement('form'); form.action = '{ELSEWHERE}'; document.body.append(form);
      form.submit(); setTimeout(() => done(location.href.startsWith('{ELSEWHERE}')), 100); }})""",
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Explored:
    return explored_table(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="module")
def table_address(table: Explored) -> Iterator[str]:
    with exploring(table) as address:
        yield address


@pytest.fixture(scope="module")
def demo_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The demo as one file."""
    path = tmp_path_factory.mktemp("demo") / "demo.html"
    path.write_text(exported_page(demo_bundle()), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def table_file(table: Explored, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The table of markup as one file."""
    path = tmp_path_factory.mktemp("file") / "table.html"
    path.write_text(exported_page(table.bundle(examples=True)), encoding="utf-8")
    return path.as_uri()


def asked(requests: list[str]) -> list[str]:
    """Requests that leave the page."""
    return [address for address in requests if not address.startswith(("data:", "blob:"))]


def show(page: Any, panel: str) -> None:
    """Go to a panel by its link."""
    page.locator("nav a").nth(PANELS.index(panel)).click()
    page.locator(f"[data-ready={panel}]").wait_for(state="attached")


def open_every_panel(page: Any) -> list[str]:
    """Go through the panels; return what those said that could not be shown."""
    for panel in PANELS:
        show(page, panel)
    return page.locator(".notice.failed").all_inner_texts()


def test_all_panels_ask_only_the_server(page_at: Callable[..., Any], watched: Any, demo_address: str) -> None:
    page = page_at()

    assert open_every_panel(page) == []
    home = re.match(r"http://[^/]*/explore", demo_address)
    assert home is not None
    assert [address for address in asked(watched.requests) if not address.startswith(home[0])] == []


def test_all_panels_of_one_file_need_one_request(page_at: Callable[..., Any], watched: Any, demo_file: str) -> None:
    page = page_at(address=demo_file)

    assert open_every_panel(page) == []
    assert asked(watched.requests) == [demo_file]


def test_all_panels_work_on_a_model_of_a_user(
    page_at: Callable[..., Any], watched: Any, table_address: str, table_file: str
) -> None:
    served = page_at(f"token={TOKEN}", address=table_address)
    file = page_at(address=table_file)

    assert open_every_panel(served) == []
    assert open_every_panel(file) == []
    assert [a for a in asked(watched.requests) if not a.startswith((table_address, table_file))] == []


@pytest.mark.parametrize("where", ["served", "file"])
def test_what_a_planted_script_tries_is_refused(
    page_at: Callable[..., Any], watched: Any, demo_file: str, where: str
) -> None:
    page = page_at(**({"address": demo_file} if where == "file" else {}))

    came_through = {name: page.evaluate(f"() => {attempt}") for name, attempt in ATTEMPTS.items()}

    # A beacon says that it was taken, and is stopped afterwards.
    assert came_through == {**dict.fromkeys(ATTEMPTS, False), "beacon": True}
    # What the policy lets through would come to the route that stops it, and be a fault of another kind.
    assert [fault for fault in watched.faults if "Content Security Policy" not in fault] == []
    assert len(watched.faults) >= len(ATTEMPTS)
    watched.faults.clear()


@pytest.mark.parametrize("where", ["served", "file"])
def test_names_and_cells_stay_text(
    page_at: Callable[..., Any], table_address: str, table_file: str, where: str
) -> None:
    fragment = f"token={TOKEN}" if where == "served" else ""
    page = page_at(fragment, address=table_address if where == "served" else table_file)
    found, seen = [], []

    for panel in ("digit", "mistakes", "reliability", "sets"):
        show(page, panel)
        found += page.locator("main b, main svg[onload], main img[onerror], main script").all_inner_texts()
        seen.append(NAMES[0] in page.locator("body").inner_text())

    assert page.evaluate("globalThis.planted") is None
    assert (found, seen) == ([], [True] * 4)


def test_the_token_leaves_the_address_and_stays_in_the_tab(page_at: Callable[..., Any], table_address: str) -> None:
    page = page_at(f"p=mistakes&token={TOKEN}&T=2", address=table_address)
    first = page.url
    page.reload()
    page.locator("[data-ready=mistakes]").wait_for(state="attached")

    assert TOKEN not in first
    assert TOKEN not in page.url
    assert "T=2" in first
    assert page.locator("text=" + NAMES[1]).count() > 0


def test_without_the_token_the_page_says_what_to_do(
    page_at: Callable[..., Any], watched: Any, table_address: str
) -> None:
    page = page_at("p=mistakes", address=table_address)

    assert "Open the whole address that softclass explore printed" in page.locator("body").inner_text()
    assert all("401" in fault for fault in watched.faults)
    watched.faults.clear()


def test_the_policy_of_a_file_stands_before_all_it_governs(demo_file: str) -> None:
    text = Path(demo_file.removeprefix("file://")).read_text(encoding="utf-8")
    policy = text.index("Content-Security-Policy")

    assert policy < min(text.index(mark) for mark in ("<style", "<script", "<link", "<body"))
    assert len(text[: text.index("charset")].encode()) < 1024
    assert "src=" not in text.partition("<body")[0].replace('name="viewport"', "")


def test_the_exported_demo_is_small(demo_file: str) -> None:
    assert Path(demo_file.removeprefix("file://")).stat().st_size <= 1_500_000
