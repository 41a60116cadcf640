"""One pass over local files: whole, unchanged, decompressed."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from softclass.data import compression, files
from softclass.data.files import check_local_path, open_binary, open_standard_input, opened, read_bytes
from softclass.errors import PathError, SoftclassError, TableError, TooLargeError

PACKED = {"gzip": gzip.compress, "bzip2": bz2.compress, "zstd": lambda data: pa.compress(data, "zstd", asbytes=True)}
TEXT = os.urandom(5000).hex().encode()


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, in which the tests work, with one of each kind of thing."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("penguins.csv").write_bytes(b"abc")
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "HTTP://x.org/a.csv",
            "[SC208] HTTP://x.org/a.csv: must be a path on this machine; got an address. Download the file first",
        ),
        ("absent", "[SC603] absent: there is no such file or folder"),
        ("pengiuns.csv", '[SC603] pengiuns.csv: there is no such file or folder. Did you mean "penguins.csv"?'),
        ("loop", "[SC603] loop: cannot be read: Too many levels of symbolic links"),
        ("penguins.csv/a", "[SC603] penguins.csv/a: cannot be read: Not a directory"),
        ("a\0b", "[SC603] a\\u0000b: cannot be read: embedded null byte"),
        ("folder", "[SC605] folder: must be a regular file; it is a folder"),
        ("pipe", "[SC605] pipe: must be a regular file; it is a pipe"),
        ("/dev/zero", "[SC605] /dev/zero: must be a regular file; it is a device"),
    ],
)
@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("call", [lambda path: check_local_path(path, file=True), read_bytes])
def test_what_is_not_read(call: Any, path: str, message: str) -> None:
    with pytest.raises(SoftclassError, match="^" + re.escape(message) + "$"):
        call(path)


@pytest.mark.usefixtures("places")
def test_a_long_path_keeps_its_name() -> None:
    path = "folder/" * 20 + "absent.csv"

    with pytest.raises(PathError) as caught:
        read_bytes(path)

    assert caught.value.where == "…" + path[-79:]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_sc603(places: Path) -> None:
    Path("penguins.csv").chmod(0)

    with pytest.raises(PathError, match=re.escape("[SC603] penguins.csv: cannot be read: Permission denied")):
        read_bytes("penguins.csv")


@pytest.mark.usefixtures("places")
def test_the_limit_is_a_limit() -> None:
    message = "[SC606] penguins.csv: the file may hold at most 2 bytes; it holds 3"

    with pytest.raises(TooLargeError, match="^" + re.escape(message) + "$"):
        read_bytes("penguins.csv", limit=2)

    assert read_bytes("penguins.csv", limit=3) == b"abc"


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize(
    "function", [read_bytes, lambda path: all_of(opened(path)), lambda path: all_of(open_binary(path))]
)
def test_a_file_that_changes_meanwhile_is_sc333(monkeypatch: pytest.MonkeyPatch, function: Any) -> None:
    real, calls = os.fstat, []

    def fstat(descriptor: int) -> Any:
        facts = real(descriptor)
        calls.append(descriptor)
        if len(calls) > 1:
            os.utime("penguins.csv", ns=(0, 0))
        return real(descriptor) if len(calls) > 1 else facts

    monkeypatch.setattr(files.os, "fstat", fstat)
    message = "[SC333] penguins.csv: the file changed while it was read. Wait until it is complete, or read a copy"

    with pytest.raises(TableError, match="^" + re.escape(message) + "$"):
        function("penguins.csv")


def all_of(opening: Any) -> Any:
    with opening as file:
        return file.read()


@pytest.mark.usefixtures("places")
def test_a_file_that_grows_meanwhile_is_sc333() -> None:
    with open_binary("penguins.csv") as file:
        file.read(1)
        with Path("penguins.csv").open("ab") as other:
            other.write(b"d")
        with pytest.raises(TableError, match="SC333"):
            file.read()


@pytest.mark.parametrize("method", list(PACKED))
def test_compressed_files_are_undone(tmp_path: Path, method: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(PACKED[method](TEXT))

    with open_binary(path) as file:
        assert file.read() == TEXT


def test_two_gzip_members_are_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(gzip.compress(b"ab") + gzip.compress(b"c"))

    with open_binary(path) as file:
        assert file.read() == b"abc"


@pytest.mark.parametrize("method", list(PACKED))
@pytest.mark.parametrize("damage", ["cut", "flipped"])
@pytest.mark.usefixtures("places")
def test_damaged_compressed_files_are_sc331(method: str, damage: str) -> None:
    packed = bytearray(PACKED[method](TEXT))
    Path("a.csv").write_bytes(packed[:-50] if damage == "cut" else _flipped(packed))
    message = f"[SC331] a.csv: the {method} data are damaged or cut short"

    with open_binary("a.csv") as file, pytest.raises(TableError, match="^" + re.escape(message) + "$"):
        file.read()


def _flipped(packed: bytearray) -> bytearray:
    packed[10:14] = b"\xff\xff\xff\xff"
    return packed


@pytest.mark.usefixtures("places")
def test_a_bomb_is_sc331(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "BOMB_BYTES", 2**20)
    Path("a.csv").write_bytes(gzip.compress(bytes(2**23)))

    with open_binary("a.csv") as file, pytest.raises(TableError) as caught:
        file.read()

    assert re.fullmatch(
        r"\[SC331\] a\.csv: decompression bomb: [\d,]+ bytes hold more than [\d,]+\. "
        r"If the data are honest, decompress the file first",
        str(caught.value),
    )


@pytest.mark.usefixtures("places")
def test_well_packed_honest_data_are_no_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "BOMB_BYTES", 2**20)
    Path("a.csv").write_bytes(gzip.compress(TEXT * 500))  # 5 MB

    with open_binary("a.csv") as file:
        assert len(file.read()) == len(TEXT) * 500


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize(
    "pieces", [[b"a", b"b,c\n1,2,", b"3\n"], [gzip.compress(b"ab,c\n1,2,3\n")[k : k + 1] for k in range(31)]]
)
def test_a_pipe_with_a_name_is_read_once(pieces: list[bytes]) -> None:
    def write() -> None:
        with Path("pipe").open("wb", buffering=0) as pipe:
            for piece in pieces:
                pipe.write(piece)

    writer = threading.Thread(target=write)
    writer.start()
    with open_binary("pipe") as file:
        content = file.read()
    writer.join()

    assert content == b"ab,c\n1,2,3\n"


@pytest.mark.parametrize("content", [b"a\n1\n", gzip.compress(b"a\n1\n")])
def test_standard_input_is_undone_too(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    with open_standard_input() as file:
        assert file.read() == b"a\n1\n"


def test_closed_standard_input_is_sc603(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(PathError, match="^" + re.escape("[SC603] standard input: cannot be read: it is closed") + "$"):
        open_standard_input()
