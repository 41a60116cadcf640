"""Images in ZIP archives: the same layout as folders, nothing unpacked, bombs refused."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path

import pytest

from asserts import assert_bit_equal
from made_images import png_bytes, write_tree
from softclass.data.images import read_images
from softclass.errors import ImageError, Notes

PNG = png_bytes(7)


def write_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_archive_is_read_like_the_folder_it_holds(tmp_path):
    files = {
        "photos/train/cat/1.png": png_bytes(1),
        "photos/train/dog/a/2.png": png_bytes(2),
        "photos/test/cat/3.png": png_bytes(3),
        "photos/.DS_Store": b"x",
        "__MACOSX/photos/._1.png": b"x",
    }
    folder = read_images(write_tree(tmp_path / "folder", files))
    archive = read_images(write_zip(tmp_path / "a.zip", files))

    assert_bit_equal(folder.pixels, archive.pixels)
    assert (archive.labels, archive.files) == (folder.labels, folder.files)
    assert folder.parts is not None
    assert_bit_equal(folder.parts, archive.parts)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_of_packing_are_read(tmp_path, method):
    assert len(read_images(write_zip(tmp_path / "a.zip", {"a/1.png": PNG, "b/1.png": PNG}, method))) == 2


def test_nothing_is_written(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a/1.png": PNG, "b/1.png": PNG})
    read_images(path)

    assert os.listdir(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("name", ["../b/1.png", "/etc/b/1.png", "b/../../1.png", "C:/b/1.png", "b//1.png"])
def test_names_that_leave_the_archive_are_skipped(tmp_path, name):
    notes = Notes()
    read_images(write_zip(tmp_path / "a.zip", {"a/1.png": PNG, "b/1.png": PNG, name: PNG}), notes=notes)

    assert [note.message for note in notes] == [f'1 file skipped: "{name}" (a path that leaves the archive)']


def test_names_of_windows_are_split_at_backslashes(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a\\1.png", "b\\1.png"):
            member = zipfile.ZipInfo(name)
            member.create_system = 0
            archive.writestr(member, PNG)

    assert read_images(path).labels == ("a", "b")


def test_names_in_utf_8_without_the_flag_are_read(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"猫/1.png": PNG, "狗/1.png": PNG})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = 0
        for _ in range(2):
            start = content.index(signature, start) + 4
            content[start - 4 + offset + 1] &= 0xF7
    path.write_bytes(content)

    assert read_images(path).labels == ("狗", "猫")


def test_encrypted_members_are_skipped(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a/1.png": PNG, "b/1.png": PNG, "b/2.png": PNG})
    content = bytearray(path.read_bytes())
    last = content.rindex(b"PK\1\2")
    content[last + 8] |= 1
    path.write_bytes(content)
    notes = Notes()
    read_images(path, notes=notes)

    assert [note.message for note in notes] == ['1 file skipped: "b/2.png" (encrypted)']


def test_damaged_members_are_skipped(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a/1.png": PNG, "b/1.png": PNG, "b/2.png": PNG}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.rindex(PNG) + 40] ^= 1
    path.write_bytes(content)
    notes = Notes()
    read_images(path, notes=notes)

    assert [note.message for note in notes] == ['1 file skipped: "b/2.png" (damaged in the archive)']


@pytest.mark.parametrize("damage", [lambda content: content[:-30], lambda content: content[:50] + content[-10:]])
def test_damaged_archive_is_refused(tmp_path, damage):
    path = write_zip(tmp_path / "a.zip", {"a/1.png": PNG, "b/1.png": PNG})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ImageError) as caught:
        read_images(path)

    assert str(caught.value) == "[SC361] a.zip: must be a whole ZIP archive; it is damaged"


def test_bomb_is_refused_by_what_it_claims(tmp_path):
    path = write_zip(tmp_path / "a.zip", {f"a/{at}.png": PNG for at in range(9)})
    content = bytearray(path.read_bytes())
    start = 0
    while (start := content.find(b"PK\1\2", start)) >= 0:
        content[start + 24 : start + 28] = struct.pack("<I", 200 * 2**20)  # the size that the directory states
        start += 4
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        read_images(path)

    assert str(caught.value) == (
        f"[SC361] a.zip: must not unpack to more than 200 times its size; {len(content):,} bytes "
        "claim to hold 1,887,436,800"
    )


def test_member_that_unpacks_to_more_than_it_claims_is_cut(tmp_path):
    zeros = png_bytes(0)[:40] + bytes(10**6)
    path = write_zip(tmp_path / "a.zip", {"a/1.png": PNG, "b/1.png": PNG, "b/2.png": zeros})
    content = bytearray(path.read_bytes())
    last = content.rindex(b"PK\1\2")
    content[last + 24 : last + 28] = struct.pack("<I", 100)
    path.write_bytes(content)
    notes = Notes()
    read_images(path, notes=notes)

    assert [note.message for note in notes] == ['1 file skipped: "b/2.png" (damaged in the archive)']


def test_large_member_is_skipped(tmp_path):
    path = tmp_path / "a.zip"
    write_zip(path, {"a/1.png": PNG, "b/1.png": PNG, "b/2.png": bytes(2**20)})
    content = bytearray(path.read_bytes())
    last = content.rindex(b"PK\1\2")
    content[last + 24 : last + 28] = struct.pack("<I", 257 * 2**20)
    path.write_bytes(content)
    notes = Notes()
    read_images(path, notes=notes)

    assert [note.message for note in notes] == ['1 file skipped: "b/2.png" (larger than 256 MiB)']


def test_archive_inside_an_archive_is_not_opened(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("c/1.png", PNG)
    notes = Notes()
    found = read_images(
        write_zip(tmp_path / "a.zip", {"a/1.png": PNG, "b/1.png": PNG, "b/i.zip": inner.getvalue()}), notes=notes
    )

    assert found.labels == ("a", "b")
    assert [note.message for note in notes] == ['1 file skipped: "b/i.zip" (not an image)']


def test_empty_folders_of_an_archive_are_told(tmp_path):
    notes = Notes()
    read_images(write_zip(tmp_path / "a.zip", {"a/1.png": PNG, "b/1.png": PNG, "c/": b""}), notes=notes)

    assert [note.message for note in notes] == ['1 folder without images is no class: "c"']
