"""A real browser for the tests of the page: one Chromium a run, new pages a test, and no way out of the loopback."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from served import exploring

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
REQUIRED = os.environ.get("TEST_REQUIRE_BROWSER") == "1"
HEIGHT = 800
MOST_CONTEXTS = 6  # each holds a page
# Chromium refuses its sandbox to root.
ARGUMENTS = ["--disable-dev-shm-usage", *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else [])]
CALL = "async ([module, name, given]) => (await import(`softclass/${module}`))[name](...given)"


def _missing(what: str) -> None:
    """Skip, or fail where a browser is required."""
    (pytest.fail if REQUIRED else pytest.skip)(f"{what}; make setup-browser")


def _executable(playwright: Any) -> str | None:
    """Find a Chromium: the one that is named, one of the machine, or Playwright's own."""
    named = os.environ.get("TEST_CHROMIUM")
    own = Path(playwright.chromium.executable_path)
    return named or next(filter(None, map(shutil.which, NAMES)), str(own) if own.exists() else None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The one Chromium of this run."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not installed")
    with sync_playwright() as playwright:
        executable = _executable(playwright)
        if executable is None:
            _missing("no Chromium was found")
        launched = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def demo_address() -> Iterator[str]:
    """Where the page with the shipped demo is served."""
    with exploring(None) as address:
        yield address


@dataclass
class Watched:
    """What the pages of a test did that no page may do.

    Attributes
    ----------
    faults : list of str
        Requests to elsewhere, errors on the console (violations of the policy among them), uncaught exceptions.
    requests : list of str
        Every address that was asked for.
    """

    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def uncaught(self, error: Any) -> None:
        """Remember an exception that no one caught."""
        self.faults.append(f"uncaught: {error.error}")

    def console(self, message: Any) -> None:
        """Remember errors and warnings."""
        if message.type in ("error", "warning"):
            self.faults.append(f"console {message.type}: {message.text}")

    def outside(self, address: str) -> None:
        """Remember a request that was stopped."""
        self.faults.append(f"request to {address}")


class Contexts:
    """The contexts of a run, one for each way to look at the page and each server.

    A context costs as much as loading the page. Pages of a test share nothing with those of another but its cache: the
    state of the page is in its address, and what a tab keeps goes with the tab.
    """

    def __init__(self, browser: Any) -> None:
        self.watched = Watched()  # of the test that runs
        self._browser = browser
        self._made: dict[str, Any] = {}

    def context(self, home: str, options: dict[str, Any]) -> Any:
        """Return the context of these options that reaches nothing but `home`."""
        name = repr((home, sorted(options.items())))
        context = self._made.pop(name, None) or self._make(home, options)
        self._made[name] = context  # the last one used last
        if len(self._made) > MOST_CONTEXTS:
            self._made.pop(next(iter(self._made))).close()
        return context

    def _make(self, home: str, options: dict[str, Any]) -> Any:
        context = self._browser.new_context(**options)
        context.set_default_timeout(20_000)
        allowed = rf"^(?!{re.escape(home)}|data:|blob:|about:)"
        context.route(re.compile(allowed), lambda route: (self.watched.outside(route.request.url), route.abort()))
        context.on("request", lambda request: self.watched.requests.append(request.url))
        context.on("console", lambda message: self.watched.console(message))
        context.on("weberror", lambda error: self.watched.uncaught(error))
        context.new_page()  # an empty one that stays: with its last page a context ends the work of its processes
        return context

    def close(self) -> None:
        """Close all that are left."""
        for context in self._made.values():
            context.close()


@pytest.fixture(scope="session")
def contexts(browser: Any) -> Iterator[Contexts]:
    """The contexts of this run."""
    made = Contexts(browser)
    yield made
    made.close()


@pytest.fixture
def watched() -> Iterator[Watched]:
    """What happened on the pages of this test; at its end there must be no faults.

    A test that provokes a fault takes it out of ``watched.faults`` after it has looked at it.
    """
    found = Watched()
    yield found
    assert found.faults == []


@pytest.fixture
def new_page(contexts: Contexts, watched: Watched) -> Iterator[Callable[..., Any]]:
    """Return a function that opens an empty page which reaches nothing but the address it is made for."""
    pages: list[Any] = []
    contexts.watched = watched

    def make(
        address: str, *, language: str = "en", width: int = 1280, height: int = HEIGHT, scheme: str = "light",
        bypass_csp: bool = False, **options: Any,
    ) -> Any:  # fmt: skip
        look = {
            "locale": {"en": "en-GB", "zh": "zh-CN"}[language], "timezone_id": "UTC", "device_scale_factor": 1,
            "viewport": {"width": width, "height": height}, "color_scheme": scheme, "bypass_csp": bypass_csp,
            "reduced_motion": "reduce", "accept_downloads": True, **options,
        }  # fmt: skip
        home = re.match(r"\w+://[^/]*/", address)[0]
        pages.append(contexts.context(home, look).new_page())
        return pages[-1]

    yield make
    for page in pages:
        page.close()


@pytest.fixture
def page_at(new_page: Callable[..., Any], demo_address: str) -> Callable[..., Any]:
    """Return a function that opens the page with the demo in a state of the address and waits until it is ready.

    ``page_at("p=slow&m=12", language="zh", width=360, scheme="dark", bypass_csp=False, address=...)``; the language is
    that of the browser, so that ``lang=`` of the fragment still wins. `address` is that of another server or file.
    """

    def open_page(fragment: str = "", *, address: str = demo_address, **options: Any) -> Any:
        page = new_page(address, **options)
        page.goto(f"{address}#{fragment}" if fragment else address)
        page.locator("[data-ready]").first.wait_for(state="attached")
        return page

    return open_page


@pytest.fixture
def call(new_page: Callable[..., Any], demo_address: str) -> Callable[..., Any]:
    """Return a function that calls a function of a module in the browser: ``call("softmax", "softmax", [1, 2])``."""
    pages: list[Any] = []

    def run(module: str, name: str, *given: Any) -> Any:
        if not pages:
            pages.append(new_page(demo_address))
            pages[0].goto(demo_address)
        return pages[0].evaluate(CALL, [module, name, list(given)])

    return run
