"""A list of images through the product: learned from, predicted, evaluated, tested on."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from softclass.errors import TableError
from softclass.model.train import train

# Small tables, on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::softclass.errors.SoftclassWarning")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Pictures that are mostly red or mostly green, in one folder, and a list of them."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    (folder / "all").mkdir()
    lines = ["image,colour"]
    for at in range(80):
        pixels = random.integers(0, 90, (9, 8, 3)).astype(np.uint8)
        pixels[:, :, at % 2] += 120
        Image.fromarray(pixels).save(folder / "all" / f"{at:02}.png")
        lines.append(f"all/{at:02}.png,{('red', 'green')[at % 2]}")
    (folder / "photos.csv").write_text("\n".join(lines) + "\n")
    (folder / "new.csv").write_text("\n".join(line.partition(",")[0] for line in lines[:5]) + "\n")
    return folder


def test_a_list_is_learned_from_and_predicted(photos):
    model = train(photos / "photos.csv", "colour", model="softmax", C=1.0)

    assert model.classes == ("green", "red")
    assert model.evaluation.accuracy == 1.0
    assert list(model.predict(photos / "new.csv")) == ["red", "green", "red", "green"]
    assert model.evaluate(photos / "photos.csv").accuracy == 1.0


def test_a_list_gives_the_model_of_the_folder_with_the_same_images(photos, tmp_path):
    for line in (photos / "photos.csv").read_text().splitlines()[1:]:
        file, colour = line.split(",")
        (tmp_path / colour).mkdir(exist_ok=True)
        (tmp_path / colour / file.removeprefix("all/")).write_bytes((photos / file).read_bytes())
    exact = {"model": "softmax", "C": 1.0, "tol": 1e-9, "test": 0.0, "calibration": 0.0}
    by_folder = train(tmp_path, **exact)
    by_list = train(photos / "photos.csv", **exact)

    images = sorted(str(path) for path in (photos / "all").iterdir())
    np.testing.assert_allclose(by_list.predict_proba(images), by_folder.predict_proba(images), atol=1e-4)


def test_a_model_of_tables_reads_such_a_file_as_a_table(photos, tmp_path):
    table = {"image": ["a.png", "b.png"] * 60, "size": list(range(120)), "kind": ["x", "y"] * 60}
    model = train(table, "kind", model="softmax", category=["image"], C=1.0)
    (tmp_path / "new.csv").write_text("image,size\na.png,3\nb.png,4\n")

    assert list(model.predict(tmp_path / "new.csv")) == ["x", "y"]
    with pytest.raises(TableError, match="SC331"):
        model.predict(photos / "all")
