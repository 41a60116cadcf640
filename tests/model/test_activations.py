"""The layers of a model as a page draws them: their shapes, and what each gives, against float64 by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from made_models import STEPS, Made, make_image_network, make_images, make_table, make_table_network, rows_of
from softclass.model.activations import DrawnModel
from softclass.model.file import open_model
from softclass.model.model import Model
from softclass.model.session import Session
from softclass.networks.architecture import Architecture
from softclass.networks.known_architectures import realmlp
from softclass.networks.layers import Convolution, Flatten, FullyConnected, MaxPool, Pixels, Relu

OUTPUTS = ["logits", "probabilities", "label"]
DEMO = Path(__file__).resolve().parents[1] / "golden" / "demo" / "digits-cnn.onnx"


def drawn_of(made: Made) -> DrawnModel:
    return DrawnModel(made.body, made.manifest.n_parameters, threads=1)


def kinds(drawn: DrawnModel) -> list[str]:
    return [layer.kind for layer in drawn.layers]


# A border on some sides only, an odd number of rows, three channels, a hidden layer.
SMALL = Architecture(
    Pixels(9, 31, 3),
    (Convolution(3, 5, "same"), MaxPool(), Relu(), Flatten(), FullyConnected(7), Relu(), FullyConnected(3)),
)


def demo() -> tuple[Model, DrawnModel]:
    model = Model(open_model(DEMO), threads=1)
    return model, DrawnModel(model.body, model.manifest.n_parameters, threads=1)


def test_the_layers_of_a_table_begin_behind_the_preprocessing() -> None:
    made = make_table()
    drawn = drawn_of(made)

    assert kinds(drawn) == ["opaque", "dense", "softmax"]
    assert drawn.layers[0].to_dict() == {
        "kind": "opaque", "name": "features", "output": [made.preprocessing.n_features], "parameters": 0,
        "label": "preprocessing",
    }  # fmt: skip
    assert not drawn.has_weights


def test_the_layers_of_a_network_on_a_table_are_all_there() -> None:
    made, *_ = make_table_network(lambda columns: realmlp(columns, 3))
    drawn = drawn_of(made)

    assert kinds(drawn)[0] == "opaque"
    assert kinds(drawn)[-2:] == ["dense", "softmax"]
    assert sum(layer.n_parameters for layer in drawn.layers) == made.manifest.n_parameters


def test_the_layers_of_the_demo_are_those_of_the_source_article() -> None:
    _, drawn = demo()

    assert [(layer.kind, layer.output, layer.n_parameters) for layer in drawn.layers] == [
        ("conv", (32, 26, 26), 320),
        ("maxpool", (32, 13, 13), 0),
        ("relu", (32, 13, 13), 0),
        ("flatten", (5408,), 0),
        ("dense", (10,), 54090),
        ("softmax", (10,), 0),
    ]
    assert drawn.has_weights


def test_a_convolution_says_what_it_takes_to_compute_it() -> None:
    _, drawn = demo()

    assert drawn.layers[0].to_dict() == {
        "kind": "conv", "name": "layer/0", "output": [32, 26, 26], "parameters": 320, "kernel": [3, 3],
        "stride": [1, 1], "pad": [0, 0, 0, 0], "weight": "layer/0/weight", "bias": "layer/0/bias",
    }  # fmt: skip


def convolved(image: np.ndarray, weight: np.ndarray, bias: np.ndarray, pad: list[int]) -> np.ndarray:
    """The definition, in float64; maps first."""
    top, left, bottom, right = pad
    image = np.pad(image, ((0, 0), (top, bottom), (left, right)))
    side = weight.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(image, (side, side), axis=(1, 2))
    return np.einsum("chwij,kcij->khw", windows, weight) + bias[:, None, None]


def pooled(maps: np.ndarray) -> np.ndarray:
    channels, height, width = maps.shape
    cut = maps[:, : height // 2 * 2, : width // 2 * 2]
    return cut.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4))


def by_hand(drawn: DrawnModel, image: np.ndarray) -> dict[str, np.ndarray]:
    """What every layer gives, from the weights and the list alone: what a page does."""
    weights = {name: values.astype(np.float64) for name, values in drawn.weights().items()}
    value, found = image, {}
    for layer in drawn.layers:
        facts = layer.to_dict()
        if layer.kind == "conv":
            value = convolved(value, weights[facts["weight"]], weights[facts["bias"]], facts["pad"])
        elif layer.kind == "maxpool":
            value = pooled(value)
        elif layer.kind == "relu":
            value = np.maximum(value, 0)
        elif layer.kind == "flatten":
            value = value.reshape(-1)
        elif layer.kind == "dense":
            value = weights[facts["weight"]] @ value + weights[facts["bias"]]
        found[facts["name"]] = value
    return found


@pytest.mark.parametrize(
    "made", [make_images(3), make_images(1), make_image_network(SMALL)[0]], ids=["rgb", "grey", "cnn"]
)
def test_activations_follow_from_list_and_weights(made: Made) -> None:
    drawn, spec = drawn_of(made), made.image
    assert spec is not None
    pixels = np.random.default_rng(3).integers(256, size=(1, *spec.shape)).astype(np.uint8)
    mean, std = (np.array(values)[:, None, None] for values in (made.preprocessing.mean, made.preprocessing.std))
    scaled = (pixels[0].transpose(2, 0, 1) - mean) / std

    found, expected = drawn.activations({"image": pixels}), by_hand(drawn, scaled)

    names = [layer.name for layer in drawn.layers[:-1]]
    assert [found[name].shape for name in names] == [layer.output for layer in drawn.layers[:-1]]
    flat, wanted = (np.concatenate([values[name].reshape(-1) for name in names]) for values in (found, expected))
    np.testing.assert_allclose(flat, wanted, rtol=1e-4, atol=1e-4)  # float32 sums
    np.testing.assert_allclose(found["logits"], found[drawn.layers[-2].name] / 1.3, rtol=1e-6)


def test_activations_end_in_what_the_model_says() -> None:
    model, drawn = demo()
    image = np.random.default_rng(1).integers(256, size=(1, 28, 28, 1)).astype(np.uint8)

    found, outputs = drawn.activations({"image": image}), model.session.run({"image": image})

    np.testing.assert_array_equal(found["logits"], outputs.logits[0])
    np.testing.assert_array_equal(found["probabilities"], outputs.probabilities[0])
    assert found["label"] == outputs.labels[0]


def test_the_features_of_a_row_are_those_of_the_preprocessing_in_the_order_of_the_weights() -> None:
    made = make_table()
    inputs = rows_of(STEPS, 1)

    found = drawn_of(made).activations(made.feeds(inputs))

    np.testing.assert_allclose(found["layer/0"], made.logits(inputs)[0] * made.temperature, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(np.sort(found["features"]), np.sort(made.preprocessing.apply(inputs)[0]))


def test_the_file_itself_is_not_changed() -> None:
    made = make_table()
    before = bytes(made.body)

    drawn_of(made).activations(made.feeds(rows_of(STEPS, 1)))

    assert made.body == before
    assert list(Session(made.body, threads=1).run_all(made.feeds(rows_of(STEPS, 1)))) == OUTPUTS
