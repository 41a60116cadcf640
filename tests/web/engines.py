"""The modules of the page without the page: the same task in node and in the browser.

A file of tasks holds one line of comment and then one function of `{task, given}` that imports modules by their bare
names and returns plain values.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).parents[2] / "src" / "softclass" / "web"
Ask = Callable[..., Any]
LOOP = """
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { value: await work(JSON.parse(line)) };
  } catch (error) {
    answer = { failed: error.stack };
  }
  process.stdout.write(`${JSON.stringify(answer)}\\n`);
}
"""


def node_path() -> str:
    """Return a node: the one of the machine, or the one inside playwright; skip without."""
    found = shutil.which("node")
    spec = find_spec("playwright")
    if found is None and spec is not None and spec.origin is not None:
        own = Path(spec.origin).parent / "driver" / "node"
        found = str(own) if own.exists() else None
    if found is None:
        pytest.skip("no node was found: install node, or playwright, which holds one")
    return found


def _function(tasks: Path) -> str:
    return tasks.read_text(encoding="utf-8").partition("\n")[2].strip().removesuffix(";")


@contextmanager
def node_engine(tasks: Path) -> Iterator[Ask]:
    """Give a function that does tasks in one node as long as the with statement lasts."""
    script = f"const work = {_function(tasks)};\n{LOOP}"
    command = [node_path(), "--input-type=module", "--eval", script]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=WEB, encoding="utf-8") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        requests, answers = process.stdin, process.stdout

        def ask(task: str, **given: Any) -> Any:
            requests.write(json.dumps({"task": task, "given": given}) + "\n")
            requests.flush()
            answer = json.loads(answers.readline() or '{"failed": "node has ended"}')
            assert "failed" not in answer, answer["failed"]
            return answer["value"]

        yield ask


def in_node(tasks: Path, task: str, given: dict[str, Any]) -> Any:
    """Return what one task gives in a node of its own."""
    with node_engine(tasks) as ask:
        return ask(task, **given)


def in_browser(page: Any, tasks: Path, task: str, given: dict[str, Any]) -> Any:
    """Return what one task gives on a page that was served."""
    source = f"async (request) => JSON.stringify(await ({_function(tasks)})(request))"
    return json.loads(page.evaluate(source, {"task": task, "given": given}))


@contextmanager
def browser_engine(tasks: Path, browser: Any, address: str) -> Iterator[Ask]:
    """Give a function that does tasks on a page of the browser as long as the with statement lasts."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    yield lambda task, **given: in_browser(page, tasks, task, given)
    context.close()


def engine_fixtures(tasks: Path) -> tuple[Any, Any]:
    """Return two fixtures: `engine`, which is node and then Chromium, and `node` alone."""

    @pytest.fixture(scope="module")
    def node() -> Iterator[Ask]:
        with node_engine(tasks) as ask:
            yield ask

    @pytest.fixture(scope="module", params=["node", "chromium"])
    def engine(request: pytest.FixtureRequest) -> Iterator[Ask]:
        if request.param == "node":
            yield request.getfixturevalue("node")
            return
        found = [request.getfixturevalue(name) for name in ("browser", "demo_address")]
        with browser_engine(tasks, *found) as ask:
            yield ask

    return engine, node
