"""SoftmaxCNN on images: what it learns, the shapes it takes, augmentation, weights, equal bits."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.datasets import load_digits

from asserts import assert_bit_equal
from softclass.errors import OptionError, UsageError
from softclass.estimators.pixel_encoding import fit_pixels
from softclass.estimators.softmax_cnn import SoftmaxCNN
from softclass.networks.architecture import Architecture
from softclass.networks.layers import Convolution, Flatten, FullyConnected, MaxPool, Pixels, Relu

DIGITS = load_digits()
IMAGES, LABELS = DIGITS.images.astype(np.uint8), DIGITS.target
FEW, FEW_LABELS = IMAGES[:300], LABELS[:300]


def _model(**options) -> SoftmaxCNN:
    return SoftmaxCNN(**({"epochs": 2, "n_jobs": 1} | options))


def _same(one: SoftmaxCNN, two: SoftmaxCNN) -> None:
    for name, array in one.parameters().items():
        assert_bit_equal(array, two.parameters()[name])


@pytest.mark.parametrize("architecture", ["classic", "two", "two-hidden", "fast-digits"])
def test_every_named_network_learns_digits(architecture):
    model = _model(architecture=architecture, epochs=12).fit(IMAGES[:1200], LABELS[:1200])

    assert model.score(IMAGES[1200:], LABELS[1200:]) > 0.9
    assert model.history_[-1]["validation_log_loss"] < model.history_[0]["validation_log_loss"]


def test_images_of_bytes_and_of_floats_give_nearly_the_same():
    bytes_, floats = _model().fit(FEW, FEW_LABELS), _model().fit(FEW.astype(np.float64), FEW_LABELS)

    # Means of exact sums and of float64 ones; the same network from there on.
    assert np.abs(bytes_.predict_proba(FEW) - floats.predict_proba(FEW.astype(float))).max() < 1e-4


def test_a_grey_image_may_have_an_axis_of_channels():
    _same(_model().fit(FEW, FEW_LABELS), _model().fit(FEW[..., None], FEW_LABELS))


def test_colours_are_channels():
    random = np.random.default_rng(0)
    y = np.arange(240) % 3
    images = random.integers(0, 100, (240, 9, 12, 3), dtype=np.uint8)
    images[np.arange(240), :, :, y] += 100

    model = _model(epochs=8).fit(images, y)

    assert model.score(images, y) > 0.95
    assert model.image_shape_ == (9, 12, 3)
    assert model.parameters()["stage1.weight"].shape == (3, 3, 3, 32)


def test_rows_of_numbers_are_images_of_one_line():
    random = np.random.default_rng(0)
    y = np.arange(400) % 2
    waves = np.sin(np.arange(30) * np.where(y, 0.9, 0.4)[:, None] + random.uniform(0, 6, 400)[:, None])

    model = _model(epochs=20).fit(waves, y)

    assert model.score(waves, y) > 0.95
    assert model.architecture_.input == Pixels(1, 30)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((10, 97, 20), "[SC141] Architecture: Pixels: `height` must lie in [1, 96]; got 97"),
        ((10, 9, 9, 5), "[SC141] Architecture: Pixels: `channels` must lie in [1, 4]; got 5"),
        ((10, 9, 9, 3, 1), "X must have 2, 3 or 4 axes; got 5"),
    ],
)
def test_images_that_no_network_takes_are_refused(shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        _model().fit(np.zeros(shape, np.uint8), np.arange(10) % 2)


def test_images_of_another_size_are_refused():
    model = _model(epochs=1).fit(FEW, FEW_LABELS)

    with pytest.raises(ValueError, match=re.escape("X must hold images of shape (8, 8, 1); got (8, 9, 1)")):
        model.predict(np.zeros((2, 8, 9), np.uint8))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_must_be_finite(bad):
    images = FEW.astype(float)
    images[5, 2, 2] = bad

    with pytest.raises(ValueError, match="Input X contains"):
        _model().fit(images, FEW_LABELS)


def test_constants_of_bytes_are_exact():
    pixels = np.random.default_rng(0).integers(0, 256, (2000, 5, 7, 2), dtype=np.uint8)

    fitted = fit_pixels(pixels)

    flat = pixels.reshape(-1, 2).astype(np.float64)
    assert_bit_equal(flat.mean(axis=0).astype(np.float32), fitted.offset)
    assert_bit_equal((1 / flat.std(axis=0)).astype(np.float32), fitted.scale)


def test_a_constant_channel_has_scale_one():
    fitted = fit_pixels(np.full((3, 8, 8, 1), 7, np.uint8))

    assert (fitted.offset.tolist(), fitted.scale.tolist()) == ([7.0], [1.0])


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads):
    _same(_model().fit(FEW, FEW_LABELS), _model(n_jobs=threads).fit(FEW, FEW_LABELS))


def test_rows_of_weight_zero_are_the_same_as_none():
    weights = np.random.default_rng(0).integers(0, 3, 300).astype(float)
    kept = weights > 0

    _same(_model().fit(FEW, FEW_LABELS, weights), _model().fit(FEW[kept], FEW_LABELS[kept], weights[kept]))


def test_class_weights_move_predictions():
    plain = _model().fit(FEW, FEW_LABELS).predict_proba(FEW)
    weighted = _model(class_weight={3: 20.0}).fit(FEW, FEW_LABELS).predict_proba(FEW)

    assert weighted[:, 3].mean() > 1.2 * plain[:, 3].mean()


@pytest.mark.parametrize(
    ("augment", "expected"),
    [
        (None, (False, 0)), ("flip", (True, 0)), ("shift", (False, 2)), (("flip", "shift"), (True, 2)),
        ("auto", (False, 0)),
    ],
)  # fmt: skip
def test_augmentation_is_what_was_asked_for(augment, expected):
    model = _model(augment=augment).fit(FEW, FEW_LABELS)

    assert (model.plan_.flip, model.plan_.shift) == expected


def _arrows(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bright squares at a random place, whose size is the class: mirrored ones are as likely."""
    random = np.random.default_rng(seed)
    images, y = random.integers(0, 60, (n, 20, 20), dtype=np.uint8), np.arange(n) % 3
    for image, size in zip(images, y, strict=True):
        top, left = random.integers(0, 20 - 3 * (size + 1), 2)
        image[top : top + 3 * (size + 1), left : left + 3 * (size + 1)] += 150
    return images, y


def test_long_runs_try_flips_and_move_images():
    images, y = _arrows(300, 0)

    model = _model(epochs=12).fit(images, y)

    assert model.plan_.shift == 2
    assert model.score(*_arrows(300, 1)) > 0.9


def test_flips_ruin_what_tells_left_from_right():
    images = np.zeros((400, 12, 12), np.uint8)
    y = np.arange(400) % 2
    images[y == 0, :, :4] = 200
    images[y == 1, :, 8:] = 200
    images += np.random.default_rng(0).integers(0, 50, images.shape, dtype=np.uint8)

    plain, flipped = (_model(augment=augment, epochs=4).fit(images, y) for augment in (None, "flip"))
    auto = _model(epochs=12).fit(images, y)

    assert plain.score(images, y) == 1.0
    assert flipped.predict_proba(images).max(axis=1).mean() < 0.75
    assert auto.plan_.flip is False


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(OptionError, match=re.escape("[SC141] SoftmaxCNN: `augment` must name flip or shift; got blur")):
        _model(augment=["blur"]).fit(FEW, FEW_LABELS)


def test_dropout_stands_before_every_dense_layer():
    model = _model(architecture="two-hidden", dropout=0.5).fit(FEW, FEW_LABELS)

    assert [layer.dropout for layer in model.architecture_.hidden] == [0.5, 0.5]


@pytest.mark.parametrize(
    "options",
    [
        {"architecture": "two"}, {"augment": "flip"}, {"dropout": 0.5}, {"epochs": 3}, {"batch_size": 20},
        {"learning_rate": 0.1}, {"weight_decay": 0.9}, {"class_weight": {1: 3.0}}, {"validation_fraction": 0.2},
        {"random_state": 3},
    ],
    ids=str,
)  # fmt: skip
def test_every_option_changes_the_network(options):
    plain, other = _model().fit(FEW, FEW_LABELS), _model(**options).fit(FEW, FEW_LABELS)

    assert not np.array_equal(plain.predict_proba(FEW), other.predict_proba(FEW))


def test_a_whole_architecture_is_taken():
    layers = (Convolution(5, 5, "same"), MaxPool(), Relu(), Flatten(), FullyConnected(7), Relu(), FullyConnected(10))
    network = Architecture(Pixels(8, 8), layers)

    assert _model(architecture=network).fit(FEW, FEW_LABELS).architecture_ is network


def test_an_architecture_of_other_images_is_refused():
    network = Architecture(Pixels(9, 8), (Convolution(5), MaxPool(), Relu(), Flatten(), FullyConnected(10)))
    message = (
        "[SC141] SoftmaxCNN: `architecture` must take Pixels(height=8, width=8, channels=1) and have 10 classes; got"
        " Pixels(height=9, width=8, channels=1) and 10"
    )

    with pytest.raises(OptionError, match=re.escape(message)):
        _model(architecture=network).fit(FEW, FEW_LABELS)


def test_dropout_beside_a_whole_architecture_is_refused():
    network = Architecture(Pixels(8, 8), (Convolution(5), MaxPool(), Relu(), Flatten(), FullyConnected(10)))
    message = "[SC202] SoftmaxCNN: `dropout` has no effect where `architecture` is a whole network. Leave it out"

    with pytest.raises(UsageError, match=re.escape(message)):
        _model(architecture=network, dropout=0.1).fit(FEW, FEW_LABELS)


def test_partial_fit_learns_from_batch_to_batch():
    model = SoftmaxCNN(n_jobs=1)
    for _ in range(8):
        model.partial_fit(IMAGES[:1000], LABELS[:1000], classes=np.arange(10))

    assert model.score(IMAGES[1000:], LABELS[1000:]) > 0.87


def test_warm_start_goes_on():
    model = _model(warm_start=True).fit(FEW, FEW_LABELS)
    first = model.history_[-1]["train_loss"]

    assert model.fit(FEW, FEW_LABELS).history_[-1]["train_loss"] < first


def test_a_single_image_has_probabilities():
    model = _model().fit(FEW, FEW_LABELS)

    # A row alone, and among others: the same bits.
    assert_bit_equal(model.predict_proba(FEW)[7:8], model.predict_proba(FEW[7:8]))
