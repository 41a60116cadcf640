"""The convolutional engine against the float64 network."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close
from networks.reference_network import Batch, logits, loss_and_gradients, normalised, smallest_gap
from softclass.errors import OptionError
from softclass.networks.architecture import Architecture
from softclass.networks.augmentation import augmented, draws, philox
from softclass.networks.engine import Plan, Rows
from softclass.networks.layers import Convolution, Dropout, Flatten, FullyConnected, Layer, MaxPool, Pixels, Relu
from softclass.networks.native import NativeEngine

FACTORS: dict[str, Sequence[Any]] = {
    "stages": (1, 2),
    "kernel": (3, 5),
    "padding": ("valid", "same"),
    "channels": (1, 2, 3, 4),
    "maps": (1, 8, 16, 17, 48),
    "height": (8, 9, 11, 28, 31, 64, 95, 96),
    "width": (8, 9, 11, 28, 31, 64, 95, 96),
    "n_classes": (2, 3, 10, 12, 13, 100, 1000),
    "hidden": ((), (7,), (128, 64)),
    "dropout": (0.0, 0.4),
    "weighted": (False, True),
    "smoothing": (0.0, 0.1),
    "soft": (False, True),
    "floats": (False, True),
}


def network(
    pixels: Pixels,
    stages: Sequence[tuple[int, int, str]],
    hidden: Sequence[int],
    n_classes: int,
    dropout: float = 0.0,
) -> Architecture:
    """Stages are (maps, kernel, padding); dropout stands before every dense layer."""
    layers: list[Layer] = []
    for maps, kernel, padding in stages:
        layers += [Convolution(maps, kernel, padding), MaxPool(), Relu()]
    drop = [Dropout(dropout)] if dropout else []
    layers.append(Flatten())
    for width in hidden:
        layers += [*drop, FullyConnected(width), Relu()]
    return Architecture(pixels, (*layers, *drop, FullyConnected(n_classes)))


def architecture_of(case: dict[str, Any]) -> Architecture | None:
    """The network of a case, None if nothing would be left of its maps."""
    other = {1: 16, 8: 17, 16: 8, 17: 48, 48: 1}[case["maps"]]
    stages = [(case["maps"], case["kernel"], case["padding"]), (other, 8 - case["kernel"], case["padding"])]
    pixels = Pixels(case["height"], case["width"], case["channels"])
    try:
        return network(pixels, stages[: case["stages"]], case["hidden"], case["n_classes"], case["dropout"])
    except OptionError:
        return None


def covering() -> Iterator[dict[str, Any]]:
    """Cases in which every two values of every two factors meet, unless no network has both."""
    random = np.random.default_rng(3)
    pairs = [
        ((a, x), (b, y))
        for a, b in itertools.combinations(FACTORS, 2)
        for x in range(len(FACTORS[a]))
        for y in range(len(FACTORS[b]))
    ]
    missing = dict.fromkeys(pairs)
    while missing:
        first = next(iter(missing))
        best: dict[str, int] = {}
        most: list[Any] = []
        for _ in range(12):
            case = {name: int(random.integers(len(values))) for name, values in FACTORS.items()} | dict(first)
            if architecture_of({name: FACTORS[name][place] for name, place in case.items()}) is None:
                continue
            met = [pair for pair in itertools.combinations(case.items(), 2) if pair in missing]
            if len(met) > len(most):
                best, most = case, met
        missing.pop(first)
        for pair in most:
            missing.pop(pair, None)
        if best:
            yield {name: FACTORS[name][place] for name, place in best.items()}


CASES = list(covering())


def example(architecture: Architecture, n: int, *, soft: bool = False, weighted: bool = False, seed: int = 0) -> Rows:
    random = np.random.default_rng(seed)
    what = architecture.input
    assert isinstance(what, Pixels)
    n_classes = architecture.n_classes
    targets: Any = random.integers(0, n_classes, n).astype(np.int32)
    if soft:
        targets = random.dirichlet(np.ones(n_classes), n).astype(np.float32)
    weight = (random.uniform(0.2, 2, n) * (random.random(n) > 0.2)).astype(np.float32)
    return Rows(
        targets,
        weight if weighted else None,
        pixels=random.integers(0, 256, (n, what.height, what.width, what.channels), dtype=np.uint8),
        offset=random.uniform(50, 150, what.channels).astype(np.float32),
        scale=(1 / random.uniform(40, 90, what.channels)).astype(np.float32),
    )


def started(architecture: Architecture, *, n_threads: int = 1, label_smoothing: float = 0.0) -> NativeEngine:
    engine = NativeEngine(architecture, seed=5, n_threads=n_threads, label_smoothing=label_smoothing)
    engine.initialise()
    return engine


def batch_of(engine: NativeEngine, rows: Rows, indices: Any, masks: Sequence[Any] = ()) -> Batch:
    assert rows.pixels is not None
    assert rows.offset is not None
    assert rows.scale is not None
    return Batch(
        rows.targets[indices],
        images=normalised(rows.pixels[indices], rows.offset, rows.scale),
        weight=None if rows.weight is None else rows.weight[indices],
        label_smoothing=engine.label_smoothing,
        masks=masks,
    )


def assert_as_truth(engine: NativeEngine, rows: Rows, indices: Any, masks: Sequence[Any] = ()) -> None:
    parameters, batch = engine.parameters(), batch_of(engine, rows, indices, masks)
    expected = logits(engine.architecture, parameters, replace(batch, masks=()))
    found = engine.logits(rows, indices)
    assert np.abs(found - expected).max() <= 4e-6 * max(1.0, float(np.abs(expected).max()))
    loss, gradients = loss_and_gradients(engine.architecture, parameters, batch)
    found_loss, found_gradients = engine.loss_and_gradients(rows, indices, dropout_masks=masks or None)
    assert found_loss == pytest.approx(loss, rel=1e-6)
    for name, gradient in gradients.items():
        layer = name.split(".")[0]  # the gradient of a single bias may be a small rest of large terms
        scale = max(np.abs(gradients[f"{layer}.weight"]).max(), np.abs(gradients[f"{layer}.bias"]).max())
        assert np.abs(found_gradients[name] - gradient).max() <= 5e-6 * scale, name


def make_exact(engine: NativeEngine, rows: Rows) -> Rows:
    """Round pixels and weights: values of the first stage are then exact in float32, equal ones equal in any order.

    Among hundreds of thousands of windows a few would otherwise have another winner in float64.
    """
    state = engine.state()
    weight, bias = ("stage1.weight", "stage1.bias")
    rounded = {name: np.round(state.parameters[name] * 2048) / np.float32(2048) for name in (weight, bias)}
    engine.load_state(replace(state, parameters={**state.parameters, **rounded}))
    ones = np.ones_like(rows.scale)
    return replace(rows, offset=128 * ones, scale=ones / np.float32(64))


def masks_of(architecture: Architecture, n: int) -> list[Any]:
    random = np.random.default_rng(9)
    return [random.random((n, layer.n_in)) > 0.3 for layer in architecture.hidden if layer.dropout > 0]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_gradients_are_those_of_the_float64_network(number: int) -> None:
    case = CASES[number]
    architecture = architecture_of(case)
    assert architecture is not None
    n = 17 if architecture.multiplications < 1_000_000 else 3
    indices, masks = np.random.default_rng(number).permutation(n + 2)[:n], masks_of(architecture, n)
    engine = started(architecture, label_smoothing=case["smoothing"])
    for seed in range(number, number + 1000, 100):
        rows = example(architecture, n + 2, soft=case["soft"], weighted=case["weighted"], seed=seed)
        if case["floats"]:
            assert rows.pixels is not None
            rows = replace(rows, pixels=rows.pixels.astype(np.float32) + np.float32(0.5))
        rows = make_exact(engine, rows)
        if smallest_gap(architecture, engine.parameters(), batch_of(engine, rows, indices, masks)) > 5e-7:
            break
    assert_as_truth(engine, rows, indices, masks)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 128])
@pytest.mark.parametrize("stages", [1, 2])
def test_gradients_of_batches_of_every_size(n: int, stages: int) -> None:
    architecture = network(Pixels(14, 11), [(32, 3, "same"), (33, 3, "same")][:stages], (), 10)
    rows = example(architecture, 150, weighted=True)
    assert_as_truth(started(architecture), rows, np.random.default_rng(n).permutation(150)[:n])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 6), (3, 20), (7, 5)])
def test_small_images_are_centred_in_zeros(height: int, width: int) -> None:
    architecture = network(Pixels(height, width, 2), [(16, 3, "valid")], (), 3)
    assert_as_truth(started(architecture), example(architecture, 9), np.arange(9))


@pytest.mark.slow
@pytest.mark.parametrize("maps", [(1024, 16), (16, 1024)])
def test_many_maps(maps: tuple[int, int]) -> None:
    stages = [(maps[0], 3, "same"), (maps[1], 5, "same")]
    architecture = network(Pixels(8, 9), stages, (300,), 12)
    assert_as_truth(started(architecture), example(architecture, 2), np.arange(2))


def of_whole_numbers(architecture: Architecture, seed: int) -> NativeEngine:
    """Weights of -1, 0 and 1: sums of small whole numbers are exact, and many of them are equal."""
    engine = started(architecture)
    random = np.random.default_rng(seed)
    state = engine.state()
    whole = {name: random.integers(-1, 2, value.shape).astype(np.float32) for name, value in state.parameters.items()}
    engine.load_state(replace(state, parameters=whole))
    return engine


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("image", ["constant", "whole numbers"])
def test_ties_fall_to_the_first_position(stages: int, image: str) -> None:
    architecture = network(Pixels(15, 13), [(17, 3, "same"), (16, 5, "same")][:stages], (5,), 3)
    rows = example(architecture, 8)
    pixels = np.random.default_rng(1).integers(0, 3, (8, 15, 13, 1), dtype=np.uint8)
    if image == "constant":
        pixels[:] = 3
    one = np.ones(1, np.float32)
    rows = replace(rows, pixels=pixels, offset=one, scale=one)
    assert_as_truth(of_whole_numbers(architecture, 4), rows, np.arange(8))


@pytest.mark.parametrize("stages", [1, 2])
def test_dead_units_send_nothing_back(stages: int) -> None:
    architecture = network(Pixels(12, 13), [(16, 3, "valid"), (8, 3, "same")][:stages], (), 3)
    engine = started(architecture)
    state = engine.state()
    dead = {**state.parameters, f"stage{stages}.bias": np.full_like(state.parameters[f"stage{stages}.bias"], -1e6)}
    engine.load_state(replace(state, parameters=dead))
    rows = example(architecture, 6)
    _, gradients = engine.loss_and_gradients(rows, np.arange(6))

    assert_as_truth(engine, rows, np.arange(6))
    for name, gradient in gradients.items():
        assert np.any(gradient) == (name == "dense1.bias"), name


@pytest.mark.parametrize("ties", [False, True])
def test_gradients_are_those_of_torch(ties: bool) -> None:
    torch = pytest.importorskip("torch")
    architecture = network(Pixels(15, 14, 2), [(17, 3, "same"), (16, 5, "valid")], (9,), 4)
    rows = example(architecture, 20)
    engine = started(architecture)
    if ties:
        assert rows.pixels is not None
        rows = replace(rows, pixels=rows.pixels % 3, offset=np.ones(2, np.float32), scale=np.ones(2, np.float32))
        engine = of_whole_numbers(architecture, 8)
    loss, gradients = engine.loss_and_gradients(rows, np.arange(20))

    p = {name: torch.tensor(v, dtype=torch.float64, requires_grad=True) for name, v in engine.parameters().items()}
    images = batch_of(engine, rows, np.arange(20)).images
    x = torch.tensor(images, dtype=torch.float64).permute(0, 3, 1, 2)
    for number, pad in ((1, 1), (2, 0)):
        weight = p[f"stage{number}.weight"].permute(3, 2, 0, 1)
        x = torch.nn.functional.conv2d(x, weight, p[f"stage{number}.bias"], padding=pad)
        x = torch.relu(torch.nn.functional.max_pool2d(x, 2))
    h = torch.relu(x.permute(0, 2, 3, 1).flatten(1) @ p["dense1.weight"].T + p["dense1.bias"])
    z = h @ p["dense2.weight"].T + p["dense2.bias"]
    expected = torch.nn.functional.cross_entropy(z, torch.tensor(rows.targets, dtype=torch.int64))
    expected.backward()

    assert loss == pytest.approx(expected.item(), rel=1e-6)
    for name, value in p.items():
        scale = float(value.grad.abs().max())
        assert_close(value.grad.numpy(), gradients[name], rtol=0, atol=5e-6 * scale)


def test_a_nan_weight_reaches_the_loss() -> None:
    architecture = network(Pixels(9, 9), [(17, 3, "valid"), (5, 3, "same")], (), 3)
    rows = example(architecture, 3)
    for name in ("stage1.weight", "stage1.bias", "stage2.weight", "dense1.weight"):
        engine = started(architecture)
        state = engine.state()
        spoiled = state.parameters[name].copy()
        spoiled.flat[spoiled.size // 2] = np.nan
        engine.load_state(replace(state, parameters={**state.parameters, name: spoiled}))
        assert np.isnan(engine.loss_and_gradients(rows, np.arange(3))[0]), name


SHIFTS = [(False, 2), (True, 0), (True, 3)]


@pytest.mark.parametrize(("flip", "shift"), SHIFTS)
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_images_are_mirrored_and_moved_as_augmentation_says(flip: bool, shift: int, padding: str) -> None:
    """The first moment after one step is the gradient of the images that augmentation.py makes."""
    architecture = network(Pixels(10, 12, 3), [(16, 3, padding)], (), 4)
    rows, engine = example(architecture, 64), started(architecture)
    order = np.random.default_rng(2).permutation(64)
    plan = Plan(64, 40, 1, 1e-3, flip=flip, shift=shift, first_epoch=3)
    engine.run(rows, order, 0, 1, plan)
    assert rows.pixels is not None
    how = draws(5, 3, np.arange(64), flip=flip, shift=shift)
    made = replace(rows, pixels=augmented(rows.pixels, *how))
    _, gradients = started(architecture).loss_and_gradients(made, order[:40])

    assert np.any(made.pixels != rows.pixels)
    for name, moment in engine.state().first_moments.items():
        assert_bit_equal(np.float32(1 - plan.beta1) * gradients[name], moment)


def test_dropout_is_drawn_by_place() -> None:
    """Piece f of the row's own stream decides about feature f in the order row, column, channel, without padding."""
    architecture = network(Pixels(12, 11), [(8, 3, "valid"), (21, 3, "same")], (19,), 3, dropout=0.3)
    rows, engine = example(architecture, 50), started(architecture)
    order = np.random.default_rng(2).permutation(50)
    plan = Plan(50, 37, 1, 1e-3, first_epoch=6)
    engine.run(rows, order, 0, 1, plan)
    masks = []
    for number, layer in enumerate(architecture.hidden):
        blocks = np.arange(-(-layer.n_in // 8))
        words = philox(5, blocks[None, :], order[:37, None], 6, 8 + number).reshape(37, -1)
        pieces = np.stack([words & np.uint32(0xFFFF), words >> np.uint32(16)], axis=-1).reshape(37, -1)
        masks.append(pieces[:, : layer.n_in] >= round(65536 * 0.3))
    _, gradients = started(architecture).loss_and_gradients(rows, order[:37], dropout_masks=masks)

    for name, moment in engine.state().first_moments.items():
        assert_bit_equal(np.float32(1 - plan.beta1) * gradients[name], moment)


def test_a_row_of_weight_zero_is_as_if_it_were_not_there() -> None:
    architecture = network(Pixels(10, 10), [(16, 3, "valid")], (), 3)
    rows = example(architecture, 12)
    weight = np.ones(12, np.float32)
    weight[[2, 5]] = 0
    kept = np.flatnonzero(weight)
    loss, gradients = started(architecture).loss_and_gradients(replace(rows, weight=weight), np.arange(12))
    expected, without = started(architecture).loss_and_gradients(rows, kept)

    assert loss * 12 == pytest.approx(expected * 10, rel=1e-12)
    for name, gradient in without.items():
        assert_close(gradient * 10 / 12, gradients[name], rtol=1e-5, atol=1e-8)
