"""Whatever ends a command, at whatever moment: the old output or the whole new one, never half (trust.md B6, B8)."""

from __future__ import annotations

import os
import random
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from softclass.cli.main import main
from softclass.data import samples
from softclass.model.file import open_model

PENGUINS = str(samples.path("penguins.csv"))
QUICK = ("--C", "10", "--no-report", "--no-predictions")
OLD = b"what stood here before\n"

# Runs a command line, but sleeps before the k-th call of a function, and leaves a mark that it is there.
DRIVER = """
import os, sys, time
from pathlib import Path
import softclass.data.writing as writing
name, turn, arguments = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
owner = os if hasattr(os, name) else writing
real, calls = getattr(owner, name), []
def slow(*given, **named):
    calls.append(given)
    if len(calls) == turn:
        Path("here").touch()
        time.sleep(60)
    return real(*given, **named)
setattr(owner, name, slow)
sys.argv[1:] = arguments
from softclass.cli.main import run
run()
"""

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}


@dataclass(frozen=True)
class Command:
    """A command line, the output it would replace, and the moments inside its writing."""

    arguments: tuple[str, ...]
    output: str
    moments: tuple[tuple[str, int, int], ...]  # (function, its k-th call, signal)


INT, TERM, KILL = SIGNALS
BEGUN = (("fsync", 1, INT), ("fsync", 1, TERM), ("fsync", 1, KILL))
ONE_FILE = (*BEGUN, ("replace", 1, INT), ("replace", 1, KILL), ("fsync", 2, KILL))
COMMANDS = {
    "train": Command(
        ("train", PENGUINS, "-t", "species", *QUICK, "-o", "run", "--overwrite", "--seed", "1"),
        "run",
        (*BEGUN, ("_move_in", 1, INT), ("_move_in", 1, KILL)),
    ),
    "predict": Command(("predict", "run", PENGUINS, "-o", "out.csv", "--overwrite"), "out.csv", ONE_FILE),
    "evaluate": Command(("evaluate", "run", PENGUINS, "-o", "out.json", "--overwrite"), "out.json", ONE_FILE),
    "report": Command(("report", "run"), "run/report.html", ONE_FILE),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("interruption") / "run"
    assert main(["train", PENGUINS, "-t", "species", *QUICK, "-q", "-o", str(path)]) == 0
    return path


def place(folder: Path, trained: Path, command: Command) -> Path:
    """A folder with the run, and something that the command would replace."""
    folder.mkdir()
    shutil.copytree(trained, folder / "run")
    if command.output != "run":
        (folder / command.output).write_bytes(OLD)
    return folder


def start(folder: Path, command: Command, *driver: object) -> subprocess.Popen[bytes]:
    head = [sys.executable, "-c", DRIVER, *map(str, driver)] if driver else [sys.executable, "-m", "softclass"]
    return subprocess.Popen([*head, *command.arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def until_there(folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not (folder / "here").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def content(path: Path) -> dict[str, bytes]:
    """Every file of an output, hidden ones too."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def leftovers(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob(".*"))


def check_whole(folder: Path, command: Command, before: dict[str, bytes]) -> None:
    """The output is what stood there, or what the command writes when nobody disturbs it."""
    now = content(folder / command.output)
    if now == before:
        return
    if command.output == "run":
        assert set(now) == set(before)
        open_model(folder / "run" / "model.onnx")
    elif command.output.endswith(".csv"):
        assert now[""].count(b"\n") == 345
    else:
        assert now[""].rstrip().endswith((b"</html>", b"}"))


# One file is written in one way: the later moments of two of three commands are for the night.
@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("train", 5), ("predict", 6), ("evaluate", 3), ("report", 3),
        pytest.param("evaluate", 6, marks=pytest.mark.slow), pytest.param("report", 6, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_signal_while_writing_leaves_old_or_new(name, most, trained, tmp_path, monkeypatch, capfd):
    command = COMMANDS[name]
    running = []
    for *moment, number in command.moments[:most]:
        folder = place(tmp_path / "-".join(map(str, [*moment, number])), trained, command)
        running.append((folder, moment, number, content(folder / command.output), start(folder, command, *moment)))

    for folder, moment, number, before, process in running:
        until_there(folder, process)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)

        assert process.returncode == SIGNALS[number], err
        assert b"Traceback" not in err
        assert (b"interrupted: " in err) == (number == signal.SIGINT)
        check_whole(folder, command, before)
        if moment == ["fsync", 1]:
            assert content(folder / command.output) == before
        if number != signal.SIGKILL:
            assert leftovers(folder) == []

    # What a killed command left never disturbs the next one.
    folder = tmp_path / f"fsync-1-{signal.SIGKILL}"
    assert leftovers(folder) != []
    monkeypatch.chdir(folder)
    assert main([*command.arguments, "-q"]) == 0
    assert content(folder / command.output) != before
    assert main(["inspect", "run", "--verify", "-q"]) == 0
    capfd.readouterr()


def test_a_first_run_that_is_stopped_leaves_no_run(tmp_path):
    command = Command(("train", PENGUINS, "-t", "species", *QUICK, "-o", "runs/first"), "runs", ())
    for name, number in (("fsync", signal.SIGINT), ("_move_in", signal.SIGTERM)):
        folder = tmp_path / name
        folder.mkdir()
        process = start(folder, command, name, 1)
        until_there(folder, process)
        process.send_signal(number)

        process.communicate(timeout=60)
        assert process.returncode == SIGNALS[number]
        assert sorted(file.name for file in folder.rglob("*")) == ["here"]


def test_leftovers_of_a_killed_training_are_no_run(trained, tmp_path, monkeypatch, capfd):
    command = Command(("train", PENGUINS, "-t", "species", *QUICK), "runs", ())
    process = start(tmp_path, command, "_move_in", 1)
    until_there(tmp_path, process)
    process.kill()
    process.communicate()

    (left,) = (tmp_path / "runs").iterdir()
    assert left.name.startswith(".penguins-1.tmp-")
    monkeypatch.chdir(tmp_path)
    assert main([*command.arguments, "-q"]) == 0
    assert (tmp_path / "runs" / "penguins-1" / "model.onnx").is_file()
    capfd.readouterr()


def kill_at_random_moments(name: str, trained: Path, tmp_path: Path, times: int, seed: int) -> None:
    """Kill and interrupt a command after random times, two at once; none may be found half-written."""
    command, dice = COMMANDS[name], random.Random(seed)
    folders = [place(tmp_path / f"{name}-{at}", trained, command) for at in range(2)]
    begin = time.monotonic()
    process = start(folders[0], command)
    assert process.wait() == 0, process.communicate()
    process.communicate()
    usual = time.monotonic() - begin
    for _ in range(times // 2):
        before = [content(folder / command.output) for folder in folders]
        processes = [start(folder, command) for folder in folders]
        time.sleep(usual * dice.uniform(0.1, 1.6))
        for process in processes:
            process.send_signal(dice.choice(list(SIGNALS)))
        for folder, old, process in zip(folders, before, processes, strict=True):
            process.communicate(timeout=60)
            assert process.returncode in (0, *SIGNALS.values(), -signal.SIGINT, -signal.SIGTERM)
            check_whole(folder, command, old)


def test_signals_at_random_moments(trained, tmp_path):
    kill_at_random_moments("predict", trained, tmp_path, times=4, seed=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_fifty_signals_at_random_moments(name, trained, tmp_path):
    kill_at_random_moments(name, trained, tmp_path, times=50, seed=4)


def test_a_reader_that_goes_away_does_not_stop_a_training(tmp_path):
    command = shlex.join(
        [sys.executable, "-m", "softclass", "train", str(PENGUINS), "-t", "species", *QUICK, "-o", "run"]
    )

    shell = f"({command} 2>&1; echo $? >status) | head -1"
    done = subprocess.run(shell, shell=True, cwd=tmp_path, capture_output=True, text=True)

    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
    assert (tmp_path / "status").read_text() == "0\n"
    assert (tmp_path / "run" / "model.onnx").is_file()


def limited(size: int):
    """A disk that is full after so many bytes of one file."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_keeps_what_stood_there(name, trained, tmp_path):
    command = COMMANDS[name]
    folder = place(tmp_path / "full", trained, command)
    before = content(folder / command.output)

    done = subprocess.run(
        [sys.executable, "-m", "softclass", *command.arguments],
        cwd=folder, capture_output=True, text=True, preexec_fn=limited(1500),
    )  # fmt: skip

    assert done.returncode == 6
    assert "error[SC604] " in done.stderr
    assert "File too large" in done.stderr
    assert (content(folder / command.output), leftovers(folder)) == (before, [])


def test_a_full_device_behind_standard_output(trained):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "softclass", "predict", trained, PENGUINS],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    assert done.returncode == 6
    assert done.stderr.startswith("error[SC604] output: No space left on device\n")


def _mounts_work() -> bool:
    unshare = shutil.which("unshare")
    return unshare is not None and subprocess.run([unshare, "-rm", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not _mounts_work(), reason="no mount namespaces on this machine")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_read_only_folder_is_named(name, trained, tmp_path):
    command = COMMANDS[name]
    folder = place(tmp_path / "sealed", trained, command)
    before = content(folder)
    script = 'mount --bind "$PWD" "$PWD" && mount -o remount,ro,bind "$PWD" "$PWD" && cd "$PWD" && exec "$@"'

    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", sys.executable, "-m", "softclass", *command.arguments],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 6, done.stderr
    assert done.stderr.count("error[SC604] ") == 1
    assert "Read-only file system" in done.stderr
    assert content(folder) == before


def test_a_folder_that_is_not_there_is_named(trained, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)

    assert main(["predict", str(trained), PENGUINS, "-o", "gone/out.csv"]) == 6
    assert 'error[SC604] gone/out.csv: cannot be written: there is no folder "gone"' in capfd.readouterr().err
    assert os.listdir() == []
