"""The PyTorch engine against the float64 networks, and step by step against the native engine."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from asserts import assert_bit_equal, assert_close
from networks.reference_network import Batch, loss_and_gradients, normalised, smallest_gap
from softclass.errors import DeviceError, OptionError, ShapeError
from softclass.networks.architecture import Architecture
from softclass.networks.augmentation import permutation, philox
from softclass.networks.engine import EngineState, Plan, Rows
from softclass.networks.known_architectures import image_architecture
from softclass.networks.layers import (
    Columns,
    Convolution,
    Dropout,
    Embedding,
    Flatten,
    FullyConnected,
    MaxPool,
    Periodic,
    Pixels,
    Relu,
    Scale,
    Selu,
    Sigmoid,
    Tanh,
)
from softclass.networks.native import NativeEngine
from softclass.networks.training import Score, train_network

torch = pytest.importorskip("torch", reason="this engine is PyTorch's")
from softclass.networks import torch as torch_engine  # noqa: E402 - needs PyTorch
from softclass.networks.torch import TorchEngine, largest_of_windows  # noqa: E402
from softclass.networks.torch_rows import philox_words  # noqa: E402

SEED = 11
COLUMNS = Columns(5, (3, 14))
REALMLP = Architecture(
    COLUMNS,
    (
        *(Periodic(), Embedding(), Scale(), FullyConnected(40, ntk=True), Selu(), Dropout(0.2)),
        *(FullyConnected(30, ntk=True), Selu(), Dropout(0.1), FullyConnected(3, ntk=True)),
    ),
)
PLAIN = Architecture(COLUMNS, (FullyConnected(20), Tanh(), Dropout(0.3), FullyConnected(12), Tanh(), FullyConnected(3)))
CODES = Architecture(Columns(0, (3, 14)), (Embedding(4), FullyConnected(20), Sigmoid(), FullyConnected(3)))
IMAGE = Architecture(
    Pixels(11, 6, 2),  # narrower than 8: zeros around it
    (
        *(Convolution(9), MaxPool(), Relu(), Convolution(7, 5, "same"), MaxPool(), Relu(), Flatten(), Dropout(0.3)),
        *(FullyConnected(10), Relu(), FullyConnected(3)),
    ),
)
NETWORKS = {"realmlp": REALMLP, "plain": PLAIN, "codes": CODES, "image": IMAGE}


def rows_of(architecture: Architecture, n: int, seed: int = 0, *, soft: bool = False) -> Rows:
    random = np.random.default_rng(seed)
    what = architecture.input
    targets: Any = random.integers(0, 3, n).astype(np.int32)
    if soft:
        targets = random.dirichlet(np.ones(3), n).astype(np.float32)
    weight = (random.uniform(0.2, 2, n) * (random.random(n) > 0.2)).astype(np.float32)
    if isinstance(what, Pixels):
        pixels = random.integers(0, 256, (n, what.height, what.width, what.channels), dtype=np.uint8)
        ones = np.ones(what.channels, np.float32)
        return Rows(targets, weight, pixels=pixels, offset=128 * ones, scale=ones / np.float32(64))
    numbers = random.standard_normal((n, what.numbers)).astype(np.float32) if what.numbers else None
    codes = np.stack([random.integers(0, count, n) for count in what.codes], axis=1).astype(np.int32)
    return Rows(targets, weight, numbers=numbers, codes=codes)


def engine_of(architecture: Architecture, **options: Any) -> TorchEngine:
    engine = TorchEngine(architecture, seed=SEED, n_threads=1, **options)
    engine.initialise()
    return engine


def digits(seed: int = 0) -> tuple[Rows, Rows]:
    """Pixels to learn from and to judge by."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(pixels))
    images = (pixels[order] * 15).astype(np.uint8).reshape(-1, 8, 8, 1)
    targets = labels[order].astype(np.int32)
    ones = np.ones(1, np.float32)
    first, last = (
        Rows(targets[part], pixels=images[part], offset=73 * ones, scale=ones / np.float32(90))
        for part in (slice(1300), slice(1300, None))
    )
    return first, last


def batch_of(architecture: Architecture, rows: Rows, indices: Any, smoothing: float, masks: Any) -> Batch:
    images = None
    if rows.pixels is not None:
        images = normalised(rows.pixels[indices], np.asarray(rows.offset), np.asarray(rows.scale))
    return Batch(
        rows.targets[indices],
        images=images,
        numbers=None if rows.numbers is None else rows.numbers[indices],
        codes=None if rows.codes is None else rows.codes[indices],
        weight=None if rows.weight is None else rows.weight[indices],
        label_smoothing=smoothing,
        masks=masks,
    )


@pytest.mark.parametrize("soft", [False, True], ids=["classes", "shares"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", NETWORKS)
def test_loss_and_gradients_are_those_of_the_float64_network(name: str, smoothing: float, soft: bool) -> None:
    architecture, random = NETWORKS[name], np.random.default_rng(1)
    engine = engine_of(architecture, label_smoothing=smoothing)
    indices = random.permutation(30)[:23]
    masks = [random.random((23, layer.n_in)) >= layer.dropout for layer in architecture.hidden if layer.dropout > 0]
    for seed in range(100):  # until no window is nearly a tie: which one wins there is a matter of rounding
        rows = rows_of(architecture, 30, seed, soft=soft)
        batch = batch_of(architecture, rows, indices, smoothing, masks)
        if smallest_gap(architecture, engine.parameters(), batch) > 5e-7:
            break

    loss, gradients = engine.loss_and_gradients(rows, indices, dropout_masks=masks or None)

    true_loss, true_gradients = loss_and_gradients(architecture, engine.parameters(), batch)
    assert loss == pytest.approx(true_loss, rel=1e-6)
    assert list(gradients) == list(architecture.parameter_shapes)
    for key, truth in true_gradients.items():
        assert np.abs(truth).max() > 0, key
        assert_close(truth, gradients[key], rtol=0, atol=5e-6 * max(np.abs(truth).max(), 0.01))


@pytest.mark.parametrize("name", NETWORKS)
def test_both_engines_start_from_the_same_bytes(name: str) -> None:
    native = NativeEngine(NETWORKS[name], seed=SEED, n_threads=1)
    native.initialise()

    for key, value in engine_of(NETWORKS[name]).parameters().items():
        assert_bit_equal(native.parameters()[key], value)


@pytest.mark.parametrize("name", ["classic", "two-hidden", "two-hidden with dropout and moved images"])
def test_fifty_steps_of_images_cost_what_they_cost_natively(name: str) -> None:
    name, *with_draws = name.split(maxsplit=1)
    rows, _ = digits()
    architecture = image_architecture(name, Pixels(8, 8), 10)
    if not with_draws:
        architecture = architecture.without_dropout()
    plan = Plan(len(rows), 64, 4, 3e-3, flip=bool(with_draws), shift=1 if with_draws else 0)

    assert_same_story(architecture, rows, plan)


@pytest.mark.parametrize("name", ["realmlp", "plain", "codes"])
def test_fifty_steps_of_tables_cost_what_they_cost_natively(name: str) -> None:
    rows = rows_of(NETWORKS[name], 500)
    rows = replace(rows, targets=np.asarray(rows.codes)[:, 1] % np.int32(3))

    assert_same_story(NETWORKS[name], rows, Plan(500, 64, 8, 0.02, "coslog4", 0.02, 0.9, 0.95, unknown=0.05))


def assert_same_story(architecture: Architecture, rows: Rows, plan: Plan) -> None:
    """The losses of 50 steps agree, and the hits of nearly all."""
    native, ours = NativeEngine(architecture, seed=SEED, n_threads=1), engine_of(architecture)
    native.initialise()
    losses, hits = [], []
    for step in range(50):
        order = permutation(SEED, step // plan.steps_per_epoch, len(rows))
        reports = [engine.run(rows, order, step, step + 1, plan) for engine in (native, ours)]
        assert reports[0].weight_sum == pytest.approx(reports[1].weight_sum, abs=1e-5)
        assert reports[0].gradient_norm == pytest.approx(reports[1].gradient_norm, rel=1e-2)
        losses.append([report.loss_sum / report.weight_sum for report in reports])
        hits.append([report.correct for report in reports])
    expected, found = np.transpose(losses)
    assert_close(expected, found, rtol=0, atol=1e-4)
    assert np.mean([np.isclose(*pair) for pair in hits]) > 0.9
    assert found[-5:].mean() < 0.97 * found[:5].mean()  # it learned, so the steps were no idle ones


def test_a_state_goes_from_engine_to_engine() -> None:
    rows, _ = digits()
    architecture = image_architecture("classic", Pixels(8, 8), 10)
    plan = Plan(len(rows), 64, 4, 3e-3)
    native = NativeEngine(architecture, seed=SEED, n_threads=1)
    native.initialise()
    native.run(rows, np.arange(len(rows)), 0, 5, plan)
    state = native.state()
    ours = engine_of(architecture)

    ours.load_state(state)

    again = ours.state()
    for name in architecture.parameter_shapes:
        assert_bit_equal(state.first_moments[name], again.first_moments[name])
        assert_bit_equal(state.second_moments[name], again.second_moments[name])
    assert (again.step, again.beta1_product) == (state.step, state.beta1_product)
    expected = native.logits(rows, np.arange(1100, 40, -1))
    assert_close(expected, ours.logits(rows, np.arange(1100, 40, -1)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_where_a_run_is_cut_changes_no_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, plan = rows_of(NETWORKS[name], 90), Plan(90, 32, 2, 0.01, flip=True, shift=1, unknown=0.1)
    order = np.arange(90)[::-1]
    monkeypatch.setattr(torch_engine, "RUN_SECONDS", 1000.0)
    whole = engine_of(NETWORKS[name])
    reports = [whole.run(rows, order, 3 * epoch, 3 * epoch + 3, plan) for epoch in (0, 1)]
    monkeypatch.setattr(torch_engine, "RUN_SECONDS", 0.0)
    cut, step, loss = engine_of(NETWORKS[name]), 0, 0.0
    while step < 6:
        report = cut.run(rows, order, step, (step // 3 + 1) * 3, plan)
        assert report.last_step == step + 1
        step, loss = report.last_step, loss + report.loss_sum
        state = cut.state()
        cut = engine_of(NETWORKS[name])
        cut.load_state(state)

    assert loss == sum(report.loss_sum for report in reports)
    assert_same_state(whole.state(), cut.state())


def assert_same_state(expected: EngineState, found: EngineState) -> None:
    for part in ("parameters", "first_moments", "second_moments"):
        for name, value in getattr(expected, part).items():
            assert_bit_equal(value, getattr(found, part)[name])
    assert (expected.step, expected.beta1_product, expected.beta2_product) == (
        *(found.step, found.beta1_product),
        found.beta2_product,
    )


def test_the_training_story_takes_it() -> None:
    rows, validation = digits()
    engine = engine_of(image_architecture("classic", Pixels(8, 8), 10))

    def score(logits: Any, targets: Any, weight: Any) -> Score:
        top = logits.max(axis=1, keepdims=True)
        log_chances = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        loss = float(-log_chances[np.arange(len(targets)), targets].mean())
        return Score(loss, 1.0, loss, float((logits.argmax(axis=1) == targets).mean()))

    found = train_network(engine, rows, validation, Plan(len(rows), 64, 5, 5e-3), seed=SEED, score=score)

    assert found.history[-1]["validation_log_loss"] < 0.2
    assert engine.logits(validation).argmax(axis=1).tolist() != validation.targets.tolist()
    assert (engine.logits(validation).argmax(axis=1) == validation.targets).mean() > 0.93


@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
def test_draws_on_a_device_are_those_of_numpy(seed: int) -> None:
    rows = np.array([0, 5, 2**32 - 1])

    found = philox_words(seed, torch.from_numpy(rows), 3, 2, 9).numpy()

    words = philox(seed, np.arange(3)[None, :], rows[:, None], 2, 9).reshape(3, 12)
    assert_bit_equal(words.astype(np.int64), found)


@pytest.mark.parametrize("shape", [(2, 3, 6, 8), (1, 2, 7, 5)])
def test_the_pool_of_other_devices_is_that_of_the_processor(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(0, 3, shape).astype(np.float64)  # many are equal
    ours, theirs = (torch.tensor(values, requires_grad=True) for _ in range(2))

    found, expected = largest_of_windows(ours), torch.nn.functional.max_pool2d(theirs, 2)

    upstream = torch.randn(found.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found.backward(upstream)
    expected.backward(upstream)
    assert torch.equal(found, expected)
    assert torch.equal(ours.grad, theirs.grad)


def test_pytorch_is_left_as_it_was() -> None:
    threads, rows = torch.get_num_threads(), rows_of(PLAIN, 32)
    torch.set_num_threads(2)
    try:
        engine_of(PLAIN).run(rows, np.arange(32), 0, 1, Plan(32, 16, 1, 0.01))

        assert torch.get_num_threads() == 2
        assert not torch.are_deterministic_algorithms_enabled()
        assert torch.utils.deterministic.fill_uninitialized_memory
    finally:
        torch.set_num_threads(threads)


def test_nan_stops_the_steps_and_says_which() -> None:
    rows, plan, engine = rows_of(PLAIN, 48), Plan(48, 16, 1, 0.01), engine_of(PLAIN)
    engine.run(rows, np.arange(48), 0, 1, plan)
    state = engine.state()
    broken = {**state.parameters, "dense1.bias": np.full(20, np.nan, np.float32)}
    engine.load_state(replace(state, parameters=broken))

    report = engine.run(rows, np.arange(48), 1, 3, plan)

    assert (report.is_finite, report.last_step, report.weight_sum) == (False, 1, 0.0)
    assert engine.state().step == 1


def test_moments_without_gradient_reach_zero() -> None:
    rows, engine = rows_of(PLAIN, 16), engine_of(PLAIN)
    state = engine.state()
    dead = {name: np.zeros_like(value) for name, value in state.parameters.items()}  # tanh(0) = 0: no gradient inside
    tiny = {name: np.full_like(value, 1e-30) for name, value in dead.items()}
    engine.load_state(replace(state, parameters=dead, first_moments=tiny, second_moments=dict(tiny)))

    engine.run(rows, np.arange(16), 0, 1, Plan(16, 16, 1, 0.01))

    assert np.array_equal(engine.state().first_moments["dense1.weight"], np.zeros((20, 22)))


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(OptionError, match="SC141"):
        TorchEngine(PLAIN, seed=0, label_smoothing=1.0)
    with pytest.raises(DeviceError, match=r"SC602\] TorchEngine: `device`.* got 'abacus'"):
        TorchEngine(PLAIN, seed=0, device="abacus")
    engine = engine_of(PLAIN)
    state = engine.state()
    with pytest.raises(ShapeError, match=r"SC101.*a state must have the parameters"):
        engine.load_state(replace(state, first_moments={}))
    with pytest.raises(ShapeError, match=r"SC101.*`dropout_masks` must have the shapes \[\(4, 20\)\]"):
        engine.loss_and_gradients(rows_of(PLAIN, 4), np.arange(4), dropout_masks=[np.ones((4, 3), bool)])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DeviceError, match='"cpu" works everywhere'):
        TorchEngine(PLAIN, seed=0, device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_gpu_gives_the_logits_of_the_processor(name: str) -> None:
    rows = rows_of(NETWORKS[name], 40)

    found = engine_of(NETWORKS[name], device="cuda").logits(rows)

    assert_close(engine_of(NETWORKS[name]).logits(rows), found, rtol=0, atol=1e-2)


def test_without_pytorch_the_error_says_how_to_install_it() -> None:
    script = """
import sys
class Absent:
    def find_spec(self, name, *_):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name=name)
sys.meta_path.insert(0, Absent())
try:
    import softclass.networks.torch
except ImportError as error:
    print(type(error).__name__, error)
"""

    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert said.startswith("MissingExtraError [SC601] TorchEngine: ")
    assert said.endswith("pip install 'softclass[torch]'\n")
