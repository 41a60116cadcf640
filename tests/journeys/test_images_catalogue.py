"""Bad images, row by row of the catalogue (trust.md B3), through the command line.

Every pixel rule behind these rows has its own tests beside the file that holds it: tests/data/test_decode.py,
test_images.py, test_folders.py, test_idx.py, test_npz.py, test_archives.py.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_images import idx_bytes, png_bytes, write_tree
from softclass.cli.main import main

PIXELS = np.random.default_rng(0)
QUICK = ("--C", "0.1", "--no-report", "--no-predictions", "-o", "run")


def encoded(image: Image.Image, form: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def noise(mean: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    shape = (size[1], size[0], 3)
    return Image.fromarray(np.clip(PIXELS.normal(mean, 30, shape), 0, 255).astype(np.uint8))


def classes(root: str, each: int = 12) -> Path:
    """Two folders of images that anyone can tell apart."""
    files = {
        f"{name}/{at:03}.png": encoded(noise(mean))
        for name, mean in (("dark", 60), ("light", 190))
        for at in range(each)
    }
    return write_tree(Path(root), files)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model of 8x8 colour images."""
    folder = tmp_path_factory.mktemp("images")
    data = classes(str(folder / "data"), 20)
    assert main(["train", str(data), "-q", *QUICK[:-1], str(folder / "run")]) == 0
    return folder / "run"


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


STRANGERS = {
    "dark/a.jpg": b"hello, text",
    "dark/b.jpg": b"%PDF-1.4\n",
    "light/c.jpg": b"\x80\x04\x95\x10\x00pickle",
    "light/d.png": b"",
    "light/.DS_Store": b"\x00\x00\x00\x01Bud1",
}
NAMED = '"dark/a.jpg" (not an image), "dark/b.jpg" (not an image), "light/c.jpg" (not an image), "light/d.png" (empty)'


def test_I01_strangers_are_skipped_and_named(softclass, model):
    write_tree(classes("data"), STRANGERS)

    trained = softclass("train", "data", *QUICK)
    predicted = softclass("predict", model, "data")

    assert (trained.status, predicted.status) == (0, 0)
    for ran in (trained, predicted):
        assert f"note[SC809] 4 files skipped: {NAMED}\n" in ran.err
    assert "24 images" in trained.out
    assert len(rows(predicted.out)) == 24


def test_I01_strict_makes_strangers_an_error(softclass, model):
    write_tree(classes("data"), STRANGERS)

    trained = softclass("train", "data", *QUICK, "--strict")
    predicted = softclass("predict", model, "data", "--strict", "-o", "out.csv")

    assert (trained.status, trained.first) == (
        3, "error[SC341] dark/a.jpg: must be a readable image; it is not an image",
    )  # fmt: skip
    assert predicted.status == 5
    assert "error[SC503] --strict: no notes are allowed with --strict; there were 1 (SC809)" in predicted.err
    assert not Path("run").exists()


def damaged() -> dict[str, bytes]:
    whole = encoded(noise(60, (40, 40)))
    photo = encoded(Image.effect_noise((64, 64), 50), "JPEG")
    tiff = bytearray(encoded(noise(60, (64, 64)), "TIFF", compression="tiff_lzw"))
    tiff[4000:4040] = bytes(40)
    fax = bytearray(encoded(noise(128, (64, 64)).convert("1"), "TIFF", compression="group4"))
    fax[len(fax) // 2 : len(fax) // 2 + 20] = b"\xaa" * 20
    return {"cut.png": whole[: len(whole) // 2], "cut.jpg": photo[: len(photo) // 2], "lzw.tif": bytes(tiff),
            "fax.tif": bytes(fax)}  # fmt: skip


def test_I02_one_damaged_file_is_left_out_and_libraries_are_silent(softclass, model):
    for name, content in damaged().items():
        root = classes(f"data-{name}", 2)
        write_tree(root, {f"dark/{name}": content})

        ran = softclass("predict", model, root)

        assert ran.status == 0
        assert ran.err.splitlines()[0].startswith(f'note[SC809] 1 file skipped: "dark/{name}" (')
        assert len(ran.err.splitlines()) == 2
        assert len(rows(ran.out)) == 4


def test_I02_more_than_one_in_a_hundred_damaged_is_an_error(softclass, model):
    write_tree(classes("data"), {f"dark/{name}": content for name, content in damaged().items()})

    for ran in (
        softclass("train", "data", *QUICK),
        softclass("predict", model, "data", "-o", "out.csv"),
        softclass("evaluate", model, "data"),
    ):
        assert ran.status == 3
        assert ran.first == (
            "error[SC341] data: at most 1 % of the images may be damaged; got 4 of 28: "
            '"dark/cut.jpg" (cut off before its end), "dark/cut.png" (cut off before its end), '
            '"dark/fax.tif" (damaged), "dark/lzw.tif" (damaged)'
        )
    assert sorted(os.listdir()) == ["data"]


def test_I02_a_photo_without_its_end_mark_is_whole(softclass, model):
    photo = encoded(Image.effect_noise((64, 64), 50), "JPEG")
    write_tree(Path("data"), {"cut.jpg": photo[:-2], "whole.jpg": photo})

    cut, whole = rows(softclass("predict", model, "data").out)

    assert cut["proba_dark"] == whole["proba_dark"]


def test_I03_a_bomb_is_refused_by_its_header(softclass, model):
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    write_tree(classes("data"), {"dark/bomb.png": bomb})

    ran = softclass("predict", model, "data")
    strict = softclass("train", "data", *QUICK, "--strict")

    assert ran.status == 0
    assert ran.first == 'note[SC809] 1 file skipped: "dark/bomb.png" (larger than 67,108,864 pixels)'
    assert (strict.status, strict.first) == (
        3, "error[SC342] dark/bomb.png: an image must have at most 67,108,864 pixels; it has more",
    )  # fmt: skip


def test_I04_deep_pixels_are_scaled(softclass, model):
    grey = np.full((8, 8), 200, dtype=np.uint8)
    write_tree(Path("data"), {
        "8.png": encoded(Image.fromarray(grey)),
        "16.png": encoded(Image.fromarray(grey.astype(np.uint16) * 257)),
        "float.tif": encoded(Image.fromarray((grey / 255).astype(np.float32)), "TIFF"),
    })  # fmt: skip

    ran = softclass("predict", model, "data")

    assert len({row["proba_dark"] for row in rows(ran.out)}) == 1
    assert ran.first == "note[SC831] 1 image with 16-bit pixels scaled to 8 bits"


def test_I04_floating_point_pixels_beyond_one_are_an_error(softclass, model):
    write_tree(classes("data"), {"dark/f.tif": encoded(Image.fromarray(np.full((8, 8), 7.5, np.float32)), "TIFF")})

    for ran in (softclass("train", "data", *QUICK), softclass("predict", model, "data", "-o", "out.csv")):
        assert (ran.status, ran.first) == (
            3, "error[SC344] dark/f.tif: floating-point pixels must lie in [0, 1]; some do not",
        )  # fmt: skip
    assert sorted(os.listdir()) == ["data"]


def test_I05_transparency_lies_over_white(softclass, model):
    pixels = np.full((8, 8, 4), 255, dtype=np.uint8)
    images = {}
    for colour in (0, 90):
        pixels[4:] = (colour, 10, 20, 0)
        images[f"{colour}.png"] = encoded(Image.fromarray(pixels))
    write_tree(Path("data"), {**images, "white.png": png_bytes((255, 255, 255), (8, 8))})

    ran = softclass("predict", model, "data")

    assert len({row["proba_dark"] for row in rows(ran.out)}) == 1
    assert ran.first == "note[SC833] 2 images with transparent pixels laid over white"


def test_I06_other_colours_and_profiles(softclass, model):
    write_tree(Path("data"), {
        "cmyk.jpg": encoded(Image.new("CMYK", (8, 8), (10, 200, 30, 0)), "JPEG"),
        "lab.tif": encoded(Image.new("LAB", (8, 8), (100, 128, 128)), "TIFF"),
        "profile.png": encoded(noise(60), icc_profile=b"profile" * 20),
    })  # fmt: skip

    ran = softclass("predict", model, "data")

    assert (ran.status, len(rows(ran.out))) == (0, 3)
    assert ran.first == "note[SC835] 1 image with a colour profile, which was ignored"


def test_I07_orientations_are_applied(softclass, model):
    upright = noise(100, (8, 16))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
        write_tree(Path("data"), {f"{orientation}.png": encoded(turned, exif=exif)})
    write_tree(Path("data"), {"broken.png": encoded(upright, exif=b"Exif\0\0broken")})

    ran = softclass("predict", model, "data")

    assert len(rows(ran.out)) == 9
    assert len({row["proba_dark"] for row in rows(ran.out)}) == 1
    assert ran.err == ""


def test_I08_the_first_frame_counts(softclass, model):
    first, *others = (Image.new("L", (8, 8), value) for value in (30, 200, 210))
    write_tree(Path("data"), {
        "1.gif": encoded(first, "GIF"),
        "2.gif": encoded(first, "GIF", save_all=True, append_images=others),
        "3.tif": encoded(first, "TIFF", save_all=True, append_images=others),
    })  # fmt: skip

    ran = softclass("predict", model, "data")

    assert len({row["proba_dark"] for row in rows(ran.out)}) == 1
    assert ran.first == "note[SC832] 2 images with several frames, of which the first was used"


def test_I09_sizes(softclass, model):
    write_tree(classes("data"), {"dark/1.png": png_bytes(60, (1, 1)), "dark/long.png": png_bytes(60, (1, 500))})
    write_tree(Path("none"), {"0.png": encoded(noise(1)).replace(b"\0\0\0\x08\0\0\0\x08", bytes(8), 1)})

    trained = softclass("train", "data", *QUICK)
    predicted = softclass("predict", model, "data")
    nothing = softclass("predict", model, "none")

    assert "note[SC834] 2 of 26 images of 3 different sizes resized to 8x8 (crop)\n" in trained.err
    assert "note[SC834] 1 image with one side more than 10 times the other\n" in trained.err
    assert [(row["file"], row["prediction"]) for row in rows(predicted.out)][12:14] == [
        ("dark/1.png", "dark"), ("dark/long.png", "dark"),
    ]  # fmt: skip
    assert (nothing.status, nothing.first) == (
        3, 'error[SC345] none: must hold images; the only file cannot be read as one: "0.png" (damaged)',
    )  # fmt: skip


def test_I10_layouts_are_drawn(softclass):
    write_tree(Path("flat"), {"1.png": png_bytes(1), "2.png": png_bytes(2)})
    write_tree(classes("mixed", 2), {"root.png": png_bytes(1)})
    write_tree(Path("only"), {"dark/1.png": png_bytes(1), "dark/2.png": png_bytes(2)})
    classes("parts/train", 2)
    classes("parts/extra", 2)
    Path("nothing").mkdir()

    assert softclass("train", "flat").err == (
        'error[SC343] flat: images must lie in one folder per class; got 2 such as "1.png" and no folders of images\n'
        "  fix:    expected\n"
        "            flat/\n"
        "              cat/    1.jpg 2.jpg ...\n"
        "              dog/    1.jpg 2.jpg ...\n"
        "          or the same below flat/train, flat/validation and flat/test\n"
        "  more:   softclass explain SC343\n"
    )
    assert softclass("train", "mixed").first == (
        'error[SC343] mixed: images must lie in one folder per class; got 1 such as "root.png" beside its 2 folders'
    )
    assert softclass("train", "only").first == "error[SC313] only: at least two classes are needed; found only dark"
    assert softclass("train", "parts").first == (
        'error[SC343] parts: folders must be either all parts or all classes; got "train" beside "extra"'
    )
    assert softclass("train", "nothing").first == "error[SC345] nothing: must hold images; found none"
    assert not Path("runs").exists()


def test_I10_an_empty_folder_is_no_class_and_parts_are_used(softclass):
    for part, each in (("train", 12), ("validation", 4), ("test", 5)):
        classes(f"data/{part}", each)
    Path("data/train/empty").mkdir()

    ran = softclass("train", "data", *QUICK)

    assert ran.status == 0
    assert 'note[SC836] 1 folder without images is no class: "train/empty"\n' in ran.err
    assert "parts    fit 24 · calibration 8 (its own) · test 10 (its own)\n" in ran.out


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_I11_links_pipes_and_odd_names(softclass, model):
    classes("outside", 1)
    root = classes("data")
    os.symlink(Path("outside/light/000.png").absolute(), root / "dark/out.png")
    os.symlink(root.absolute(), root / "dark/loop")
    os.symlink("nowhere", root / "light/broken.png")
    os.mkfifo(root / "light/pipe.png")
    odd = os.fsdecode(b"caf\xe9\n\x1b[31m.png")
    (root / "dark" / odd).write_bytes(png_bytes(60))

    ran = softclass("predict", model, "data")
    followed = softclass("train", "data", *QUICK, "--follow-links")

    assert (ran.status, ran.first) == (
        0,
        'note[SC809] 4 files skipped: "dark/loop" (a link to a folder), "dark/out.png" (a link out of the folder), '
        '"light/broken.png" (a broken link), "light/pipe.png" (not a regular file)',
    )
    assert "dark/caf\\xe9\n\x1b[31m.png" in [row["file"] for row in rows(ran.out)]
    assert "\x1b" not in ran.err
    assert "26 images" in followed.out


def test_I12_the_same_picture_in_two_classes_or_parts(softclass):
    same = png_bytes(99, (8, 8))
    write_tree(classes("data"), {f"{name}/same{at}.png": same for name in ("dark", "light") for at in range(3)})
    classes("parts/train", 6)
    classes("parts/test", 3)
    copied = Path("parts/train/dark/000.png").read_bytes()
    write_tree(Path("parts"), {"test/dark/copy.png": copied})

    two_classes = softclass("train", "data", *QUICK)
    two_parts = softclass("train", "parts", *QUICK, "--overwrite")

    assert (
        "note[SC824] 6 images equal an image of another class; at least 3 of them will be mistaken\n" in two_classes.err
    )
    assert "note[SC808] 1 row of the test part equals a row of the fit part\n" in two_parts.err


def test_I13_other_sizes_grey_and_every_container(softclass, model):
    grey = np.full((2, 8, 8), 60, dtype=np.uint8)
    write_tree(Path("new"), {"grey.png": png_bytes(60, (8, 8)), "large.png": png_bytes((60, 60, 60), (31, 17)),
                             "notes.txt": b"no image"})  # fmt: skip
    with zipfile.ZipFile("new.zip", "w") as archive:
        for file in sorted(Path("new").iterdir()):
            archive.write(file, file.name)
    np.savez("new.npz", grey)
    Path("new-images-idx3-ubyte").write_bytes(idx_bytes(grey))
    Path("new-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(grey)))

    probabilities = set()
    for source in ("new", "new.zip", "new.npz", "new-images-idx3-ubyte", "new-images-idx3-ubyte.gz", "new/grey.png"):
        ran = softclass("predict", model, source)
        assert ran.status == 0
        assert len(rows(ran.out)) == (1 if source.endswith(".png") else 2)
        probabilities |= {row["proba_dark"] for row in rows(ran.out)}
    assert len(probabilities) == 1


IDX_MISTAKES = {
    "magic": (lambda good: b"\x01\x00" + good[2:], "the first bytes are 01 00 08 03, which no IDX file has"),
    "empty": (lambda good: b"", "it is empty"),
    "header": (lambda good: good[:6], "it ends inside its header"),
    "short": (lambda good: good[:-5], "the header states 20 x 8 x 8 values, 1,280 bytes, and 1,275 follow it"),
    "long": (lambda good: good + b"xx", "the header states 20 x 8 x 8 values, 1,280 bytes, and 1,282 follow it"),
    "huge": (
        lambda good: good[:4] + b"\x7f\xff\xff\xff" * 3,
        "the header states 2147483647 x 2147483647 x 2147483647 values, "
        "9,903,520,300,447,984,150,353,281,023 bytes, and 0 follow it",
    ),
}


@pytest.mark.parametrize("name", IDX_MISTAKES)
def test_I14_idx_files(name, softclass, model):
    change, message = IDX_MISTAKES[name]
    images = idx_bytes(np.arange(1280, dtype=np.int64).astype(np.uint8).reshape(20, 8, 8))
    labels = idx_bytes(np.arange(20, dtype=np.uint8) % 2)
    write_tree(Path("data"), {"train-images-idx3-ubyte": change(images), "train-labels-idx1-ubyte": labels})

    ran = softclass("train", "data", *QUICK)

    assert (ran.status, ran.first) == (
        3, f"error[SC361] train-images-idx3-ubyte: must be a whole IDX file; {message}",
    )  # fmt: skip


def test_I14_labels_and_bombs(softclass):
    images = idx_bytes(np.zeros((20, 8, 8), dtype=np.uint8))
    bomb = gzip.compress(bytes([0, 0, 8, 3]) + b"\0\0\xff\xff\0\0\0\xff\0\0\0\xff" + bytes(3_000_000))
    write_tree(
        Path("few"), {"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": idx_bytes(np.zeros(9, np.uint8))}
    )
    write_tree(Path("none"), {"train-images-idx3-ubyte": images})
    write_tree(
        Path("bomb"), {"train-images-idx3-ubyte.gz": bomb, "train-labels-idx1-ubyte": idx_bytes(np.zeros(9, np.uint8))}
    )

    assert softclass("train", "few").first == (
        "error[SC361] few: there must be one label per image; "
        'got 20 images in "train-images-idx3-ubyte" and 9 labels in "train-labels-idx1-ubyte"'
    )
    assert softclass("train", "none").first == (
        'error[SC343] train-images-idx3-ubyte: images must come with labels; none belong to "train-images-idx3-ubyte"'
    )
    assert "the header states 65535 x 255 x 255 values, 4,261,413,375 bytes, out of" in softclass("train", "bomb").first


def saved(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


X, Y = np.arange(1280, dtype=np.int64).astype(np.uint8).reshape(20, 8, 8), np.arange(20) % 2
LONG_HEADER = b"{'descr': '|u1', 'fortran_order': False, 'shape': (20, 8, 8), }".ljust(70_000) + b"\n"
NPZ_MISTAKES = {
    "objects": (saved(X=np.array([{}] * 20), y=Y), "SC362", "X: arrays must hold numbers or text; this one"),
    "object labels": (saved(X=X, y=np.array(["a"] * 20, dtype=object)), "SC362", "y: arrays must hold numbers or text"),
    "keys": (saved(foo=X, bar=Y), "SC361", 'x_train, y_train, x_test, y_test; got "bar", "foo"'),
    "labels": (saved(X=X, y=Y[:9]), "SC361", 'got 20 images in "X" and 9 labels in "y"'),
    "axes": (saved(X=X.reshape(20, 64), y=Y), "SC361", "got 20 x 64"),
    "cut": (saved(X=X, y=Y)[:700], "SC361", "must be a whole ZIP archive; it is damaged"),
    "bit": (saved(X=X, y=Y)[:300] + b"\xff\xfe\xfd" + saved(X=X, y=Y)[303:], "SC361", 'the array "X" is damaged'),
}  # fmt: skip


@pytest.mark.parametrize("name", NPZ_MISTAKES)
def test_I15_npz_files(name, softclass, model):
    content, code, message = NPZ_MISTAKES[name]
    Path("data.npz").write_bytes(content)

    ran = softclass("train", "data.npz", *QUICK)

    assert ran.status == 3
    assert ran.first.startswith(f"error[{code}] ")
    assert message in ran.first


def test_I15_long_headers_are_refused_and_odd_orders_are_read(softclass):
    with zipfile.ZipFile("long.npz", "w") as archive:
        archive.writestr(
            "X.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", len(LONG_HEADER)) + LONG_HEADER + X.tobytes()
        )
        archive.writestr("y.npy", b"")
    Path("odd.npz").write_bytes(saved(X=np.asfortranarray(X), y=Y.astype(">i4")))

    long, odd = softclass("train", "long.npz", *QUICK), softclass("train", "odd.npz", *QUICK)

    assert (long.status, long.first) == (
        3, "error[SC361] long.npz, X: must be a whole NPZ file; its header states a length of 70,001 bytes",
    )  # fmt: skip
    assert (odd.status, "20 images" in odd.out) == (0, True)


def test_I16_many_files_are_read_sorted_with_progress(softclass, model):
    """A thousand files stand for a million: memory and order have tests in tests/data/test_images.py."""
    image = png_bytes(60, (8, 8))
    write_tree(Path("data"), {f"{at}.png": image for at in range(1000)})

    ran = softclass("predict", model, "data", "--no-proba", "--progress", "json")

    files = [row["file"] for row in rows(ran.out)]
    assert files == sorted(files)
    assert len(files) == 1000
    assert '"name":"predicting","done":1000' in ran.err.replace(": ", ":").replace(", ", ",")


def test_a_report_on_other_images_counts_those(softclass, model):
    classes("other", 7)

    ran = softclass("report", model, "--data", "other", "-o", "page.html")

    page = Path("page.html").read_text(encoding="utf-8")
    assert ran.status == 0
    assert "<h1>other</h1>" in page
    assert '<data value="14">14</data> images' in page
    assert '<data value="40">40</data> images' not in page
