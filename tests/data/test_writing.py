"""Old or new, never half; and nothing left beside it."""

from __future__ import annotations

import errno
import os
import random
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from softclass.data import writing
from softclass.data.writing import atomic_directory, atomic_write, check_folder_takes_more, what_to_do
from softclass.errors import PathError, UsageError


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def put(content: bytes) -> Any:
    return lambda file: file.write(content)


class FailingOs:
    """The os module, of which the k-th call of one function fails."""

    def __init__(self, function: str, k: int, number: int) -> None:
        self.function, self.left, self.number = function, k, number
        self.failed = False

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name != self.function:
            return real

        def call(*args: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                self.failed = True
                raise OSError(self.number, os.strerror(self.number))
            return real(*args, **options)

        return call


# ------------------------------------------------------------------------------------------------------------- files
def test_a_new_file_gets_the_mode_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = atomic_write(tmp_path / "a", put(b"new"))
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o604)

    atomic_write(path, put(b"new"))

    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o604)


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "there" / "a")

    atomic_write(tmp_path / "link", put(b"new"))

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "a").read_bytes() == b"new"


def test_a_long_name_is_written(tmp_path: Path) -> None:
    path = atomic_write(tmp_path / ("类" * 80), put(b"new"))

    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("function", ["open", "fdopen", "fchmod", "fsync", "replace"])
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("old", [b"old", None])
def test_a_failing_call_leaves_old_or_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, k: int, number: int, old: bytes | None
) -> None:
    path = tmp_path / "a"
    if old is not None:
        path.write_bytes(old)
    monkeypatch.setattr(writing, "os", FailingOs(function, k, number))

    try:
        atomic_write(path, put(b"new"))
        outcome = "done"
    except PathError as error:
        outcome = str(error)

    content = path.read_bytes() if path.exists() else None
    assert outcome in ("done", f"[SC604] {path}: cannot be written: {os.strerror(number)}" + _hint(number))
    assert content == b"new" if outcome == "done" else content in (old, b"new")
    assert [name for name in names(tmp_path) if name != "a"] == []


def _hint(number: int) -> str:
    return f". {what_to_do(number)}" if what_to_do(number) else ""


@pytest.mark.parametrize("function", ["open", "fdopen", "fsync", "replace"])
def test_the_first_call_of_each_kind_does_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    failing = FailingOs(function, 1, errno.EIO)
    monkeypatch.setattr(writing, "os", failing)

    with pytest.raises(PathError):
        atomic_write(tmp_path / "a", put(b"new"))

    assert failing.failed


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), ValueError("no"), SystemExit(3), MemoryError()])
def test_an_exception_while_writing_leaves_the_old_file(tmp_path: Path, fault: BaseException) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def write(file: Any) -> None:
        file.write(b"half")
        raise fault

    with pytest.raises(type(fault)):
        atomic_write(path, write)

    assert (names(tmp_path), path.read_bytes()) == (["a"], b"old")


def test_the_error_keeps_the_number_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(PathError) as caught:
        atomic_write(tmp_path / "no" / "a", put(b"new"))

    assert caught.value.errno == errno.ENOENT


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes write itself fail, in C, as a full disk does."""
    script = """
import resource, signal, sys
from softclass.data.writing import atomic_write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    atomic_write(sys.argv[1], lambda file: file.write(b"n" * 1_000_000))
except Exception as error:
    print(error)
"""
    path = tmp_path / "a"
    path.write_bytes(b"old")

    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)

    assert done.stdout == f"[SC604] {path}: cannot be written: File too large. " + (
        "The size of files is limited here (ulimit -f): raise the limit, or write elsewhere\n"
    )
    assert (names(tmp_path), path.read_bytes()) == (["a"], b"old")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_sc604(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PathError, match=re.escape("cannot be written: Permission denied")):
            atomic_write(tmp_path / "a", put(b"new"))
    finally:
        tmp_path.chmod(0o700)


@pytest.fixture
def odd_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("old").write_bytes(b"old")
    Path("hard").hardlink_to("old")
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        (
            "s3://bucket/a",
            {},
            "[SC208] s3://bucket/a: must be a path on this machine; got an address. Download the file first",
        ),
        ("folder", {}, "[SC605] folder: must be a regular file; it is a folder"),
        ("/dev/null", {}, "[SC605] /dev/null: must be a regular file; it is a device"),
        ("pipe", {}, "[SC605] pipe: must be a regular file; it is a pipe"),
        ("old", {"overwrite": False}, "[SC204] old: the file exists. Pass --overwrite, or another name"),
        (
            "old",
            {"inputs": ["absent", "hard"]},
            '[SC205] old: the output must not be the input "hard". Write to another file',
        ),
        ("no/a", {}, '[SC604] no/a: cannot be written: there is no folder "no". Make the folder first'),
        ("loop", {}, "[SC604] loop: cannot be written: Too many levels of symbolic links"),
    ],
)
def test_what_is_refused(odd_places: Path, path: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises((UsageError, PathError), match="^" + re.escape(message) + "$"):
        atomic_write(path, put(b"new"), **options)

    assert names(odd_places) == ["folder", "hard", "loop", "old", "pipe"]
    assert Path("old").read_bytes() == b"old"


def test_own_leftovers_are_removed_after_a_day(tmp_path: Path) -> None:
    old, young, other = (
        tmp_path / f".{name}.{digit * 16}.part" for name, digit in [("a", "0"), ("a", "1"), ("b", "2")]
    )
    for path in (old, young, other):
        path.write_bytes(b"left")
    for path in (old, other):
        os.utime(path, (time.time() - 90_000,) * 2)

    atomic_write(tmp_path / "a", put(b"new"))

    assert names(tmp_path) == sorted([young.name, other.name, "a"])


_WRITER = """
import sys
from softclass.data.writing import atomic_write
print("ready", flush=True)
while True:
    for letter in (b"A", b"B"):
        atomic_write(sys.argv[1], lambda file: file.write(letter * 3_000_000))
"""


def _kill_at_random(path: Path, times: int) -> list[bytes]:
    """Kill a process that writes without end; return what stood there each time, as the set of its bytes."""
    moments = random.Random(0)
    found = []
    for _ in range(times):
        with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(moments.uniform(0.02, 0.2))
            process.send_signal(signal.SIGKILL)
            process.wait()
        content = path.read_bytes()
        found.append(bytes(sorted(set(content))) + b" %d" % len(content))
    return found


@pytest.mark.parametrize("times", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_kill_leaves_a_whole_file(tmp_path: Path, times: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"A" * 3_000_000)

    found = _kill_at_random(path, times)

    assert set(found) <= {b"A 3000000", b"B 3000000"}


# ----------------------------------------------------------------------------------------------------------- folders
def is_run(folder: Path) -> bool:
    return (folder / "model.onnx").exists()


def make_run(path: Path, content: str = "old") -> None:
    path.mkdir()
    (path / "model.onnx").write_text(content)


@pytest.fixture(params=[True, False], ids=["exchange", "two renames"])
def exchange(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(writing, "_exchange", lambda left, right: False)


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("before", ["nothing", "empty", "ours"])
def test_a_folder_is_put_in_place_whole(tmp_path: Path, before: str) -> None:
    path = tmp_path / "run"
    {"nothing": lambda: None, "empty": path.mkdir, "ours": lambda: make_run(path)}[before]()

    with atomic_directory(path, overwrite=True, is_ours=is_run) as folder:
        (folder / "model.onnx").write_text("new")
        (folder / "sub").mkdir()
        (folder / "sub" / "b").write_text("b")

    assert (names(tmp_path), names(path)) == (["run"], ["model.onnx", "sub"])
    assert (path / "model.onnx").read_text() == "new"


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), ValueError("no"), OSError(errno.ENOSPC, "full")])
def test_an_exception_while_building_leaves_the_old_folder(tmp_path: Path, fault: BaseException) -> None:
    make_run(tmp_path / "run")

    def build() -> None:
        with atomic_directory(tmp_path / "run", overwrite=True, is_ours=is_run) as folder:
            (folder / "model.onnx").write_text("half")
            raise fault

    with pytest.raises(type(fault)):
        build()

    assert (names(tmp_path), (tmp_path / "run" / "model.onnx").read_text()) == (["run"], "old")


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("function", ["rename", "fsync", "open"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_failing_call_leaves_the_old_or_the_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, k: int
) -> None:
    make_run(tmp_path / "run")
    failing = FailingOs(function, k, errno.EIO)

    def build() -> None:
        with atomic_directory(tmp_path / "run", overwrite=True, is_ours=is_run) as folder:
            (folder / "model.onnx").write_text("new")
            monkeypatch.setattr(writing, "os", failing)

    try:
        build()
        outcome = "done"
    except PathError as error:
        outcome = str(error)

    assert outcome in ("done", f"[SC604] {tmp_path / 'run'}: cannot be written: Input/output error")
    assert (tmp_path / "run" / "model.onnx").read_text() in (("new",) if outcome == "done" else ("old", "new"))
    assert names(tmp_path) == ["run"]


@pytest.mark.parametrize(
    ("before", "overwrite", "message"),
    [
        ("ours", False, "the folder exists. Pass --overwrite, or another name"),
        (
            "foreign",
            True,
            "the folder exists and is not one that softclass wrote, so it is never replaced. Choose another name",
        ),
        ("file", True, "a file stands where a folder is to be written. Choose another name"),
    ],
)
def test_which_folders_are_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, overwrite: bool, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("run")
    if before == "file":
        path.write_text("mine")
    else:
        path.mkdir()
        (path / ("model.onnx" if before == "ours" else "diary.txt")).write_text("mine")

    with (
        pytest.raises(UsageError, match="^" + re.escape(f"[SC204] run: {message}") + "$"),
        atomic_directory(path, overwrite=overwrite, is_ours=is_run),
    ):
        pass

    assert names(tmp_path) == ["run"]


@pytest.mark.parametrize("name", ["gone/run", "file/run"])
def test_a_folder_that_takes_nothing_is_told_before_the_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(PathError, match="SC604"):
        check_folder_takes_more(tmp_path / name)


def test_asking_whether_a_folder_takes_more_leaves_nothing(tmp_path: Path) -> None:
    check_folder_takes_more(tmp_path / "run")

    assert list(tmp_path.iterdir()) == []


def test_a_file_of_a_folder_is_named_as_it_would_have_been_called(tmp_path: Path) -> None:
    with (
        pytest.raises(PathError, match="cannot be written") as caught,
        atomic_directory(tmp_path / "run", overwrite=False, is_ours=lambda _: False) as folder,
    ):
        atomic_write(folder / "none" / "a", lambda file: file.write(b""))

    assert caught.value.where.endswith("/run/none/a")
