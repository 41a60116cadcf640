"""The PyTorch engine on a device: on one that is pretended everywhere, on a GPU where there is one.

What is pretended computes on the CPU and has every rule of a GPU, so the bytes must be those of the CPU by formulas.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from asserts import assert_bit_equal, assert_close
from softclass.errors import DeviceError, TooLargeError
from softclass.estimators.network_fitting import Watch, fit_network
from softclass.model.train import train
from softclass.networks.architecture import Architecture
from softclass.networks.augmentation import AUGMENTATION_STREAM, augmented, draws, permutation
from softclass.networks.engine import EngineState, Plan, Rows, StepReport
from softclass.networks.known_architectures import image_architecture
from softclass.networks.layers import FullyConnected, Pixels, Relu
from softclass.networks.native import NativeEngine

torch = pytest.importorskip("torch", reason="this engine is PyTorch's")
from networks.test_deep import SMALL  # noqa: E402 - needs PyTorch
from networks.test_torch_engine import COLUMNS, NETWORKS, digits, rows_of  # noqa: E402
from pretend_device import Machine, formulas_alone, pretended  # noqa: E402
from softclass.networks import torch as torch_engine  # noqa: E402
from softclass.networks import torch_device  # noqa: E402
from softclass.networks.torch import TorchEngine  # noqa: E402
from softclass.networks.torch_rows import TorchRows, moved, philox_words  # noqa: E402

SEED, N = 11, 90
ALL = {**NETWORKS, "deep": SMALL}
WIDE = {"cuda": torch.float64, "mps": torch.float32}
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def plan_of(n: int = N) -> Plan:
    """Everything that is drawn."""
    return Plan(n, 16, 2, 0.01, flip=True, shift=2, unknown=0.1)


def engine_on(device: str, architecture: Architecture, *, at_once: int = 1) -> TorchEngine:
    engine = TorchEngine(architecture, seed=SEED, n_threads=1, device=device)
    engine.initialise()
    engine._at_once = at_once
    return engine


def trained(engine: TorchEngine, rows: Rows, plan: Plan, first: int = 0) -> list[StepReport]:
    """Run from a step to the end of the plan."""
    reports, step = [], first
    while step < plan.steps:
        epoch = step // plan.steps_per_epoch
        order = permutation(SEED, epoch, len(rows))
        reports.append(engine.run(rows, order, step, (epoch + 1) * plan.steps_per_epoch, plan))
        step = reports[-1].last_step
    return reports


def assert_same_state(expected: EngineState, found: EngineState) -> None:
    for part in ("parameters", "first_moments", "second_moments"):
        for name, value in getattr(expected, part).items():
            assert_bit_equal(value, getattr(found, part)[name])
    products = (found.step, found.beta1_product, found.beta2_product)
    assert (expected.step, expected.beta1_product, expected.beta2_product) == products


@pytest.fixture
def machine() -> Iterator[Machine]:
    with pretended() as one:
        yield one


@pytest.fixture(autouse=True)
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of steps grow as they do where steps are short."""
    monkeypatch.setattr(torch_engine, "RUN_SECONDS", 1000.0)


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "cuda") for name in ALL), *((name, "mps") for name in ("realmlp", "deep"))]
)
def test_a_whole_run_is_that_of_the_processor_byte_by_byte(name: str, kind: str) -> None:
    rows, plan = rows_of(ALL[name], N, soft=name == "plain"), plan_of()
    few, other = np.array([5, 4, 3]), rows_of(ALL[name], N)
    with formulas_alone(WIDE[kind]):
        engine = engine_on("cpu", ALL[name])
        expected, state = trained(engine, rows, plan), engine.state()
        logits = [engine.logits(rows), engine.logits(other, few)]

    with pretended(kind):
        engine = engine_on(kind, ALL[name])
        found = trained(engine, rows, plan)
        assert_same_state(state, engine.state())
        assert_bit_equal(logits[0], engine.logits(rows))  # they lie there
        assert_bit_equal(logits[1], engine.logits(other, few))  # they do not

    norms = [[report.gradient_norm for report in reports] for reports in (expected, found)]
    assert_close(*norms, rtol=1e-5 if kind == "mps" else 0, atol=0)
    assert [replace(report, gradient_norm=0) for report in expected] == [
        replace(report, gradient_norm=0) for report in found
    ]


@pytest.mark.parametrize("name", ALL)
def test_steps_copy_nothing_and_the_host_asks_once_a_group(name: str, machine: Machine) -> None:
    rows, plan = rows_of(ALL[name], N), plan_of()
    engine = engine_on("cuda", ALL[name], at_once=3)
    machine.forget()
    engine.run(rows, np.arange(N), 0, 3, plan)  # brings the rows
    held = [rows.targets, rows.weight, rows.pixels, rows.numbers, rows.codes, rows.offset, rows.scale]
    assert sorted(machine.to_device) == sorted([array.nbytes for array in held if array is not None] + [3 * 16 * 8])
    machine.forget()

    engine.run(rows, np.arange(N), 3, 6, plan)

    assert machine.to_device == [(N - 48) * 8]  # numbers of the rows
    assert machine.to_host == [(N - 48) * 4, N - 48]  # losses and hits of all of them
    lengths, is_normal = ["tolist"], ["aten._local_scalar_dense.default"]
    assert machine.questions == lengths + (is_normal if name == "deep" else [])


@pytest.mark.parametrize("name", ["realmlp", "image"])
def test_rows_that_do_not_fit_come_batch_by_batch(name: str) -> None:
    rows, plan = rows_of(ALL[name], N), plan_of()
    with formulas_alone():
        whole = engine_on("cpu", ALL[name])
        reports, state = trained(whole, rows, plan), whole.state()
    with pretended(free=1000) as machine:
        engine = engine_on("cuda", ALL[name], at_once=2)
        machine.forget()
        engine.run(rows, np.arange(N), 0, 2, plan)
        arrays = [
            array for array in (rows.targets, rows.weight, rows.pixels, rows.numbers, rows.codes) if array is not None
        ]
        of_step = [array[:16].nbytes for array in arrays]
        constants = [4 * len(array) for array in (rows.offset, rows.scale) if array is not None]
        assert sorted(machine.to_device) == sorted([2 * 16 * 8, *constants, *of_step, *of_step])
        engine = engine_on("cuda", ALL[name])

        found = trained(engine, rows, plan)

        assert_same_state(state, engine.state())
        assert found == reports


def test_images_are_moved_on_a_device_as_by_numpy() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (200, 5, 7, 3), dtype=np.uint8)
    numbers = random.permutation(2**20)[:200]
    for flip, shift in ((True, 0), (False, 3), (True, 2)):
        expected = augmented(pixels, *draws(SEED, 4, numbers, flip=flip, shift=shift))

        words = philox_words(SEED, torch.from_numpy(numbers), 1, 4, AUGMENTATION_STREAM)
        found = moved(torch.from_numpy(pixels), words, flip=flip, shift=shift)

        assert_bit_equal(expected, found.numpy())
        assert not np.array_equal(expected, pixels)


@pytest.mark.parametrize(("name", "at_once"), [("plain", 2), ("deep", 5), ("deep", 128)])
def test_the_size_of_a_group_changes_no_bit(name: str, at_once: int, machine: Machine) -> None:
    rows, plan = rows_of(ALL[name], N), plan_of()
    one = engine_on("cuda", ALL[name])
    alone = [one.run(rows, np.arange(N), step, step + 1, plan) for step in range(6)]

    engine = engine_on("cuda", ALL[name], at_once=at_once)
    found = engine.run(rows, np.arange(N), 0, 6, plan)

    assert_same_state(one.state(), engine.state())
    assert found.loss_sum == sum(report.loss_sum for report in alone)
    assert found.correct == sum(report.correct for report in alone)
    assert found.gradient_norm == max(report.gradient_norm for report in alone)


def test_images_of_a_group_are_drawn_at_once(machine: Machine) -> None:
    rows, counts = rows_of(SMALL, N), []
    for at_once in (1, 3):
        engine = engine_on("cuda", SMALL, at_once=at_once)
        engine.run(rows, np.arange(N), 0, 1, plan_of())  # brings the rows
        engine._at_once, machine.operations = at_once, 0
        engine.run(rows, np.arange(N), 1, 1 + at_once, plan_of())
        counts.append(machine.operations)

    assert counts[1] < 3 * counts[0] - 2 * 100  # ten rounds of ten operations and more


def test_maps_have_their_channels_last(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    """The order in memory in which convolutions are fast; who reads a map is its normalisation and its pool."""
    seen = []
    pool, normalise = torch_engine.largest_of_windows, torch_engine.functional.batch_norm

    def watched(function: Any) -> Any:
        def call(a: Any, *arguments: Any, **options: Any) -> Any:
            seen.append(a.is_contiguous(memory_format=torch.channels_last))
            return function(a, *arguments, **options)

        return call

    monkeypatch.setattr(torch_engine, "largest_of_windows", watched(pool))
    monkeypatch.setattr(torch_engine.functional, "batch_norm", watched(normalise))
    network = image_architecture("deep5", Pixels(12, 12), 3)

    engine_on("cuda", network).run(rows_of(network, N), np.arange(N), 0, 1, plan_of())

    assert len(seen) >= len(network.stages) + sum(stage.pooled for stage in network.stages)
    assert all(seen)


@pytest.mark.parametrize("at_once", [1, 6])
@pytest.mark.parametrize("what", ["features", "weight"])
def test_what_is_not_finite_is_found_where_it_happens(what: str, at_once: int, machine: Machine) -> None:
    architecture = Architecture(COLUMNS, (FullyConnected(20), Relu(), FullyConnected(3)))
    rows = rows_of(architecture, N)
    rows.weight[70] = 1.0  # of step 4
    if what == "features":
        rows.numbers[70] = np.nan
    else:
        rows.weight[70] = 3e38  # a finite loss, gradients that are not
        rows.numbers[70] *= 1e3
    with formulas_alone():
        cpu = engine_on("cpu", architecture)
        expected = cpu.run(rows, np.arange(N), 0, 6, plan_of())

    engine = engine_on("cuda", architecture, at_once=at_once)
    found = engine.run(rows, np.arange(N), 0, 6, plan_of())

    assert (expected.is_finite, expected.last_step) == (False, 4)
    assert found == expected
    assert_same_state(cpu.state(), engine.state())
    is_updated = np.isinf(engine.state().second_moments["dense1.weight"]).any()
    assert is_updated == (what == "weight")  # losses are seen before the update, gradients are not


def test_groups_grow_while_they_are_short_and_shrink_when_they_are_long() -> None:
    assert [torch_engine._next_group(8, seconds) for seconds in (1, 500, 2000)] == [16, 8, 4]
    assert torch_engine._next_group(128, 0) == torch_engine.MOST_AT_ONCE
    assert torch_engine._next_group(1, 2000) == 1
    engine = engine_on("cpu", NETWORKS["plain"])
    trained(engine, rows_of(NETWORKS["plain"], N), plan_of())
    assert engine._at_once == 1


@pytest.mark.parametrize("there", ["cuda", "mps", "cpu"])
def test_a_run_goes_on_where_another_device_left_it(there: str) -> None:
    rows, plan = rows_of(SMALL, N), plan_of()
    wide = WIDE.get(there, torch.float64)
    with formulas_alone(wide):
        whole = engine_on("cpu", SMALL)
        trained(whole, rows, plan)
        first = engine_on("cpu", SMALL)
        first.run(rows, permutation(SEED, 0, N), 0, 4, plan)
    with formulas_alone(wide) if there == "cpu" else pretended(there):
        second = engine_on(there, SMALL)
        second.load_state(first.state())
        second.run(rows, permutation(SEED, 0, N), 4, 6, plan)
        state = second.state()
    with formulas_alone(wide):
        third = engine_on("cpu", SMALL)
        third.load_state(state)
        trained(third, rows, plan, first=6)

    assert_same_state(whole.state(), third.state())


def test_a_state_of_a_gpu_is_one_of_the_native_engine(machine: Machine) -> None:
    rows, _ = digits()
    architecture = image_architecture("classic", Pixels(8, 8), 10)
    engine = engine_on("cuda", architecture)
    engine.run(rows, np.arange(len(rows)), 0, 2, Plan(len(rows), 64, 4, 3e-3))
    native = NativeEngine(architecture, seed=SEED, n_threads=1)

    native.load_state(engine.state())

    assert_same_state(engine.state(), native.state())
    assert_close(native.logits(rows), engine.logits(rows), rtol=0, atol=1e-5)


def test_a_checkpoint_of_a_gpu_is_taken_up_on_the_processor(tmp_path: Path) -> None:
    rows, validation = rows_of(SMALL, N), rows_of(SMALL, 30, seed=1)
    epochs: list[Any] = []

    def fitted(device: str, folder: str, *, stop: bool = False) -> Any:
        ways = {"seed": SEED, "threads": 1, "patience": None, "device": device}
        watch = Watch(on_epoch=lambda row: epochs.append(row) or stop, checkpoints=tmp_path / folder, resume=True)
        return fit_network(SMALL, rows, validation, plan_of(), watch=watch, **ways)

    with formulas_alone():
        whole = fitted("cpu", "whole")
    with pretended():
        part = fitted("cuda", "cut", stop=True)
    with formulas_alone():
        again = fitted("cpu", "cut")

    assert (part.reason, len(part.history), len(epochs)) == ("stopped", 1, 4)
    assert_same_state(whole.state, again.state)
    assert [row["train_loss"] for row in whole.history] == [row["train_loss"] for row in again.history]
    for name, value in whole.parameters.items():
        assert_bit_equal(value, again.parameters[name])


def test_a_copy_of_a_state_is_one_transfer_a_part(machine: Machine) -> None:
    engine = engine_on("cuda", SMALL)
    machine.forget()

    engine.load_state(engine.state())

    size = 4 * sum(array.size for array in engine.parameters().values())
    assert (machine.to_host[:3], machine.to_device) == ([size] * 3, [size] * 3)


def test_a_second_gpu_is_used_and_a_third_is_not_there(machine: Machine) -> None:
    rows = rows_of(NETWORKS["realmlp"], N)
    engine = engine_on("cuda:1", NETWORKS["realmlp"])

    trained(engine, rows, plan_of())

    assert {str(tensor.device) for tensor in (engine._parameters, engine._first, *engine._leaves.values())} == {
        "cuda:1"
    }
    with pytest.raises(DeviceError, match=r"SC602\] TorchEngine: `device`.* got 'cuda:2'"):
        TorchEngine(SMALL, seed=0, device="cuda:2")


def test_a_gpu_too_old_for_this_pytorch_is_no_device() -> None:
    with pretended(is_too_old=True), pytest.raises(DeviceError, match="SC602"):
        TorchEngine(SMALL, seed=0, device="cuda")


def test_meta_is_no_device() -> None:
    with pytest.raises(DeviceError, match=r"SC602.*got 'meta'"):
        TorchEngine(SMALL, seed=0, device="meta")


def test_results_repeat_only_with_what_is_set_before_the_first_use(
    monkeypatch: pytest.MonkeyPatch, machine: Machine
) -> None:
    seen: list[Any] = []
    zeros, forward = torch.zeros, TorchEngine._forward
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(
        torch, "zeros", lambda *a, **k: seen.append(os.environ.get("CUBLAS_WORKSPACE_CONFIG")) or zeros(*a, **k)
    )
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)

    def watched(*arguments: Any) -> Any:
        seen.append((torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark))
        return forward(*arguments)

    monkeypatch.setattr(TorchEngine, "_forward", watched)
    engine = engine_on("cuda", NETWORKS["plain"])
    engine.run(rows_of(NETWORKS["plain"], N), np.arange(N), 0, 1, plan_of())

    assert set(seen) == {":4096:8", (True, False)}
    assert torch.backends.cudnn.benchmark
    assert not torch.are_deterministic_algorithms_enabled()
    monkeypatch.setattr(TorchEngine, "_forward", forward)
    torch.set_deterministic_debug_mode("warn")
    try:
        engine.logits(rows_of(NETWORKS["plain"], N))
        assert torch.get_deterministic_debug_mode() == 1  # what somebody chose stays
    finally:
        torch.set_deterministic_debug_mode("default")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    engine_on("cuda", NETWORKS["plain"])
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_too_little_memory_is_an_error_that_says_what_to_do(kind: str) -> None:
    rows = rows_of(NETWORKS["image"], N)
    said = rf'SC606\] TorchEngine: the memory of the device "{kind}" does not suffice.*smaller batches.*"cpu"'
    with pretended(kind, fails_at=1000) as machine:
        with pytest.raises(TooLargeError, match=said):
            TorchEngine(NETWORKS["image"], seed=0, device=kind)
        machine.fails_at = 2**40
        engine = engine_on(kind, NETWORKS["image"])
        machine.fails_at = 16 * 9 * 6 * 4 * 4  # a batch of maps
        with pytest.raises(TooLargeError, match=said):
            engine.run(rows, np.arange(N), 0, 1, plan_of())
        with pytest.raises(TooLargeError, match=said):
            engine.logits(rows)
        machine.fails_at = 1
        with pytest.raises(TooLargeError, match=rf'SC606\] train: the memory of the device "{kind}"'):
            torch_device.usable_device(kind, "train")


def test_too_little_memory_of_the_host_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError(
            "[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."
        )

    engine = engine_on("cpu", SMALL)
    monkeypatch.setattr(engine, "_forward", refuse)

    with pytest.raises(TooLargeError, match=r'SC606.*"cpu" does not suffice. Take smaller batches, images or layers$'):
        engine.logits(rows_of(SMALL, 3))


def test_other_errors_of_a_device_pass() -> None:
    with (
        pytest.raises(RuntimeError, match="device-side assert triggered"),
        torch_device.computing_on(torch.device("cpu"), 1, ""),
    ):
        raise RuntimeError("device-side assert triggered")


def test_rows_without_room_for_them_are_not_held() -> None:
    rows = rows_of(SMALL, N)
    size = sum(array.nbytes for array in (rows.pixels, rows.targets, rows.weight))
    with pretended(free=4 * size):
        assert TorchRows(rows, torch.device("cuda"), 0).is_held
        assert not TorchRows(rows, torch.device("cuda"), 0, keep=False).is_held
    with pretended(free=4 * size - 1):
        assert not TorchRows(rows, torch.device("cuda"), 0).is_held
    assert not TorchRows(rows, torch.device("cpu"), 0).is_held


def test_arrays_that_must_not_be_written_can_be_read(machine: Machine) -> None:
    rows = rows_of(SMALL, N)
    for array in (rows.pixels, rows.targets, rows.weight, rows.offset, rows.scale):
        array.flags.writeable = False

    trained(engine_on("cuda", SMALL), rows, plan_of())  # PyTorch warns where it is given such an array
    trained(engine_on("cpu", SMALL), rows, plan_of())


@pytest.mark.filterwarnings("ignore:.*SC821.* calibration rows")
def test_a_model_file_of_a_gpu_is_that_of_the_processor(tmp_path: Path) -> None:
    pixels, labels = load_digits(return_X_y=True)
    for number, (image, label) in enumerate(zip(pixels[:150], labels[:150], strict=True)):
        place = tmp_path / "images" / str(label % 3)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image.reshape(8, 8) * 15).astype(np.uint8)).save(place / f"{number}.png")
    ways = {"architecture": "deep", "epochs": 1, "threads": 1, "augment": "none"}

    with formulas_alone():
        train(tmp_path / "images", output=tmp_path / "cpu", device="cpu", **ways)
    with pretended() as machine:
        train(tmp_path / "images", output=tmp_path / "cuda", device="cuda", **ways)
        assert len(machine.to_device) > 10

    files = [(tmp_path / folder / "model.onnx").read_bytes() for folder in ("cpu", "cuda")]
    assert files[0] == files[1]


def test_a_first_step_does_not_load_the_compiler_of_pytorch() -> None:
    script = """
import sys
import numpy as np
from softclass.networks.engine import Plan, Rows
from softclass.networks.known_architectures import image_architecture
from softclass.networks.layers import Pixels
from softclass.networks.torch import TorchEngine
engine = TorchEngine(image_architecture("deep", Pixels(8, 8), 2), seed=0, n_threads=1)
engine.initialise()
rows = Rows(np.zeros(8, np.int32), pixels=np.zeros((8, 8, 8, 1), np.uint8))
print(engine.run(rows, np.arange(8), 0, 1, Plan(8, 8, 1, 0.01)).last_step, "torch._dynamo" in sys.modules)
"""

    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert said == "1 False\n"


@needs_gpu
@pytest.mark.parametrize("name", ALL)
def test_a_gpu_tells_the_story_of_the_processor(name: str) -> None:
    rows, plan = rows_of(ALL[name], N), plan_of()
    one, other, again = (
        engine_on("cpu", ALL[name]),
        engine_on("cuda", ALL[name]),
        engine_on("cuda", ALL[name], at_once=4),
    )

    losses = [[report.loss_sum for report in trained(engine, rows, plan)] for engine in (one, other, again)]

    assert_close(sum(losses[0]), sum(losses[1]), rtol=1e-2, atol=0)  # products in TF32
    assert sum(losses[1]) == sum(losses[2])
    assert_same_state(other.state(), again.state())


@needs_gpu
def test_a_gpu_is_not_asked_while_it_steps() -> None:
    rows, plan = rows_of(SMALL, N), plan_of()
    engine = engine_on("cuda", SMALL, at_once=3)
    engine.run(rows, np.arange(N), 0, 3, plan)
    held, masks = engine._rows_of(rows), {}
    batch = held.batch(held.pick(np.arange(16), plan), plan)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = engine._gradients(batch, masks, engine._views)
        engine._update(found.gradients, 0.01, 0.01, plan)
    finally:
        torch.cuda.set_sync_debug_mode("default")
