"""Deep networks with batch normalisation: PyTorch trains them, the model file holds plain convolutions."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_digits

from asserts import assert_bit_equal, assert_close
from softclass import SoftmaxCNN
from softclass.data.image_set import ImageSpec
from softclass.data.pixels import PixelPreprocessing
from softclass.errors import MissingExtraError, OptionError, UsageError
from softclass.estimators.image_augmentation import chosen_augmentation
from softclass.model.graph import build_graph
from softclass.model.layers import read_layers
from softclass.model.session import Session
from softclass.model.train import train
from softclass.networks.architecture import Architecture, is_statistic
from softclass.networks.engine import Plan, Rows
from softclass.networks.fitted_layers import FittedConvolution, fitted_layers, n_fitted_parameters
from softclass.networks.known_architectures import image_architecture
from softclass.networks.layers import BatchNorm, Convolution, Flatten, FullyConnected, MaxPool, Pixels, Relu
from softclass.networks.native import NativeEngine
from softclass.networks.plans import Chosen, image_plan

torch = pytest.importorskip("torch", reason="deep networks are PyTorch's")
from softclass.networks.torch import STATISTIC_MOMENTUM, TorchEngine  # noqa: E402 - needs PyTorch

Parameters = dict[str, npt.NDArray[Any]]
SMALL = Architecture(
    Pixels(9, 8, 3),
    (
        *(Convolution(5, 3, "same"), BatchNorm(), Relu(), Convolution(6, 3, "same"), BatchNorm(), MaxPool(), Relu()),
        *(Convolution(4), MaxPool(), Relu(), Flatten(), FullyConnected(3)),
    ),
)


def rows_of(n: int, pixels: Pixels, classes: int, seed: int = 0) -> Rows:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (n, pixels.height, pixels.width, pixels.channels), dtype=np.uint8)
    ones = np.ones(pixels.channels, np.float32)
    targets = random.integers(0, classes, n).astype(np.int32)
    return Rows(targets, pixels=images, offset=120 * ones, scale=ones / np.float32(64))


def made(architecture: Architecture, seed: int = 3) -> TorchEngine:
    """An engine whose normalisations are not what they start as."""
    engine = TorchEngine(architecture, seed=seed, n_threads=1)
    engine.initialise()
    state, random = engine.state(), np.random.default_rng(seed)
    for name, value in state.parameters.items():
        if name.endswith((".factor", ".mean")):
            value[...] = random.normal(0.3, 1, value.shape)  # some factors below zero
        if name.endswith(".variance"):
            value[...] = random.uniform(0.5, 2, value.shape)
    engine.load_state(state)
    return engine


def images_of(folder: Path) -> Path:
    """A folder as of images, whose files cannot be read."""
    for label in "ab":
        (folder / label).mkdir(parents=True)
        (folder / label / "1.png").write_bytes(b"damaged")
    return folder


def exact_logits(architecture: Architecture, p: Parameters, rows: Rows, *, of_batch: bool) -> npt.NDArray[np.float64]:
    """The network in float64 and loops over the kernel, by the formulas of the layers."""
    h = (np.asarray(rows.pixels, np.float64) - rows.offset) * rows.scale
    for number, stage in enumerate(architecture.stages, start=1):
        top, left, bottom, right = stage.pads
        h = np.pad(h, ((0, 0), (top, bottom), (left, right), (0, 0)))
        tall, wide, weight = h.shape[1] - stage.kernel + 1, h.shape[2] - stage.kernel + 1, p[f"stage{number}.weight"]
        a = np.zeros((len(h), tall, wide, stage.maps))
        for i in range(stage.kernel):
            for j in range(stage.kernel):
                a += h[:, i : i + tall, j : j + wide] @ weight[i, j]
        if stage.normalised:
            mean, variance = (a.mean((0, 1, 2)), a.var((0, 1, 2))) if of_batch else (
                p[f"stage{number}.mean"], p[f"stage{number}.variance"]
            )  # fmt: skip
            a = (a - mean) / np.sqrt(variance + 1e-5) * p[f"stage{number}.factor"]
        a += p[f"stage{number}.bias"]
        if stage.pooled:
            n, height, width, maps = a.shape
            a = a[:, : height // 2 * 2, : width // 2 * 2].reshape(n, height // 2, 2, width // 2, 2, maps).max((2, 4))
        h = np.maximum(a, 0)
    h = h.reshape(len(h), -1)
    return np.asarray(h @ p["dense1.weight"].T + p["dense1.bias"])


def exact_loss(architecture: Architecture, p: Parameters, rows: Rows) -> float:
    z = exact_logits(architecture, p, rows, of_batch=True)
    highest = z.max(axis=1)
    losses = np.log(np.exp(z - highest[:, None]).sum(axis=1)) + highest - z[np.arange(len(z)), rows.targets]
    return float(losses.mean())


@pytest.mark.parametrize(("name", "parameters"), [("deep", 104_426), ("deep5", 289_130)])
def test_what_is_learned_is_counted(name: str, parameters: int) -> None:
    architecture = image_architecture(name, Pixels(28, 28), 10)

    assert architecture.n_parameters == parameters
    assert Architecture.from_dict(architecture.to_dict()) == architecture


@pytest.mark.parametrize(("side", "stages"), [(4, 2), (8, 3), (28, 3), (63, 3), (64, 4), (128, 5), (224, 5)])
def test_a_stage_more_each_time_the_side_doubles(side: int, stages: int) -> None:
    architecture = image_architecture("deep", Pixels(side, side, 3), 10)

    assert len(architecture.stages) == stages
    assert min(architecture.stages[-1].height, architecture.stages[-1].width) >= 1


def test_deep_networks_have_their_own_plan() -> None:
    plan = image_plan(image_architecture("deep", Pixels(28, 28), 10), 50_000, Chosen())

    assert (plan.epochs, plan.batch, plan.decay, plan.peak_rate) == (8, 128, 0.05, 3e-3)


@pytest.mark.parametrize(
    "layers",
    [
        (Convolution(4), BatchNorm(), MaxPool(), Relu(), Flatten(), FullyConnected(3)),
        (Convolution(4), Relu(), Flatten(), FullyConnected(3)),
        (*3 * (Convolution(4, 3, "same"), MaxPool(), Relu()), Flatten(), FullyConnected(3)),
    ],
    ids=["normalised", "no pool", "three stages"],
)
def test_the_native_engine_refuses(layers: tuple[Any, ...]) -> None:
    with pytest.raises(OptionError, match=r"\[SC141\].*need PyTorch"):
        NativeEngine(Architecture(Pixels(16, 16), layers), seed=0, n_threads=1)


@pytest.mark.parametrize(
    "layers",
    [
        (Convolution(4), MaxPool(), BatchNorm(), Relu(), Flatten(), FullyConnected(3)),
        (Convolution(4), BatchNorm(), BatchNorm(), Relu(), Flatten(), FullyConnected(3)),
        (Flatten(), FullyConnected(3)),
    ],
    ids=["behind the pool", "twice", "no convolution"],
)
def test_the_grammar_refuses(layers: tuple[Any, ...]) -> None:
    with pytest.raises(OptionError, match=r"\[SC141\].*BatchNorm \(or not\)"):
        Architecture(Pixels(16, 16), layers)


@pytest.mark.parametrize("name", [name for name in SMALL.parameter_shapes if not is_statistic(name)])
def test_gradients_are_slopes_of_the_exact_loss(name: str) -> None:
    engine, rows = made(SMALL), rows_of(12, Pixels(9, 8, 3), 3)
    exact = {key: value.astype(np.float64) for key, value in engine.parameters().items()}
    way = np.random.default_rng(5).standard_normal(exact[name].shape)

    loss, gradients = engine.loss_and_gradients(rows, np.arange(12))

    h = 1e-6
    there, back = (exact_loss(SMALL, {**exact, name: exact[name] + s * h * way}, rows) for s in (1, -1))
    assert loss == pytest.approx(exact_loss(SMALL, exact, rows), rel=2e-6)
    assert float((gradients[name] * way).sum()) == pytest.approx((there - back) / (2 * h), rel=2e-4, abs=2e-6)


def test_statistics_have_no_gradient_and_are_left_alone_by_a_look() -> None:
    engine = made(SMALL)
    before = engine.parameters()

    _, gradients = engine.loss_and_gradients(rows_of(12, Pixels(9, 8, 3), 3), np.arange(12))

    assert list(gradients) == [name for name in SMALL.parameter_shapes if not is_statistic(name)]
    assert all(np.array_equal(before[name], value) for name, value in engine.parameters().items())


def test_a_step_moves_the_running_means_towards_the_batch() -> None:
    engine, rows = made(SMALL), rows_of(12, Pixels(9, 8, 3), 3)
    before = {name: value.astype(np.float64) for name, value in engine.parameters().items()}
    normed = (np.asarray(rows.pixels, np.float64) - rows.offset) * rows.scale
    h = np.pad(normed, ((0, 0), (1, 1), (1, 1), (0, 0)))
    a = sum(h[:, i : i + 9, j : j + 8] @ before["stage1.weight"][i, j] for i in range(3) for j in range(3))

    engine.run(rows, np.arange(12), 0, 1, Plan(12, 12, 1, 0.01))

    kept = 1 - STATISTIC_MOMENTUM
    variance = np.var(a, axis=(0, 1, 2), ddof=1)  # of a sample: the running mean estimates that of all rows
    after = engine.parameters()
    assert_close(
        kept * before["stage1.mean"] + 0.1 * np.mean(a, axis=(0, 1, 2)), after["stage1.mean"], rtol=1e-5, atol=1e-6
    )
    assert_close(kept * before["stage1.variance"] + 0.1 * variance, after["stage1.variance"], rtol=1e-5, atol=1e-6)


def test_logits_take_the_running_means() -> None:
    engine, rows = made(SMALL), rows_of(7, Pixels(9, 8, 3), 3)
    exact = {key: value.astype(np.float64) for key, value in engine.parameters().items()}

    logits = engine.logits(rows)

    assert_close(exact_logits(SMALL, exact, rows, of_batch=False), logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["deep", "deep5", "small"])
def test_the_graph_says_what_the_engine_says(name: str) -> None:
    pixels = Pixels(9, 8, 3) if name == "small" else Pixels(20, 17, 3)
    architecture = SMALL if name == "small" else image_architecture(name, pixels, 4)
    engine, rows = made(architecture), rows_of(33, pixels, 3)
    layers = fitted_layers(architecture, engine.parameters())
    assert n_fitted_parameters(architecture) == sum(layer.weight.size + layer.bias.size for layer in layers)
    mean, std = tuple(120.0 for _ in range(pixels.channels)), tuple(64.0 for _ in range(pixels.channels))
    spec = ImageSpec(pixels.height, pixels.width, pixels.channels)
    preprocessing = PixelPreprocessing(mean, std)
    classes = [str(k) for k in range(architecture.n_classes)]

    graph = build_graph(preprocessing, layers, classes, image=spec)

    found = Session(graph, threads=1).run({"image": rows.pixels})
    z = engine.logits(rows).astype(np.float64)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    assert_close(p / p.sum(axis=1, keepdims=True), found.probabilities, rtol=0, atol=1e-5)
    again = read_layers(graph, preprocessing)
    assert [layer.pooled for layer in again if isinstance(layer, FittedConvolution)] == [
        stage.pooled for stage in architecture.stages
    ]


def test_a_run_cut_in_two_comes_to_the_same_bytes() -> None:
    rows, plan = rows_of(40, Pixels(9, 8, 3), 3), Plan(40, 8, 1, 0.01)
    whole, first, second = (TorchEngine(SMALL, seed=1, n_threads=1) for _ in range(3))
    whole.initialise()
    first.initialise()
    done = 0
    while done < 5:
        done = whole.run(rows, np.arange(40), done, 5, plan).last_step
    first.run(rows, np.arange(40), 0, 1, plan)
    second.load_state(first.state())
    done = 1
    while done < 5:
        done = second.run(rows, np.arange(40), done, 5, plan).last_step

    for name, value in whole.parameters().items():
        assert_bit_equal(value, second.parameters()[name])


def test_a_normalisation_of_single_values_is_refused() -> None:
    layers = (*3 * (Convolution(4, 3, "same"), MaxPool(), Relu()), Convolution(4, 3, "same"), BatchNorm(), Relu())

    with pytest.raises(OptionError, match=r"\[SC141\].*the BatchNorm of stage 4 sees maps of one value"):
        Architecture(Pixels(8, 8), (*layers, Flatten(), FullyConnected(3)))


def test_logits_of_large_images_are_worked_out_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(9, Pixels(9, 8, 3), 3)
    whole = made(SMALL).logits(rows)
    monkeypatch.setattr("softclass.networks.torch.LOGIT_BYTES", 3 * 9 * 8 * 6 * 4)  # maps of three images
    engine, seen = made(SMALL), []
    forward = engine._forward
    monkeypatch.setattr(engine, "_forward", lambda inputs, *rest: seen.append(len(inputs[0])) or forward(inputs, *rest))

    found = engine.logits(rows)

    assert seen == [3, 3, 3]
    assert_close(whole, found, rtol=1e-5, atol=1e-5)


def test_running_means_that_overflow_are_seen() -> None:
    engine, rows = made(SMALL), rows_of(24, Pixels(9, 8, 3), 3)
    state = engine.state()
    state.parameters["stage1.weight"][...] *= np.float32(1e19)  # products are finite, their squares are not
    engine.load_state(state)

    report = engine.run(rows, np.arange(24), 0, 2, Plan(24, 12, 1, 1e-6))

    assert not report.is_finite
    assert report.last_step < 2


@pytest.mark.parametrize("side", [97, 200])
def test_mirrored_images_are_tried_for_large_images_too(side: int) -> None:
    pixels = Pixels(side, 12)
    rows, validation = rows_of(24, pixels, 2), rows_of(12, pixels, 2, seed=1)

    flip, shift = chosen_augmentation(image_architecture("deep", pixels, 2), rows, validation, 12, seed=0, threads=1)

    assert isinstance(flip, bool)
    assert shift == 0  # the shorter side is below 20


def test_a_trial_that_is_stopped_leaves_images_as_they_are() -> None:
    pixels, asked = Pixels(12, 12), []
    rows, validation = rows_of(24, pixels, 2), rows_of(12, pixels, 2, seed=1)

    def is_over() -> bool:
        asked.append(True)
        return True

    network = image_architecture("two", pixels, 2)
    flip, _ = chosen_augmentation(network, rows, validation, 12, seed=0, threads=1, should_stop=is_over)

    assert not flip
    assert len(asked) == 1  # the second run never began


def test_without_pytorch_nothing_is_read_or_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    images = np.zeros((20, 8, 8), np.uint8)

    with pytest.raises(MissingExtraError, match=r"\[SC601\] train: --architecture deep5 is trained by PyTorch"):
        train(images_of(tmp_path), architecture="deep5")
    with pytest.raises(MissingExtraError, match=r"\[SC601\] train: a network with --device cuda"):
        train(tmp_path / "absent.csv", "y", device="cuda")
    with pytest.raises(MissingExtraError, match=r"\[SC601\] SoftmaxCNN: this `architecture` is trained by PyTorch"):
        SoftmaxCNN(architecture="deep").fit(images, np.arange(20) % 2)


@pytest.mark.parametrize(("name", "side"), [("deep", 224), ("two", 96)])
def test_images_larger_than_the_network_takes_are_refused_early(tmp_path: Path, name: str, side: int) -> None:
    with pytest.raises(UsageError, match=rf"\[SC207\] train: --image-size must be at most {side}x{side}"):
        train(images_of(tmp_path), architecture=name, image_size=(side + 1, 8))


def test_a_pickled_classifier_goes_on_as_it_would_have() -> None:
    rows = rows_of(60, Pixels(8, 8), 3)
    model = SoftmaxCNN(architecture="deep", augment=None, n_jobs=1)
    model.partial_fit(rows.pixels, rows.targets, classes=[0, 1, 2])
    again = pickle.loads(pickle.dumps(model))

    for one in (model, again):
        one.partial_fit(rows.pixels, rows.targets)

    assert_bit_equal(model.predict_proba(rows.pixels), again.predict_proba(rows.pixels))


def test_a_deep_network_learns_digits() -> None:
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels * 15).astype(np.uint8).reshape(-1, 8, 8)

    model = SoftmaxCNN(architecture="deep", epochs=4, augment=None, n_jobs=1).fit(images[:1200], labels[:1200])

    assert model.score(images[1200:], labels[1200:]) > 0.93
