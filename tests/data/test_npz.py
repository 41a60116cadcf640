"""NPZ and NPY files: plain arrays only, sizes compared first, no pickle ever (catalogue I15)."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asserts import assert_bit_equal
from softclass.data.npz import read_npz
from softclass.errors import ImageError, PathError

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


class Bomb:
    """Would write a file, were it ever unpickled."""

    def __reduce__(self):
        return open, ("/tmp/softclass-must-not-exist", "w")


def npy(header: bytes, content: bytes = b"", version: int = 1) -> bytes:
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + content


def header(descr: str = "'|u1'", shape: str = "(2,)", order: str = "False") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()


def write_npz(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "array",
    [
        IMAGES,
        np.asfortranarray(IMAGES),
        IMAGES.astype(">i4"),
        IMAGES.astype(">f8"),
        IMAGES > 3,
        np.array(["猫", "dog"]),
        np.array([b"cat", b"dog"]),
        np.zeros((0, 28, 28), dtype=np.uint8),
        np.array(5),
    ],
    ids=["plain", "Fortran", "big endian", "big-endian float", "bool", "text", "bytes", "empty", "scalar"],
)
def test_arrays_come_back(tmp_path, save, array):
    save(tmp_path / "a.npz", x=array)

    found = read_npz(tmp_path / "a.npz")["x"]

    assert found.dtype == array.dtype
    assert found.tolist() == array.tolist()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_all_versions_of_the_format_are_read(tmp_path, version):
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, IMAGES, version=version)

    assert_bit_equal(IMAGES, read_npz(tmp_path / "a.npy")["arr_0"])


@pytest.mark.parametrize("save", [np.save, np.savez])
def test_objects_are_never_loaded(tmp_path, save):
    with (tmp_path / "a.npz").open("wb") as file:
        save(file, np.array([Bomb(), Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(ImageError) as caught:
        read_npz(tmp_path / "a.npz")

    assert str(caught.value).endswith(
        "arrays must hold numbers or text; this one holds Python objects, which are never loaded. "
        "Save it again with a plain type, such as array.astype(numpy.uint8)"
    )
    assert caught.value.code == "SC362"
    assert not Path("/tmp/softclass-must-not-exist").exists()


HUGE = "281474976710655"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"not an array", "it does not begin like an array of NumPy"),
        (npy(header(), b"12", version=4), "it does not begin like an array of NumPy"),
        (npy(b" " * 65536 + header(), b"12", version=2), "its header states a length of 65,594 bytes"),
        (npy(header(), b"1"), "its header states 2 values, 2 bytes, and 1 follow it"),
        (npy(header(), b"123"), "its header states 2 values, 2 bytes, and 3 follow it"),
        (
            npy(header(shape=f"({HUGE}, {HUGE})")),
            f"its header states {HUGE} x {HUGE} values, 79,228,162,514,263,774,643,590,529,025 bytes, and 0 follow it",
        ),
        (npy(header(shape="(-1,)")), "its header states an impossible shape"),
        (npy(header(shape="(True,)")), "its header states an impossible shape"),
        (npy(header(shape="2")), "its header states an impossible shape"),
        (npy(header("[('a', '|u1')]"), b"12"), "its values are of type [('a', '|u1')], not of a plain one"),
        (npy(header("'<M8[ns]'"), b"12"), "its values are of type <M8[ns], not of a plain one"),
        (npy(header("'<f3'"), b"12"), "its values are of type <f3, which does not exist"),
        (npy(b"__import__('os').getcwd()"), "its header cannot be read"),
        (npy(b"(" * 60000), "its header cannot be read"),
        (npy(b"{'descr': '|u1'}"), "its header cannot be read"),
        (npy(b"\xff\xfe"), "its header cannot be read"),
    ],
)
def test_malformed_arrays_are_refused(tmp_path, content, what):
    path = write_npz(tmp_path / "a.npz", {"x.npy": content})
    with pytest.raises(ImageError) as caught:
        read_npz(path)

    assert str(caught.value) == f"[SC361] a.npz, x: must be a whole NPZ file; {what}"


def test_members_that_are_no_arrays_are_refused(tmp_path):
    with pytest.raises(ImageError) as caught:
        read_npz(write_npz(tmp_path / "a.npz", {"../x.txt": b"text"}))

    assert str(caught.value) == '[SC361] a.npz: must be a whole NPZ file; it holds "../x.txt", which is no array'


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_name_that_stands_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", npy(header(), b"12"))
        archive.writestr("x.npy", npy(header(), b"34"))
    with pytest.raises(ImageError) as caught:
        read_npz(tmp_path / "a.npz")

    assert str(caught.value) == '[SC361] a.npz: must be a whole NPZ file; it holds "x" twice'


def test_flipped_bit_is_found_by_the_checksum(tmp_path):
    path = write_npz(tmp_path / "a.npz", {"x.npy": npy(header(shape="(200,)"), bytes(200))}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[150] ^= 1
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        read_npz(path)

    assert str(caught.value) == '[SC361] a.npz: must be a whole NPZ file; the array "x" is damaged'


def test_truncated_file_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=IMAGES)
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError) as caught:
        read_npz(tmp_path / "a.npz")

    assert str(caught.value) == "[SC361] a.npz: must be a whole ZIP archive; it is damaged"


@given(st.binary(max_size=200))
def test_any_header_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "a.npy"
    path.write_bytes(npy(content))
    try:
        read_npz(path)
    except ImageError as error:
        code = error.code
    else:
        code = "SC361"

    assert code in ("SC361", "SC362")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(PathError):
        read_npz(tmp_path / "gone.npz")


def test_numpy_reads_what_we_call_an_array():
    found = np.load(io.BytesIO(npy(header(), b"12")), allow_pickle=False)

    assert found.tolist() == [49, 50]
