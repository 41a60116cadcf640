"""Fine-tuning: the layers of a fitted image network stay, and the last is fitted anew on other classes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import softclass
from asserts import assert_bit_equal, assert_close
from softclass.data import samples
from softclass.errors import UsageError
from softclass.model.backbone import read_backbone
from softclass.model.layers import read_layers
from softclass.model.train import train

QUIET = {"report": False, "predictions": False}


@pytest.fixture(scope="module")
def digits():
    """Images of 8 x 8 pixels in bytes, and their classes."""
    bunch = load_digits()
    return (bunch.images * 15.9).astype(np.uint8)[:, :, :, None], bunch.target


@pytest.fixture(scope="module")
def large(digits, tmp_path_factory) -> Path:
    """A network that knows the digits from 0 to 6."""
    pixels, labels = digits
    known = labels < 7
    run = tmp_path_factory.mktemp("large") / "run"
    train(pixels[known], labels[known], model="cnn", architecture="two-hidden", epochs=12, output=run, **QUIET)
    return run


@pytest.fixture(scope="module")
def others(digits):
    """The digits 7, 8 and 9, which the network has never seen."""
    pixels, labels = digits
    return pixels[labels >= 7], labels[labels >= 7]


@pytest.fixture(scope="module")
def tuned(large, others):
    return train(*others, backbone=large)


def test_features_are_what_the_last_layer_reads(large, digits):
    model = softclass.load(large)
    backbone = read_backbone(large)
    last = read_layers(model.body, model.manifest.preprocessing())[-1]

    found = backbone.features(digits[0][:70])

    assert found.shape == (70, 128)
    logits = model.session.run({"image": digits[0][:70]}).logits * model.manifest.temperature().temperature
    assert_close(found.astype(np.float64) @ last.weight.T + last.bias, logits, rtol=1e-4, atol=1e-4)


def test_an_images_features_do_not_depend_on_those_beside_it(large, digits):
    backbone = read_backbone(large)

    assert_bit_equal(backbone.features(digits[0][:70])[50:51], backbone.features(digits[0][50:51]))


def test_the_layers_stay_and_the_last_is_new(large, tuned):
    before, after = (read_layers(m.body, m.manifest.preprocessing()) for m in (softclass.load(large), tuned))

    assert len(before) == len(after) == 4
    for old, new in zip(before[:-1], after[:-1], strict=True):
        assert_bit_equal(old.weight, new.weight)
        assert_bit_equal(old.bias, new.bias)
    assert after[-1].weight.shape == (3, 128)


def test_the_file_says_what_it_stands_on(large, tuned):
    facts = tuned.manifest

    assert (tuned.kind, facts.fit["backbone"], facts.fit["converged"]) == (
        "fine-tuned",
        softclass.load(large).digest,
        True,
    )
    assert facts.preprocessing() == softclass.load(large).manifest.preprocessing()


def test_classes_that_the_network_never_saw_are_told_apart(tuned):
    assert tuned.classes == (7, 8, 9)
    assert tuned.evaluation.accuracy > 0.95


def test_the_run_has_a_report_and_repeats_to_the_byte(large, others, tmp_path):
    first = train(*others, backbone=large, output=tmp_path / "run")

    again = softclass.load(tmp_path / "run")
    assert_bit_equal(first.predict_proba(others[0][:9]), again.predict_proba(others[0][:9]))
    text = (tmp_path / "run" / "report.html").read_text()
    assert "softmax regression behind a backbone" in text
    assert "The weights belong to numbers that the backbone makes of an image, not to its pixels." in text
    assert f'backbone = "{large}"' in (tmp_path / "run" / "config.toml").read_text()
    assert train(*others, backbone=large).digest == first.digest


def test_folds_are_judged_behind_the_backbone(large, others, tmp_path):
    model = train(*others, backbone=large, cv=3, output=tmp_path / "run", report=False)

    assert '"cross_validation"' in (tmp_path / "run" / "metrics.json").read_text()
    assert model.kind == "fine-tuned"


def test_a_backbone_may_be_fine_tuned_itself(large, others, digits, tmp_path):
    train(*others, backbone=large, output=tmp_path / "run", **QUIET)

    again = train(*digits, backbone=tmp_path / "run")

    assert again.evaluation.accuracy > 0.93


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 3}, "[SC202] train: --epochs does not apply with --backbone, whose layers stay as they are"),
        ({"budget": "5s"}, "[SC202] train: --budget does not apply with --backbone, whose layers stay as they are"),
        ({"validation": 0.3}, "[SC202] train: --validation does not apply with --backbone"),
        ({"device": "cuda"}, "[SC202] train: --device does not apply with --backbone"),
        ({"model": "cnn"}, "[SC203] train: --backbone fits a last layer, --model cnn a whole network"),
        ({"image_size": "9x8"}, "[SC203] train: --image-size asks for another size than the backbone's, 8x8"),
        ({"channels": 3}, "[SC203] train: --channels asks for another size than the backbone's, 1"),
    ],
)
def test_options_that_contradict_a_backbone_are_refused(large, tmp_path, options, message):
    folder = tmp_path / "images"
    for label in "ab":
        (folder / label).mkdir(parents=True)
        for number in range(12):
            Image.new("L", (8, 8), 20 * number).save(folder / label / f"{number}.png")

    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        train(folder, backbone=large, **options)


@pytest.mark.parametrize("name", ["run", "run/model.onnx"])
def test_a_model_does_not_take_the_place_of_its_backbone(large, others, tmp_path, name):
    shutil.copytree(large, tmp_path / "run")

    with pytest.raises(UsageError, match=re.escape("[SC203] train: --output would take the place of the backbone")):
        train(*others, backbone=tmp_path / name, output=tmp_path / "run", overwrite=True)

    assert softclass.load(tmp_path / "run").digest == softclass.load(large).digest


def test_features_in_blocks_give_the_same_bytes(large, others):
    told: list[dict[str, Any]] = []

    def progress(event: str, facts: dict[str, Any]) -> None:
        if event == "fit":
            told.append(facts)

    streamed, whole = (train(*others, backbone=large, memory_limit=n, progress=progress) for n in (60_000, 2**30))

    assert [facts["streamed"] for facts in told] == [True, False]
    assert streamed.digest == whole.digest


def test_a_table_has_no_backbone(large):
    with pytest.raises(UsageError, match=re.escape("[SC202] train: --backbone does not apply to a table")):
        train(samples.path("penguins.csv"), "species", backbone=large)


def test_a_model_of_a_table_is_no_backbone(others, tmp_path):
    train(samples.path("penguins.csv"), "species", calibration=0.3, output=tmp_path / "run", **QUIET)

    with pytest.raises(UsageError, match=re.escape("[SC207] train: --backbone must name a model of images")):
        train(*others, backbone=tmp_path / "run")


def test_softmax_regression_is_no_backbone(others, tmp_path):
    train(*others, model="softmax", output=tmp_path / "run", **QUIET)

    with pytest.raises(UsageError, match=re.escape("[SC207] train: --backbone must have layers before its last")):
        train(*others, backbone=tmp_path / "run")
