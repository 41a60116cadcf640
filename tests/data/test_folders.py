"""Folders of images: layout, classes, parts, links, odd names (catalogue I10, I11, I16)."""

from __future__ import annotations

import os
import socket
import unicodedata
from pathlib import Path

import pytest

from made_images import png_bytes, write_tree
from softclass.data.folders import Folder, as_text, labelled_files
from softclass.data.images import ImageOptions, read_images
from softclass.errors import ImageError, Notes, PathError

PNG = png_bytes(7)


def listed(root: Path) -> dict[str, tuple[str | None, str]]:
    """What the layout says of each file: (label, part)."""
    folder = Folder(root)
    return {file.name: (file.label, file.part) for file in labelled_files(folder, folder.list(), [])}


def notes_of(root: Path, **options: object) -> list[tuple[str, str]]:
    notes = Notes()
    read_images(root, ImageOptions(**options), notes)
    return [(note.code, note.message) for note in notes]


def test_folders_are_classes_and_nested_folders_belong_to_them(tmp_path):
    write_tree(tmp_path, {"cat/1.png": PNG, "cat/young/deep/2.png": PNG, "dog/1.png": PNG})

    assert listed(tmp_path) == {
        "cat/1.png": ("cat", ""),
        "cat/young/deep/2.png": ("cat", ""),
        "dog/1.png": ("dog", ""),
    }


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", "fit"),
        ("Training", "fit"),
        ("val", "calibration"),
        ("valid", "calibration"),
        ("VALIDATION", "calibration"),
        ("test", "test"),
        ("testing", "test"),
    ],
)
def test_folders_above_the_classes_are_parts(tmp_path, name, part):
    other = "test" if part == "fit" else "train"
    write_tree(tmp_path, {f"{name}/cat/1.png": PNG, f"{other}/dog/1.png": PNG})

    assert listed(tmp_path)[f"{name}/cat/1.png"] == ("cat", part)


def test_chain_of_single_folders_is_passed_through(tmp_path):
    write_tree(tmp_path, {"photos/all/cat/1.png": PNG, "photos/all/dog/1.png": PNG, "README": b"text"})

    assert listed(tmp_path)["photos/all/cat/1.png"] == ("cat", "")


def test_single_class_folder_is_a_class(tmp_path):
    assert listed(write_tree(tmp_path, {"cat/1.png": PNG})) == {"cat/1.png": ("cat", "")}


def test_classes_may_be_called_train_and_test(tmp_path):
    write_tree(tmp_path, {"train/1.png": PNG, "test/1.png": PNG, "bus/1.png": PNG})

    assert listed(tmp_path)["train/1.png"] == ("train", "")


def test_hidden_and_system_files_are_passed_over_silently(tmp_path):
    junk = (".DS_Store", "cat/Thumbs.db", "dog/desktop.ini", "__MACOSX/cat/._1.png", ".git/a")
    write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG, **dict.fromkeys(junk, b"x")})

    assert notes_of(tmp_path) == []


def test_labels_are_trimmed_and_composed(tmp_path):
    decomposed = unicodedata.normalize("NFD", "café")
    write_tree(tmp_path, {f"{decomposed}/1.png": PNG, "café/2.png": PNG, " tea /1.png": PNG})

    assert read_images(tmp_path).labels == (" tea ".strip(), "café", "café")


def test_files_are_sorted_by_the_bytes_of_their_names(tmp_path):
    names = ("b/10.png", "b/9.png", "b/é.png", "b/z/1.png", "B/1.png", "a-/1.png", "a/1.png")
    write_tree(tmp_path, dict.fromkeys(names, PNG))

    assert read_images(tmp_path).files == (
        "B/1.png", "a/1.png", "a-/1.png", "b/10.png", "b/9.png", "b/z/1.png", "b/é.png",
    )  # fmt: skip


# ---- I10: layout errors, each with a drawing of what is expected

DRAWING = """expected
  photos/
    cat/    1.jpg 2.jpg ...
    dog/    1.jpg 2.jpg ...
or the same below photos/train, photos/validation and photos/test"""


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"1.png": PNG}, "[SC343] photos: images must lie in one folder per class; "
         'got 1 such as "1.png" and no folders of images. ' + DRAWING),
        ({"1.png": PNG, "2.png": PNG, "cat/1.png": PNG, "dog/1.png": PNG},
         "[SC343] photos: images must lie in one folder per class; "
         'got 2 such as "1.png" beside its 2 folders. ' + DRAWING),
        ({"train/1.png": PNG, "train/cat/1.png": PNG, "test/cat/1.png": PNG},
         "[SC343] photos/train: images must lie in one folder per class; "
         'got 1 such as "1.png" beside its 1 folder. ' + DRAWING),
        ({"train/cat/1.png": PNG, "test/1.png": PNG},
         '[SC343] photos: folders must be either all parts or all classes; got "train" beside "test". '
         "Give the folder of one part, or move the others away; " + DRAWING),
        ({"cat/": b"", "dog/readme.txt": b"text"}, "[SC345] photos: must hold images; found none. " + DRAWING),
        ({"a.zip": b"PK\3\4"}, "[SC345] photos: must hold images; found none. "
         'Give "a.zip" itself if the images are in it'),
    ],
)  # fmt: skip
def test_layout_errors_draw_what_is_expected(tmp_path, files, message):
    root = write_tree(tmp_path / "photos", {"./": b"", **files})
    with pytest.raises(ImageError) as caught:
        read_images(root)

    assert str(caught.value) == message


def test_folders_without_images_are_no_classes(tmp_path):
    write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG, "empty/": b"", "docs/a.txt": b"text"})

    assert notes_of(tmp_path) == [
        ("SC836", '2 folders without images are no classes: "docs", "empty"'),
        ("SC809", '1 file skipped: "docs/a.txt" (not an image)'),
    ]


def test_parts_become_fit_calibration_and_test(tmp_path):
    write_tree(tmp_path, {"train/a/1.png": PNG, "val/b/1.png": PNG, "test/a/1.png": PNG})

    found = read_images(tmp_path)

    assert found.parts is not None
    assert found.parts.tolist() == ["test", "fit", "calibration"]
    assert found.labels == ("a", "a", "b")


# ---- I11: links, devices, odd names


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    outside = write_tree(tmp_path / "outside", {"secret.png": PNG})
    root = write_tree(tmp_path / "root", {"cat/1.png": PNG, "dog/1.png": PNG})
    (root / "cat" / "2.png").symlink_to(outside / "secret.png")
    (root / "bird").symlink_to(outside)
    (root / "dog" / "gone.png").symlink_to(root / "nowhere")

    assert notes_of(root) == [
        (
            "SC809",
            '3 files skipped: "bird" (a link to a folder), "cat/2.png" (a link out of the folder), '
            '"dog/gone.png" (a broken link)',
        )
    ]


def test_link_out_of_the_folder_is_an_error_when_strict(tmp_path):
    outside = write_tree(tmp_path / "outside", {"secret.png": PNG})
    root = write_tree(tmp_path / "root", {"cat/1.png": PNG, "dog/1.png": PNG})
    (root / "cat" / "2.png").symlink_to(outside / "secret.png")
    with pytest.raises(ImageError) as caught:
        read_images(root, ImageOptions(strict=True))

    assert str(caught.value) == "[SC341] cat/2.png: must be a readable image; it is a link out of the folder"


def test_link_that_stays_inside_is_followed(tmp_path):
    write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG})
    (tmp_path / "dog" / "2.png").symlink_to("../cat/1.png")

    assert read_images(tmp_path).files == ("cat/1.png", "dog/1.png", "dog/2.png")


def test_link_that_changed_after_the_listing_is_not_followed(tmp_path):
    outside = write_tree(tmp_path / "outside", {"secret.png": PNG})
    root = write_tree(tmp_path / "root", {"cat/1.png": PNG})
    folder = Folder(root)
    listing = folder.list()
    (root / "cat" / "1.png").unlink()
    (root / "cat" / "1.png").symlink_to(outside / "secret.png")
    with pytest.raises(OSError, match="a link out of the folder"):
        folder.open(listing.keys[0])


def test_links_are_followed_when_asked(tmp_path):
    outside = write_tree(tmp_path / "outside", {"1.png": PNG})
    root = write_tree(tmp_path / "root", {"cat/1.png": PNG})
    (root / "dog").symlink_to(outside)

    assert read_images(root, ImageOptions(follow_links=True)).files == ("cat/1.png", "dog/1.png")


def test_loops_of_links_end(tmp_path):
    root = write_tree(tmp_path / "root", {"cat/1.png": PNG, "dog/1.png": PNG})
    (root / "cat" / "up").symlink_to(root)
    (root / "dog" / "self.png").symlink_to("self.png")

    notes = Notes()
    found = read_images(root, ImageOptions(follow_links=True), notes)

    assert found.files == ("cat/1.png", "dog/1.png")
    assert [note.message for note in notes] == [
        '2 files skipped: "cat/up" (a folder that was read already), "dog/self.png" (a broken link)'
    ]


def test_pipes_and_sockets_are_never_opened(tmp_path):
    root = write_tree(tmp_path / "root", {"cat/1.png": PNG, "dog/1.png": PNG})
    os.mkfifo(root / "cat" / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(root / "dog" / "socket.png"))
        found = notes_of(root)

    assert found == [
        ("SC809", '2 files skipped: "cat/pipe.png" (not a regular file), "dog/socket.png" (not a regular file)')
    ]


def test_pipe_that_takes_the_place_of_a_file_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "1.png")
    with pytest.raises(OSError, match="not a regular file"):
        Folder(tmp_path).open("1.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_unreadable_files_are_skipped(tmp_path):
    write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG, "dog/2.png": PNG})
    (tmp_path / "dog" / "2.png").chmod(0)

    assert notes_of(tmp_path) == [("SC809", '1 file skipped: "dog/2.png" (may not be read)')]


def test_file_that_vanishes_is_skipped(tmp_path, monkeypatch):
    write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG})
    listing = Folder.list

    def list_then_remove(folder):
        found = listing(folder)
        found.keys.append("dog/gone.png")
        return found

    monkeypatch.setattr(Folder, "list", list_then_remove)

    assert notes_of(tmp_path) == [("SC809", '1 file skipped: "dog/gone.png" (may not be read)')]


def test_file_larger_than_the_limit_is_skipped(tmp_path):
    write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG})
    with (tmp_path / "dog" / "2.png").open("wb") as file:
        file.truncate(256 * 2**20 + 1)

    assert notes_of(tmp_path) == [("SC809", '1 file skipped: "dog/2.png" (larger than 256 MiB)')]


def test_odd_names_become_text(tmp_path):
    odd = os.fsdecode(b"caf\xe9.png")
    write_tree(tmp_path, {"cat/1.png": PNG, f"dog/{odd}": PNG, "dog/a\nb.png": PNG, "dog/\u202ex.txt": b"no"})

    found = read_images(tmp_path, notes=(notes := Notes()))

    assert found.files == ("cat/1.png", "dog/a\nb.png", "dog/caf\\xe9.png")
    assert [note.message for note in notes] == ['1 file skipped: "dog/\\u202ex.txt" (not an image)']


@pytest.mark.parametrize("name", ["cat.png", "特征", "naïve"])
def test_ordinary_names_stay_what_they_are(name):
    assert as_text(name) == name


def test_very_deep_folders_are_read(tmp_path):
    deep = "/".join(["d"] * 300)
    write_tree(tmp_path, {f"cat/{deep}/1.png": PNG, "dog/1.png": PNG})

    assert read_images(tmp_path).labels == ("cat", "dog")


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(PathError) as caught:
        read_images(tmp_path / "photos")

    assert caught.value.code == "SC603"
