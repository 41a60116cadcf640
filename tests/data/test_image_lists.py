"""Lists of images: what is one, what it may say, and what is wrong with it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from made_images import png_bytes, write_tree
from softclass.data.image_lists import is_image_list, read_image_list
from softclass.data.images import (
    ImageOptions,
    ImageSpec,
    is_image_source,
    names_images,
    read_image_batches,
    read_images,
)
from softclass.errors import ImageError, Notes, TableError, UsageError

TREE = {f"p/{at}.png": png_bytes(at) for at in range(4)}
ROWS = "p/0.png,cat\np/1.png,dog\np/2.png,cat\np/3.png,dog\n"


def write_list(folder: Path, text: str, name: str = "photos.csv") -> Path:
    write_tree(folder, TREE)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("file,kind\n" + ROWS, True),
        (ROWS, True),
        ("file\np/0.png\n", True),
        ("kind;file\ncat;a b/1.JPEG\n", True),
        ("file,kind,split\np/0.png,cat,train\np/1.png,dog,test\n", True),
        ("file,kind,split\np/0.png,cat,banana\np/1.png,dog,test\n", False),
        ("file,width,kind\np/0.png,3,cat\n", False),
        ("left,right\np/0.png,p/1.png\n", False),
        ("file,kind\np/0.png,cat\nunknown,dog\n", False),
        ("file,kind\n", False),
        ("file,kind\n,cat\n", False),
        ("note,kind\nsee 1.png for more,cat\n", False),
        ('file,kind\n"p/0.png,cat\n', False),
        ("", False),
    ],
)
def test_a_list_is_told_from_a_table(tmp_path, text, expected):
    path = write_list(tmp_path, text)

    assert is_image_list(path) == expected
    assert is_image_source(path) == is_image_source(str(path)) == names_images([path]) == expected


def test_images_folders_and_pipes_are_no_lists(tmp_path):
    write_tree(tmp_path, TREE)

    assert not is_image_list(tmp_path)
    assert not is_image_list(tmp_path / "p" / "0.png")
    assert not is_image_list(tmp_path / "nowhere.csv")
    assert not names_images([])
    assert not names_images("-")


def test_classes_come_from_the_list_in_its_order(tmp_path):
    path = write_list(tmp_path, "file,kind\np/3.png, dog \np/0.png,cat\np/1.png,dog\n")
    found = read_images(path)

    assert found.name == "photos.csv"
    assert found.files == ("p/3.png", "p/0.png", "p/1.png")
    assert found.labels == ("dog", "cat", "dog")
    assert found.parts is None
    assert found.pixels[:, 0, 0, 0].tolist() == [3, 0, 1]


def test_paths_count_from_the_list_not_from_where_the_command_runs(tmp_path, monkeypatch):
    path = write_list(tmp_path / "deep", ROWS)
    monkeypatch.chdir(tmp_path)

    assert len(read_images("deep/photos.csv")) == 4
    assert len(read_images(path)) == 4


def test_absolute_paths_links_and_backslashes_are_paths_too(tmp_path):
    write_tree(tmp_path, TREE)
    (tmp_path / "link.png").symlink_to(tmp_path / "p" / "2.png")
    path = write_list(tmp_path / "lists", f"file,kind\n{tmp_path}/p/1.png,a\n..\\p\\3.png,b\n../link.png,a\n")

    assert read_images(path).pixels[:, 0, 0, 0].tolist() == [1, 3, 2]


def test_a_compressed_list_and_one_with_a_mark_of_its_encoding(tmp_path):
    path = write_list(tmp_path, "\ufefffile\tkind\n" + ROWS.replace(",", "\t"))
    (tmp_path / "photos.csv.gz").write_bytes(gzip.compress(path.read_bytes()))

    assert read_images(path).labels == ("cat", "dog", "cat", "dog")
    assert read_images(tmp_path / "photos.csv.gz").labels == ("cat", "dog", "cat", "dog")


def test_parts_of_a_list(tmp_path):
    path = write_list(tmp_path, "Split,file,kind\ntrain,p/0.png,a\nVal,p/1.png,b\ntest,p/2.png,a\nfit,p/3.png,b\n")

    assert read_images(path).parts.tolist() == ["fit", "calibration", "test", "fit"]
    assert read_images(path, labelled=False).parts is None


def test_without_classes_images_are_read_for_prediction(tmp_path):
    path = write_list(tmp_path, "file\np/1.png\np/0.png\n")
    batches = list(read_image_batches(path, ImageSpec(3, 4, 1), Notes(), batch_rows=1))

    assert [batch.files for batch in batches] == [("p/1.png",), ("p/0.png",)]
    assert [batch.labels for batch in batches] == [None, None]
    assert read_images(path, labelled=None).labels is None


def test_classes_are_left_unread_where_nobody_asks(tmp_path):
    path = write_list(tmp_path, "file,kind\np/1.png,\np/0.png,cat\n")

    assert read_images(path, labelled=False).labels is None
    assert read_images(path, labelled=None).labels is None


def test_several_lists_and_a_folder_go_together(tmp_path):
    first = write_list(tmp_path, "file,kind\np/0.png,cat\n", "one.csv")
    second = write_list(tmp_path, "file,kind\np/1.png,dog\n", "two.csv")
    write_tree(tmp_path / "more", {"cat/7.png": png_bytes(7), "dog/8.png": png_bytes(8)})
    found = read_images([first, second, tmp_path / "more"])

    assert found.files == ("one.csv: p/0.png", "two.csv: p/1.png", "more/cat/7.png", "more/dog/8.png")
    assert found.labels == ("cat", "dog", "cat", "dog")


def test_one_missing_file_is_skipped_and_named(tmp_path):
    path, notes = write_list(tmp_path, "file,kind\n" + ROWS + "p/lost.png,cat\n"), Notes()
    found = read_images(path, notes=notes)

    assert found.skipped == (("p/lost.png", "not there"),)
    assert [(note.code, note.message) for note in notes] == [("SC809", '1 file skipped: "p/lost.png" (not there)')]
    with pytest.raises(ImageError, match="SC341"):
        read_images(path, ImageOptions(strict=True))


def test_damaged_files_are_skipped_as_in_folders(tmp_path):
    path = write_list(tmp_path, "file,kind\n" + ROWS + "p/cut.png,cat\n")
    (tmp_path / "p" / "cut.png").write_bytes(png_bytes((1, 2, 3), (64, 64))[:60])

    assert read_images(path).skipped == (("p/cut.png", "cut off before its end"),)


@pytest.mark.parametrize(
    ("text", "target", "error", "message"),
    [
        ("file,kind\np/0.png,cat\nq/1.png,dog\nq/2.png,dog\n", None, ImageError,
         '[SC346] photos.csv: the images that a list names must be there; 2 of 3 are not: "q/1.png" (line 3), '
         '"q/2.png" (line 4). Paths count from the folder of the list, "photos"'),
        ("file,kind\nhttps://a.org/0.png,cat\nhttps://a.org/1.png,dog\n", None, ImageError,
         "[SC346] photos.csv: the images that a list names must be there; 2 of 2 are not: "
         '"https://a.org/0.png" (line 2), "https://a.org/1.png" (line 3). softclass fetches nothing from a network: '
         "download the images, and name the files"),
        ("file\np/0.png\n", None, TableError,
         '[SC311] photos.csv: a list of images to learn from needs a column of classes; got only "file". '
         "Add a column with the class of each image"),
        ("file,kind\np/0.png,cat\np/1.png,\n", None, TableError,
         "[SC312] photos.csv: every image needs a class; got 1 empty of 2: line 3. "
         "Fill them in, or take these lines out of the list"),
        ("file,kind\np/0.png,cat\np/1.png,dog\n", "sort", TableError,
         '[SC311] photos.csv: column "sort" cannot hold the classes of a list of images; they stand in column '
         '"kind". Leave --target out'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path, text, target, error, message):
    path = write_list(tmp_path / "photos", text)
    with pytest.raises(error) as caught:
        read_images(path, targets=target)

    assert str(caught.value) == message


def test_a_part_that_is_none_is_named_with_its_line(tmp_path):
    # The first hundred rows make it a list.
    rows = "".join(f"p/{at % 4}.png,c{at % 2},train\n" for at in range(100))
    path = write_list(tmp_path, "file,kind,part\n" + rows + "p/1.png,c1,exam\n")
    with pytest.raises(TableError) as caught:
        read_images(path)

    assert str(caught.value) == (
        '[SC317] photos.csv, line 102, column "part": a part is one of fit, train, validation, calibration and test; '
        'got "exam"'
    )


def test_the_column_of_the_classes_may_be_named(tmp_path):
    path = write_list(tmp_path, "file,kind\n" + ROWS)

    assert read_images(path, targets="kind").labels == ("cat", "dog", "cat", "dog")
    with pytest.raises(UsageError, match="SC203"):
        read_images(tmp_path / "p", targets="kind")
    assert read_image_list(path, labelled=True, target="kind").labelled
