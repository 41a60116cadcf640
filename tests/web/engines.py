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
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=WEB) as process:

        def ask(task: str, **given: Any) -> Any:
            process.stdin.write(json.dumps({"task": task, "given": given}) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert "failed" not in answer, answer["failed"]
            return answer["value"]

        yield ask


@contextmanager
def browser_engine(tasks: Path, browser: Any, address: str) -> Iterator[Ask]:
    """Give a function that does tasks on a page of the browser as long as the with statement lasts."""
    source = f"async (request) => JSON.stringify(await ({_function(tasks)})(request))"
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    yield lambda task, **given: json.loads(page.evaluate(source, {"task": task, "given": given}))
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
