"""Images that come as arrays: names, pairs, parts, types of pixels and labels."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from asserts import assert_bit_equal
from made_images import idx_bytes
from softclass.data.array_images import as_labels, as_pixels, is_array_file
from softclass.data.images import read_images
from softclass.errors import ImageError, Notes

RNG = np.random.default_rng(0)
TRAIN, TEST = (RNG.integers(0, 256, (n, 6, 5), dtype=np.uint8) for n in (4, 3))
TRAIN_LABELS, TEST_LABELS = np.array([3, 1, 3, 0], dtype=np.uint8), np.array([1, 1, 0], dtype=np.uint8)


@pytest.mark.parametrize(
    "pattern",
    ["{}-{}-idx{}-ubyte", "{}-{}.idx{}-ubyte", "{}_{}_idx{}_ubyte", "emnist-letters-{}-{}-idx{}-ubyte"],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_folder_brings_its_own_parts(tmp_path, pattern, suffix):
    pack = gzip.compress if suffix else bytes
    for part, images, labels in (("train", TRAIN, TRAIN_LABELS), ("t10k", TEST, TEST_LABELS)):
        (tmp_path / (pattern.format(part, "images", 3) + suffix)).write_bytes(pack(idx_bytes(images)))
        (tmp_path / (pattern.format(part, "labels", 1) + suffix)).write_bytes(pack(idx_bytes(labels)))
    (tmp_path / "README.md").write_text("text")

    found = read_images(tmp_path)

    order = np.argsort(found.parts, kind="stable")
    assert found.parts is not None
    assert sorted(found.parts.tolist()) == ["fit"] * 4 + ["test"] * 3
    assert_bit_equal(np.concatenate([TRAIN, TEST])[..., np.newaxis], found.pixels[order])
    assert (found.label_type, [found.labels[at] for at in order]) == ("integer", ["3", "1", "3", "0", "1", "1", "0"])


def test_plain_file_is_preferred_to_its_compressed_twin(tmp_path):
    (tmp_path / "images-idx3-ubyte").write_bytes(idx_bytes(TRAIN))
    (tmp_path / "images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(TRAIN)))
    (tmp_path / "labels-idx1-ubyte").write_bytes(idx_bytes(TRAIN_LABELS))

    found = read_images(tmp_path)

    assert (len(found), found.parts, found.files[3]) == (4, None, "index 3")


def test_file_of_images_finds_its_labels(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(TRAIN))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(TRAIN_LABELS))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(TEST_LABELS))

    assert read_images(tmp_path / "train-images-idx3-ubyte").labels == ("3", "1", "3", "0")


def test_two_idx_files_of_any_name_are_a_pair(tmp_path):
    (tmp_path / "a").write_bytes(idx_bytes(TRAIN))
    (tmp_path / "b").write_bytes(idx_bytes(TRAIN_LABELS))

    assert read_images([tmp_path / "a", tmp_path / "b"]).labels == ("3", "1", "3", "0")


@pytest.mark.parametrize(
    "names",
    [("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels")],
)
def test_npz_with_parts(tmp_path, names):
    np.savez(tmp_path / "a.npz", **dict(zip(names, (TRAIN, TRAIN_LABELS, TEST, TEST_LABELS), strict=True)))

    found = read_images(tmp_path / "a.npz")

    assert found.parts is not None
    assert found.parts.tolist() == ["fit"] * 4 + ["test"] * 3
    assert found.labels == ("3", "1", "3", "0", "1", "1", "0")


@pytest.mark.parametrize(
    "names", [("x", "y"), ("X", "y"), ("images", "labels"), ("data", "target"), ("arr_0", "arr_1")]
)
def test_npz_with_a_pair(tmp_path, names):
    np.savez(tmp_path / "a.npz", **dict(zip(names, (TRAIN, TRAIN_LABELS), strict=True)))

    found = read_images(tmp_path / "a.npz")

    assert (found.labels, found.parts) == (("3", "1", "3", "0"), None)


@pytest.mark.parametrize("source", ["folder", "images", "both"])
def test_labels_in_a_file_beside(tmp_path, source):
    images, labels = tmp_path / "kmnist-test-imgs.npz", tmp_path / "kmnist-test-labels.npz"
    np.savez(images, TRAIN)
    np.savez(labels, TRAIN_LABELS)
    given = {"folder": tmp_path, "images": images, "both": [images, labels]}[source]

    assert read_images(given).labels == ("3", "1", "3", "0")


def test_labels_are_not_needed_for_prediction(tmp_path):
    np.savez(tmp_path / "a.npz", x=TRAIN)
    found = read_images(tmp_path / "a.npz", labelled=False)

    assert (found.labels, found.files) == (None, ("index 0", "index 1", "index 2", "index 3"))


def test_files_of_several_arrays_are_told_apart(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=TRAIN, y_train=TRAIN_LABELS, x_test=TEST, y_test=TEST_LABELS)

    assert read_images(tmp_path / "a.npz").files[3:5] == ("x_train index 3", "x_test index 0")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": TRAIN}, '[SC343] a.npz: images must come with labels; none belong to "x". '
         "Put the labels beside it under the same name with labels in the place of images"),
        ({"x": TRAIN, "y": TEST_LABELS},
         '[SC361] a.npz: there must be one label per image; got 4 images in "x" and 3 labels in "y"'),
        ({"x": TRAIN, "y": np.eye(4, dtype=np.uint8)},
         "[SC361] y: labels must be one per image; got an array of 4 x 4"),
        ({"x": TRAIN, "y": np.array([0.5, 1, 2, 3])},
         "[SC361] y: labels must be whole numbers or text; got type float64"),
        ({"weights": TRAIN, "y": TRAIN_LABELS}, "[SC361] a.npz: arrays must be called x and y, images and labels, "
         'or x_train, y_train, x_test, y_test; got "weights", "y"'),
        ({"y": TRAIN_LABELS}, "[SC361] a.npz: arrays must be called x and y, images and labels, "
         'or x_train, y_train, x_test, y_test; got "y"'),
        ({"x": TRAIN.reshape(4, 30), "y": TRAIN_LABELS}, "[SC361] x: images must be an array (n, height, width) "
         "or (n, height, width, 1, 3 or 4); got 4 x 30"),
        ({"x": np.zeros((4, 3, 6, 5), np.uint8), "y": TRAIN_LABELS}, "[SC361] x: images must be an array "
         "(n, height, width) or (n, height, width, 1, 3 or 4); got 4 x 3 x 6 x 5. "
         "Move the channels to the end: x.transpose(0, 2, 3, 1)"),
        ({"x": np.zeros((4, 0, 5), np.uint8), "y": TRAIN_LABELS},
         "[SC345] x: images must have at least one pixel; got a size of 0"),
        ({"x": np.zeros((0, 6, 5), np.uint8), "y": np.zeros(0, np.uint8)},
         "[SC345] a.npz: must hold images; found none"),
        ({"x": TRAIN.astype(np.float32), "y": TRAIN_LABELS}, "[SC344] x: floating-point pixels must lie in [0, 1]; "
         f"got {TRAIN.min()} to {TRAIN.max()}. Pass x.astype(numpy.uint8) if they lie in 0..255"),
        ({"x": TRAIN.astype(np.int16) - 300, "y": TRAIN_LABELS}, "[SC344] x: whole-number pixels must lie in 0..255; "
         f"got {int(TRAIN.min()) - 300} to {int(TRAIN.max()) - 300}"),
        ({"x": np.full((4, 6, 5), "a"), "y": TRAIN_LABELS}, "[SC344] x: pixels must be numbers; got type <U1"),
        ({"x_train": TRAIN, "X_train": TRAIN, "y_train": TRAIN_LABELS},
         '[SC361] a.npz: there must be one array of images per part; got "x_train" and "X_train"'),
        ({"x_train": TRAIN, "y_train": TRAIN_LABELS, "x": TEST, "y": TEST_LABELS},
         '[SC361] a.npz: "x" belongs to no part, the others do'),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ImageError) as caught:
        read_images(tmp_path / "a.npz")

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[[False, True]]]), [0, 255]),
        (np.array([[[0, 255]]]), [0, 255]),
        (np.array([[[0, 65535, 128, 129]]], dtype=np.uint16), [0, 255, 0, 1]),
        (np.array([[[0.0, 1.0, 0.5, 0.1]]]), [0, 255, 128, 26]),
        (np.array([[[0.0, 1.0]]], dtype=np.float16), [0, 255]),
    ],
)
def test_types_of_pixels_become_bytes(array, expected):
    assert as_pixels(array, "x", Notes()).ravel().tolist() == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 1.01])
def test_other_floating_point_is_refused(value):
    with pytest.raises(ImageError, match=r"floating-point pixels must lie in \[0, 1\]"):
        as_pixels(np.array([[[0.0, value]]]), "x", Notes())


def test_alpha_of_arrays_is_laid_over_white_like_that_of_files():
    colours = RNG.integers(0, 256, (2, 3, 4, 4), dtype=np.uint8)
    notes = Notes()
    alpha = colours[..., 3:].astype(float)
    exact = (colours[..., :3] * alpha + 255 * (255 - alpha)) / 255

    assert_bit_equal(np.round(exact).astype(np.uint8), as_pixels(colours, "x", notes))
    assert [note.message for note in notes] == ["2 images with transparent pixels laid over white"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([1, 0, 10]), (("1", "0", "10"), "integer")),
        (np.array([[1], [0]]), (("1", "0"), "integer")),
        (np.array([1.0, -2.0]), (("1", "-2"), "integer")),
        (np.array([True, False]), (("true", "false"), "boolean")),
        (np.array(["a", "b"]), (("a", "b"), "string")),
        (np.array([b"caf\xc3\xa9"]), (("café",), "string")),
    ],
)
def test_labels_become_text_with_their_type(values, expected):
    assert as_labels(values, "y") == expected


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e300])
def test_labels_that_are_no_whole_numbers_are_refused(value):
    with pytest.raises(ImageError, match="labels must be whole numbers or text; got type float64"):
        as_labels(np.array([1.0, value]), "y")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train-images-idx3-ubyte", True),
        ("t10k-labels.idx1-ubyte.gz", True),
        ("digits.idx", True),
        ("digits.npz", True),
        ("digits.npy", True),
        ("train-images.png", False),
        ("idx.csv", False),
    ],
)
def test_names_of_array_files_are_known(name, expected):
    assert is_array_file(name) == expected
