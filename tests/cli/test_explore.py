"""The command: what it refuses, what it says, what it writes, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import softclass
from softclass.data import samples

DATA = str(samples.path("penguins.csv"))
COMMAND = [sys.executable, "-m", "softclass", "explore", "--no-browser"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a table."""
    path = tmp_path_factory.mktemp("runs") / "penguins"
    softclass.train(DATA, "species", C=1.0, output=path, report=False, progress=lambda event, facts: None)
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "x.csv"], "error[SC202] softclass explore: --data has no effect without MODEL"),
        (["--no-examples"], "error[SC202] softclass explore: --no-examples has no effect without --export"),
        (["--overwrite"], "error[SC202] softclass explore: --overwrite has no effect without --export"),
        (["--port", "80", "--export", "x.html"], "error[SC202] softclass explore: --port has no effect with --export"),
        (["--no-browser", "--export", "x.html"], "error[SC202] softclass explore: --no-browser has no effect with"),
        (["--port", "65536"], "error[SC207] softclass explore: --port must be 0 to 65535; got 65536"),
        (["--port", "x"], 'error[SC207] softclass explore: --port must be a whole number; got "x"'),
        (["--lang", "fr"], 'error[SC207] softclass explore: --lang must be "auto" or "en" or "zh"; got "fr"'),
        (["no-such-model"], "error[SC603] no-such-model:"),
        (["https://example.org/model.onnx"], "error[SC208]"),
        (["--ports", "1"], "error[SC201] softclass explore: unknown option --ports"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else None,
)
def test_what_makes_no_sense_is_refused(command: Callable[..., Any], arguments: list[str], said: str) -> None:
    ran = command("explore", *arguments)

    assert ran.status == int(said.partition("[SC")[2][0])
    assert ran.err.startswith(said)
    assert list(Path().iterdir()) == []


def test_a_port_that_is_taken_is_named(command: Callable[..., Any]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = command("explore", "--no-browser", "--port", str(port))

    assert ran.status == 6
    assert ran.err.startswith(f"error[SC609] softclass explore: port {port} of the loopback cannot be had")
    assert "--port 0" in ran.err


def test_the_demo_becomes_a_file(command: Callable[..., Any]) -> None:
    ran = command("explore", "--export", "demo.html", "--lang", "zh")

    assert (ran.status, ran.err) == (0, "")
    assert "wrote    demo.html" in ran.out
    assert "holds    the weights of digits-cnn and the names of its 10 classes" in ran.out
    assert 'data-language="zh"' in Path("demo.html").read_text(encoding="utf-8")


def test_a_file_is_replaced_only_if_asked(command: Callable[..., Any]) -> None:
    Path("page.html").write_text("mine")

    assert command("explore", "--export", "page.html").status == 2
    assert Path("page.html").read_text() == "mine"
    assert command("explore", "--export", "page.html", "--overwrite").status == 0
    assert Path("page.html").stat().st_size > 100_000


def test_a_file_never_replaces_the_model_or_the_data(command: Callable[..., Any], run: Path) -> None:
    model = run / "model.onnx"
    before = model.read_bytes()

    ran = command("explore", str(run), "--export", str(model), "--overwrite")

    assert ran.status == 2
    assert ran.err.startswith("error[SC205]")
    assert model.read_bytes() == before


def test_a_run_shows_its_tested_rows(command: Callable[..., Any], run: Path) -> None:
    ran = command("explore", str(run), "--export", "page.html", "--json")

    assert ran.status == 0
    said = json.loads(ran.out)
    assert said["export"] == "page.html"
    assert said["bytes"] == Path("page.html").stat().st_size
    assert "logits, labels, cells and places of 69 rows of test" in said["holds"]


def test_a_model_alone_says_what_is_missing_and_how_to_get_it(command: Callable[..., Any], run: Path) -> None:
    Path("model.onnx").write_bytes((run / "model.onnx").read_bytes())

    ran = command("explore", "model.onnx", "--export", "page.html")

    assert ran.status == 0
    assert "Mistakes, Reliability and Sets need labelled rows: softclass explore model.onnx --data FILE" in ran.err


def test_no_examples_leaves_rows_out(command: Callable[..., Any], run: Path) -> None:
    ran = command("explore", str(run), "--data", DATA, "--export", "page.html", "--no-examples")
    text = Path("page.html").read_text(encoding="utf-8")

    assert ran.status == 0
    assert "cells" not in ran.out
    assert '"line 298"' not in text
    assert '"cells":' not in text


def test_data_that_do_not_fit_stop_it_before_it_serves(command: Callable[..., Any], run: Path) -> None:
    digits = str(samples.path("digits.npz"))

    ran = command("explore", str(run), "--data", digits, "--no-browser")

    assert (ran.status, ran.out) == (3, "")
    assert "error[SC331]" in ran.err


@pytest.fixture
def served(run: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Start the command as a process and return it with the address it prints."""
    processes = []

    def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path.cwd()
        )
        processes.append(process)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]  # one read may take both out of the pipe
        assert lines[1] == "stop     Ctrl-C\n"
        return process, lines[0].split()[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_serves_until_it_is_stopped_and_says_nothing_more(
    served: Callable[..., Any], run: Path, number: int
) -> None:
    process, address = served(str(run))
    place, _, token = address.partition("#token=")
    request = urllib.request.Request(place.replace("/explore", "/explore/api/model"))
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=20) as answer:
        name = json.load(answer)["name"]
    with urllib.request.urlopen(place, timeout=20) as answer:
        page = answer.read()

    process.send_signal(number)
    out, err = process.communicate(timeout=20)

    assert (name, len(token)) == ("penguins", 43)
    assert b"importmap" in page
    assert token.encode() not in page
    assert (process.returncode, out, err) == (0, "", "")


def test_the_browser_is_started_without_the_token(run: Path, tmp_path: Path) -> None:
    """What a browser is started with stands in the list of processes."""
    code = (
        "import sys, webbrowser; from softclass.cli.main import main;"
        "webbrowser.open = lambda address: print(address) or (_ for _ in ()).throw(KeyboardInterrupt);"
        f"sys.exit(main(['explore', {str(run)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    printed, _, opened = done.stdout.splitlines()

    place, _, token = printed.split()[-1].partition("#token=")
    assert opened.startswith(f"{place}/open/")
    assert token not in opened
    assert done.stderr == ""


def test_the_demo_needs_no_token(served: Callable[..., Any]) -> None:
    _, address = served()

    assert address.startswith("http://127.0.0.1:")
    assert address.endswith("/explore")


def test_the_demo_loads_neither_a_runtime_nor_arrow() -> None:
    heavy = ("numpy", "onnxruntime", "pyarrow", "sklearn", "PIL", "onnx", "torch")
    code = (
        "import sys, softclass.server.app, softclass.server.page as page;"
        f"page.served_page('demo'); print(sorted(set(sys.modules) & set({heavy!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
