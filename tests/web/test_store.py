"""The store of the page: inputs, derived values, watchers, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from web.engines import node_engine

TASKS = Path(__file__).parent / "store_tasks.js"
CASES = {
    "diamond": {"computed": 2, "seen": [[1, 3, -1], [5, 7, 3]]},
    "unchanged_derived": [True],
    "nan_is_no_change": 1,
    "many_sets_one_round": [[0, 0], [2, 3]],
    "stop": [0, 1],
    "stopped_by_another": ["first"],
    "watcher_sets": [[0, 0], [3, 0], [3, 3]],
    "order": [0, "after set"],
    "frozen_value": [1, 2],
}
REFUSED = {
    "set_derived": "double is derived and cannot be set",
    "set_unknown": "the store has no key nothing",
    "half_a_set": "the store has no key nothing",
    "undeclared_need": "the store has no key later",
    "declared_twice": "a is declared already",
    "watch_unknown": "the store has no key nothing",
    "get_unknown": "the store has no key nothing",
    "loop": "watchers keep changing the state",
    "throwing_watcher": "my watcher is broken",
}
AFTER = {"half_a_set": 1, "loop": 7, "throwing_watcher": [[1, 10, 2, 20, 3, 30], [2, 3]]}


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[..., Any]]:
    """Do a task of store_tasks.js in node."""
    with node_engine(TASKS) as engine:
        yield engine


@pytest.mark.parametrize(("task", "expected"), CASES.items(), ids=CASES)
def test_the_store_keeps_its_promises(ask: Callable[..., Any], task: str, expected: object) -> None:
    assert ask(task) == expected


@pytest.mark.parametrize(("task", "message"), REFUSED.items(), ids=REFUSED)
def test_the_store_refuses(ask: Callable[..., Any], task: str, message: str) -> None:
    assert ask(task)["message"] == message


@pytest.mark.parametrize(("task", "state"), AFTER.items(), ids=AFTER)
def test_the_store_is_usable_after_a_failure(ask: Callable[..., Any], task: str, state: object) -> None:
    assert ask(task)["after"] == state


def test_the_store_is_short() -> None:
    source = (Path(__file__).parents[2] / "src" / "softclass" / "web" / "store.js").read_text(encoding="utf-8")

    code = [line for line in source.splitlines() if line.strip() and not line.strip().startswith(("*", "/*", "//"))]

    assert len(code) <= 70
