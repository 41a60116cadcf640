"""The door to images: what is skipped and told, sizes, channels, batches (catalogue I01, I02, I09, I12, I13, I16)."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import threading
import zipfile
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from asserts import assert_bit_equal
from made_images import idx_bytes, png_bytes, write_tree
from softclass.data import image_files
from softclass.data.images import ImageOptions, ImageSet, ImageSpec, is_image_source, read_image_batches, read_images
from softclass.data.pixels import pixel_keys
from softclass.errors import DTypeError, ImageError, Notes, PathError, ShapeError, TableError, TooLargeError, UsageError

ENVIRONMENT = {"PYTHONPATH": f"{Path(image_files.__file__).parents[2]}{os.pathsep}{Path(__file__).parents[1]}"}
PNG = png_bytes(7)
GOOD = {f"{label}/{at}.png": png_bytes(at) for label in ("cat", "dog") for at in range(100)}
CUT = png_bytes((1, 2, 3), (64, 64))[:60]


def read_with_notes(source: object, *arguments: object, **options: object) -> tuple[ImageSet, list[tuple[str, str]]]:
    notes = Notes()
    found = read_images(source, *arguments, notes=notes, **options)
    return found, [(note.code, note.message) for note in notes]


def jpeg_bytes(size: tuple[int, int], seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(
        file, "JPEG"
    )
    return file.getvalue()


# ---- I01: what is no image


def test_files_that_are_no_images_are_skipped_counted_and_named(tmp_path):
    other = {
        "cat/a.jpg": b"<html>not found</html>",
        "cat/b.png": b"%PDF-1.7",
        "dog/c.jpg": pickle.dumps({"a": 1}),
        "dog/d.png": b"",
        "readme.txt": b"text",
        ".DS_Store": b"x",
    }
    found, notes = read_with_notes(write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG, **other}))

    reasons = {"cat/a.jpg": "not an image", "cat/b.png": "not an image", "dog/c.jpg": "not an image"}
    expected = {**reasons, "dog/d.png": "empty", "readme.txt": "not an image"}
    assert found.skipped == tuple(expected.items())
    assert notes == [("SC809", "5 files skipped: " + ", ".join(f'"{file}" ({why})' for file, why in expected.items()))]


def test_type_is_known_by_content_not_by_name(tmp_path):
    found = read_images(write_tree(tmp_path, {"cat/1.txt": PNG, "dog/photo": jpeg_bytes((4, 3))}))

    assert found.files == ("cat/1.txt", "dog/photo")


def test_skipped_file_is_an_error_when_strict(tmp_path):
    write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG, "dog/2.png": b"text"})
    with pytest.raises(ImageError) as caught:
        read_images(tmp_path, ImageOptions(strict=True))

    assert str(caught.value) == "[SC341] dog/2.png: must be a readable image; it is not an image"


def test_long_lists_of_skipped_files_end_with_a_count(tmp_path):
    write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG, **{f"dog/x{at:02}.txt": b"x" for at in range(25)}})
    found, notes = read_with_notes(tmp_path)

    assert len(found.skipped) == 25
    assert notes[0][1].startswith('25 files skipped: "dog/x00.txt" (not an image), "dog/x01.txt"')
    assert notes[0][1].endswith('"dog/x19.txt" (not an image) and 5 more')


# ---- I02: damage


def test_one_damaged_image_is_skipped_and_named(tmp_path):
    found, notes = read_with_notes(write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG, "dog/2.png": CUT}))

    assert found.files == ("cat/1.png", "dog/1.png")
    assert notes == [("SC809", '1 file skipped: "dog/2.png" (cut off before its end)')]


def test_up_to_one_percent_of_damaged_images_is_skipped(tmp_path):
    found, notes = read_with_notes(write_tree(tmp_path, {**GOOD, "cat/x.png": CUT, "dog/y.png": CUT}))

    assert len(found) == 200
    assert [code for code, _ in notes] == ["SC809"]


def test_more_damaged_images_are_an_error_that_names_them(tmp_path):
    write_tree(tmp_path / "photos", {**GOOD, "cat/x.png": CUT, "dog/y.png": CUT, "dog/z.png": CUT, "dog/a.txt": b"x"})
    with pytest.raises(ImageError) as caught:
        read_images(tmp_path / "photos")

    assert str(caught.value) == (
        '[SC341] photos: at most 1 % of the images may be damaged; got 3 of 203: "cat/x.png" (cut off before its end), '
        '"dog/y.png" (cut off before its end), "dog/z.png" (cut off before its end). Mend or remove them'
    )


def test_damaged_image_is_an_error_when_strict(tmp_path):
    write_tree(tmp_path, {**GOOD, "dog/y.png": CUT})
    with pytest.raises(ImageError) as caught:
        read_images(tmp_path, ImageOptions(strict=True))

    assert str(caught.value) == "[SC341] dog/y.png: must be a readable image; it is cut off before its end"


def test_source_without_a_readable_image_is_an_error(tmp_path):
    with pytest.raises(ImageError) as caught:
        read_images(write_tree(tmp_path / "photos", {"a.txt": b"x", "b.txt": b""}), labelled=False)

    assert str(caught.value) == (
        '[SC345] photos: must hold images; none of 2 files is one: "a.txt" (not an image), "b.txt" (empty)'
    )


def test_float_image_without_a_rule_is_an_error(tmp_path):
    file = io.BytesIO()
    Image.fromarray(np.full((2, 2), 300, dtype=np.float32)).save(file, "TIFF")
    with pytest.raises(ImageError) as caught:
        read_images(write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.tif": file.getvalue()}))

    assert str(caught.value) == (
        "[SC344] dog/1.tif: floating-point pixels must lie in [0, 1]; some do not. Save it with 8 bits a channel"
    )


def test_bomb_is_skipped_like_a_damaged_image(tmp_path):
    bomb = io.BytesIO()
    Image.new("1", (8192, 8193)).save(bomb, "PNG")
    _, notes = read_with_notes(write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG, "dog/2.png": bomb.getvalue()}))

    assert notes == [("SC809", '1 file skipped: "dog/2.png" (larger than 67,108,864 pixels)')]


def test_bomb_is_an_error_of_its_own_when_strict(tmp_path):
    bomb = io.BytesIO()
    Image.new("1", (8192, 8193)).save(bomb, "PNG")
    write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG, "dog/2.png": bomb.getvalue()})
    with pytest.raises(ImageError) as caught:
        read_images(tmp_path, ImageOptions(strict=True))

    assert str(caught.value) == "[SC342] dog/2.png: an image must have at most 67,108,864 pixels; it has more"


# ---- the notes about what was done to pixels


@pytest.mark.parametrize(
    ("image", "options", "expected"),
    [
        (Image.fromarray(np.zeros((3, 4), np.uint16)), {}, ("SC831", "1 image with 16-bit pixels scaled to 8 bits")),
        (Image.new("L", (4, 3)), {"save_all": True, "append_images": [Image.new("L", (4, 3), 9)]},
         ("SC832", "1 image with several frames, of which the first was used")),
        (Image.new("LA", (4, 3)), {}, ("SC833", "1 image with transparent pixels laid over white")),
        (Image.new("L", (4, 3)), {"icc_profile": b"x"}, ("SC835", "1 image with a colour profile, which was ignored")),
    ],
)  # fmt: skip
def test_each_change_of_pixels_is_counted(tmp_path, image, options, expected):
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    _, notes = read_with_notes(write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": file.getvalue()}))

    assert notes == [expected]


def test_different_sizes_are_told(tmp_path):
    files = {"cat/1.png": PNG, "dog/1.png": png_bytes(0, (8, 6)), "dog/2.png": PNG}
    found, notes = read_with_notes(write_tree(tmp_path, files))

    assert found.spec == ImageSpec(3, 4, 1)
    assert notes == [("SC834", "1 of 3 images of 2 different sizes resized to 3x4 (crop)")]


def test_very_long_images_are_told(tmp_path):
    _, notes = read_with_notes(
        write_tree(tmp_path, {"cat/1.png": png_bytes(0, (1, 11)), "dog/1.png": png_bytes(0, (1, 11))})
    )

    assert notes == [("SC834", "2 images with one side more than 10 times the other")]


# ---- I09, sizes and channels


def test_default_size_is_the_median_of_the_training_images(tmp_path):
    sizes = {
        "train/a/1": (30, 20),
        "train/b/1": (50, 40),
        "train/b/2": (40, 30),
        "test/a/1": (90, 90),
        "test/b/1": (90, 90),
    }
    found = read_images(write_tree(tmp_path, {f"{name}.png": png_bytes(0, size) for name, size in sizes.items()}))

    assert found.spec == ImageSpec(30, 40, 1)


def test_default_size_is_at_most_160(tmp_path):
    found = read_images(
        write_tree(tmp_path, {"cat/1.jpg": jpeg_bytes((400, 533)), "dog/1.jpg": jpeg_bytes((400, 533))})
    )

    assert found.spec == ImageSpec(160, 120, 3)


def test_smallest_images_are_read(tmp_path):
    found = read_images(write_tree(tmp_path, {"cat/1.png": png_bytes(5, (1, 1)), "dog/1.png": png_bytes(6, (1, 1))}))

    assert found.pixels.tolist() == [[[[5]]], [[[6]]]]


def test_options_decide_size_channels_and_resize(tmp_path):
    options = ImageOptions(size=(5, 7), channels=3, resize="pad")
    found = read_images(write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG}), options)

    assert found.spec == ImageSpec(5, 7, 3, "pad")
    assert found.pixels.shape == (2, 5, 7, 3)


def test_colour_files_that_are_all_grey_give_one_channel(tmp_path):
    grey, colour = (jpeg.convert("L") for jpeg in (Image.open(io.BytesIO(jpeg_bytes((9, 7), seed))) for seed in (1, 2)))
    files = {}
    for name, image in (("cat/1.png", grey), ("dog/1.png", colour.convert("RGB"))):
        file = io.BytesIO()
        image.save(file, "PNG")
        files[name] = file.getvalue()
    found = read_images(write_tree(tmp_path, files), ImageOptions(size=(5, 5)))

    again = read_images(tmp_path, spec=found.spec)
    assert found.spec.channels == 1
    assert_bit_equal(found.pixels, again.pixels)


def test_one_coloured_image_makes_three_channels(tmp_path):
    found = read_images(write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": png_bytes((1, 2, 3))}))

    assert found.pixels[:, 0, 0].tolist() == [[7, 7, 7], [1, 2, 3]]


# ---- I12, I13: equal images; prediction


def test_same_picture_in_two_classes_has_one_key(tmp_path):
    found = read_images(write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG, "dog/2.png": png_bytes(8)}))
    first, second, third = pixel_keys(found.pixels).tolist()

    assert first == second != third


def test_predicting_a_training_file_gives_its_training_pixels(tmp_path):
    files = {f"{label}/{at}.jpg": jpeg_bytes((40 + at, 30), at) for label in ("cat", "dog") for at in range(3)}
    trained = read_images(write_tree(tmp_path, files))
    alone = read_images(tmp_path / "dog" / "1.jpg", spec=trained.spec, labelled=False)

    assert_bit_equal(trained.pixels[trained.files.index("dog/1.jpg")], alone.pixels[0])


def test_stored_conversion_alone_decides_at_prediction(tmp_path):
    spec = ImageSpec(5, 6, 3, "stretch")
    found, notes = read_with_notes(
        write_tree(tmp_path, {"a.png": PNG, "b/c.png": png_bytes(9, (50, 2))}), spec=spec, labelled=False
    )

    assert (found.pixels.shape, found.files, found.labels, found.parts) == (
        (2, 5, 6, 3),
        ("a.png", "b/c.png"),
        None,
        None,
    )
    assert notes == [("SC834", "1 image with one side more than 10 times the other")]


def test_labels_are_taken_if_there_are_any(tmp_path):
    write_tree(tmp_path, {"with/cat/1.png": PNG, "with/dog/1.png": PNG, "without/1.png": PNG})

    assert read_images(tmp_path / "with", labelled=None).labels == ("cat", "dog")
    assert read_images(tmp_path / "without", labelled=None).labels is None


def test_named_files_keep_their_order_and_names(tmp_path, monkeypatch):
    write_tree(tmp_path, {"b.png": PNG, "a/c.png": PNG})
    monkeypatch.chdir(tmp_path)

    assert read_images(["b.png", Path("a/c.png")], labelled=False).files == ("b.png", "a/c.png")


def test_files_named_by_absolute_paths_are_told_apart_without_them(tmp_path):
    write_tree(tmp_path, {"b.png": PNG, "a/c.png": PNG})

    assert read_images([tmp_path / "b.png", tmp_path / "a" / "c.png"], labelled=False).files == ("b.png", "a/c.png")
    assert read_images(tmp_path / "b.png", labelled=False).files == ("b.png",)


def test_several_folders_are_told_apart(tmp_path):
    write_tree(tmp_path, {"one/cat/1.png": PNG, "one/dog/1.png": PNG, "two/cat/1.png": PNG, "two/dog/1.png": PNG})
    found = read_images([tmp_path / "one", tmp_path / "two"])

    assert found.files == ("one/cat/1.png", "one/dog/1.png", "two/cat/1.png", "two/dog/1.png")


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 100])
def test_batches_have_the_same_pixels(tmp_path, batch_rows):
    write_tree(tmp_path, {f"{at}.jpg": jpeg_bytes((30, 20 + at), at) for at in range(5)})
    spec = ImageSpec(8, 9, 3)
    notes = Notes()
    batches = list(read_image_batches(tmp_path, spec, notes, batch_rows=batch_rows))

    assert [len(batch) for batch in batches] == [min(batch_rows, 5 - start) for start in range(0, 5, batch_rows)]
    assert_bit_equal(
        read_images(tmp_path, spec=spec, labelled=False).pixels, np.concatenate([batch.pixels for batch in batches])
    )


def test_batches_tell_what_was_skipped_once(tmp_path):
    write_tree(tmp_path, {"a.png": PNG, "b.txt": b"x", "c.png": PNG, "d.txt": b"x"})
    notes = Notes()
    batches = list(read_image_batches(tmp_path, ImageSpec(3, 4, 1), notes, batch_rows=2))

    assert [(batch.files, batch.skipped) for batch in batches] == [
        (("a.png",), (("b.txt", "not an image"),)),
        (("c.png",), (("d.txt", "not an image"),)),
    ]
    assert [note.message for note in notes] == ['2 files skipped: "b.txt" (not an image), "d.txt" (not an image)']


def test_batches_of_a_labelled_folder_have_labels(tmp_path):
    write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG})
    batches = read_image_batches(tmp_path, ImageSpec(3, 4, 1), Notes(), batch_rows=1, labelled=True)

    assert [batch.labels for batch in batches] == [("cat",), ("dog",)]


def test_no_images_in_an_array_are_one_empty_batch():
    batches = list(read_image_batches(np.zeros((0, 5, 5), np.uint8), ImageSpec(5, 5, 1), Notes()))

    assert [batch.pixels.shape for batch in batches] == [(0, 5, 5, 1)]


# ---- Python's own images


def test_array_with_labels():
    found = read_images(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), targets=["b", "a"])

    assert (found.pixels.shape, found.labels, found.files) == ((2, 3, 4, 1), ("b", "a"), ("index 0", "index 1"))


def test_pillow_images_with_labels():
    images = [Image.new("RGB", (4, 3), (1, 2, 3)), Image.new("L", (4, 3), 9)]
    found = read_images(images, targets=np.array([5, 6]))

    assert (found.labels, found.label_type, found.files) == (("5", "6"), "integer", ("index 0", "index 1"))
    assert found.pixels[:, 0, 0].tolist() == [[1, 2, 3], [9, 9, 9]]


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([1, 2], (("1", "2"), "integer")),
        (np.array([1, 2], dtype=object), (("1", "2"), "integer")),
        ([True, False], (("true", "false"), "boolean")),
        (["1", "2"], (("1", "2"), "string")),
        ([1.0, 2.0], (("1", "2"), "integer")),
    ],
)
def test_labels_given_in_python_keep_their_type(targets, expected):
    found = read_images(np.zeros((2, 3, 4), np.uint8), targets=targets)

    assert (found.labels, found.label_type) == expected


ARRAY = np.zeros((2, 3, 4), np.uint8)


@pytest.mark.parametrize(
    ("source", "options", "kind", "message"),
    [
        (ARRAY, {}, TableError,
         "[SC311] the array of images: labels are missing. Pass target= with one label per image"),
        (ARRAY, {"targets": [1]}, ShapeError,
         "[SC101] the array of images: `target` must hold one label per image; got 1 for 2 images"),
        (ARRAY, {"targets": ["a", None]}, TableError,
         "[SC312] the array of images: every image needs a label; got 1 missing, the first at index 1"),
        (ARRAY, {"targets": [1.0, float("nan")]}, TableError,
         "[SC312] the array of images: every image needs a label; got 1 missing, the first at index 1"),
        (ARRAY, {"targets": [[1], [1, 2]]}, ShapeError,
         "[SC101] the array of images: `target` must hold one label per image; got lists inside"),
        ([ARRAY[0], ARRAY[0]], {}, DTypeError,
         "[SC113] images: must be a path, an array (n, height, width), or a list of paths or of Pillow's images; "
         "got a list of ndarray. Put arrays of one size together with numpy.stack"),
        (None, {}, DTypeError,
         "[SC113] images: must be a path, an array (n, height, width), or a list of paths or of Pillow's images; "
         "got a NoneType"),
        (["/dev/zero"], {"labelled": False}, PathError, "[SC603] /dev/zero: cannot be read: not a regular file"),
        ([], {}, ImageError, "[SC345] images: must hold images; got an empty list"),
        ("https://example.org/a.zip", {}, UsageError,
         "[SC208] https://example.org/a.zip: must be a path on this machine; got an address. Download the file first"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_refused(source, options, kind, message):
    with pytest.raises(kind) as caught:
        read_images(source, **options)

    assert str(caught.value) == message


def test_labels_for_files_are_refused(tmp_path):
    with pytest.raises(UsageError) as caught:
        read_images(tmp_path, targets=[1])

    assert str(caught.value) == (
        "[SC203] images: target= gives the labels of arrays and of images in memory; files have their own"
    )


def test_single_file_has_no_class(tmp_path):
    write_tree(tmp_path, {"1.png": PNG})
    with pytest.raises(ImageError) as caught:
        read_images(tmp_path / "1.png")

    assert str(caught.value) == "[SC343] 1.png: a single file has no class; give a folder with one folder per class"


def test_arrays_and_images_are_not_mixed(tmp_path):
    write_tree(tmp_path, {"1.png": PNG, "a-idx3-ubyte": idx_bytes(ARRAY)})
    with pytest.raises(UsageError, match="arrays and images cannot be read together"):
        read_images([tmp_path / "1.png", tmp_path / "a-idx3-ubyte"], labelled=False)


def test_missing_path_is_named(tmp_path):
    with pytest.raises(PathError) as caught:
        read_images(tmp_path / "gone.zip")

    assert caught.value.code == "SC603"


# ---- I16 and the machine


def test_too_many_pixels_for_the_machine_are_refused_before_reading(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "memory_bytes", lambda: 2**26)
    write_tree(tmp_path / "photos", {"cat/1.png": PNG, "dog/1.png": PNG})
    with pytest.raises(TooLargeError) as caught:
        read_images(tmp_path / "photos", ImageOptions(size=(4096, 4096), channels=3))

    assert str(caught.value) == (
        "[SC606] photos: 2 images of 4096x4096x3 need 0.1 GiB; this machine has 0.1 GiB. "
        "Pass a smaller --image-size, or fewer images with --rows"
    )


@pytest.mark.parametrize("threads", ["1", "7"])
def test_number_of_threads_changes_nothing(tmp_path, monkeypatch, threads):
    write_tree(tmp_path, {f"{label}/{at}.jpg": jpeg_bytes((20, 20), at) for label in "ab" for at in range(20)})
    usual = read_images(tmp_path)
    monkeypatch.setenv("SOFTCLASS_NUM_THREADS", threads)

    assert_bit_equal(usual.pixels, read_images(tmp_path).pixels)


def test_threads_end_with_the_work(tmp_path):
    before = threading.active_count()
    read_images(write_tree(tmp_path, {"cat/1.png": PNG, "dog/1.png": PNG}))

    assert threading.active_count() == before


def test_progress_counts_files(tmp_path):
    calls: list[tuple[int, int]] = []
    read_images(write_tree(tmp_path, GOOD), progress=lambda done, total: calls.append((done, total)))

    assert calls == [(128, 200), (200, 200)]


@pytest.mark.slow
def test_hundred_thousand_files_need_little_memory(tmp_path):
    write_tree(tmp_path, {"cat/0.png": PNG, "dog/0.png": PNG})
    for label, at in product(("cat", "dog"), range(1, 50_000)):
        (tmp_path / label / f"{at}.png").hardlink_to(tmp_path / label / "0.png")
    code = (
        "import sys; from peak_memory import peak_bytes; from softclass.data.images import read_images; "
        "found = read_images(sys.argv[1]); print(len(found), peak_bytes())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    n_images, peak = map(int, done.stdout.split())

    assert n_images == 100_000
    assert peak < 200 * 2**20


# ---- telling images from tables


def zipped(names: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (PNG, True),
        (jpeg_bytes((4, 3)), True),
        (idx_bytes(ARRAY), True),
        (zipped({"cat/1.png": PNG}), True),
        (zipped({"x.npy": b""}), True),
        (b"\x93NUMPY\1\0", True),
        (b"BMI,age\n1,2\n", False),
        (b"P1\tP2\n1\t2\n", False),
        (b"a,b\n1,2\n", False),
        (b"", False),
        (b"PAR1", False),
        (zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b""}), False),
        (b"\x1f\x8b\x08\0\0\0\0\0broken", False),
    ],
)
def test_images_are_known_by_their_first_bytes(tmp_path, content, expected):
    (tmp_path / "a").write_bytes(content)

    assert is_image_source(tmp_path / "a") == expected
    assert is_image_source([tmp_path / "a"]) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("-", False),
        ("/nowhere/at/all.csv", False),
        (np.zeros((2, 3)), False),
        (np.zeros((2, 3, 4)), True),
        ([Image.new("L", (1, 1))], True),
        ({"a": [1]}, False),
        ([], False),
        ([{"a": 1}], False),
    ],
)
def test_other_sources_are_told_apart(source, expected):
    assert is_image_source(source) == expected


def test_folder_is_a_source_of_images(tmp_path):
    assert is_image_source(tmp_path)


def test_door_does_not_load_pillow():
    code = "import sys, softclass.data.images; sys.exit('PIL' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=False).returncode == 0


# ---- the real sets


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "n_classes"),
    [
        ("mnist", (70000, 28, 28, 1), 10),
        ("fashion_mnist", (70000, 28, 28, 1), 10),
        ("kmnist_test", (10000, 28, 28, 1), 10),
        ("clothing_photos", (1713, 160, 120, 3), 10),
        ("omniglot_small/images_background_small1.zip", (2720, 105, 105, 1), 5),
    ],
)
def test_real_sets_are_read(shared_data, name, shape, n_classes):
    found = read_images(shared_data / name)

    assert found.pixels.shape == shape
    assert len(set(found.labels or ())) == n_classes
