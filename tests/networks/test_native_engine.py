"""What the native engine promises for every network: the same bytes however it is run, states to go on from."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close
from networks.guarded import guarded
from softclass.errors import OptionError, ShapeError, TargetError
from softclass.kernels import _cpu
from softclass.networks import native
from softclass.networks.architecture import Architecture
from softclass.networks.augmentation import permutation, philox
from softclass.networks.engine import EngineState, Plan, Rows
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
)
from softclass.networks.native import NativeEngine

TABLE = Architecture(
    Columns(5, (3, 14)),
    (
        *(Periodic(), Embedding(), Scale(), FullyConnected(250, ntk=True), Selu(), Dropout(0.2)),
        *(FullyConnected(250, ntk=True), Selu(), Dropout(0.1), FullyConnected(3, ntk=True)),
    ),
)
PLAIN = Architecture(Columns(20), (FullyConnected(300), Relu(), FullyConnected(200), Relu(), FullyConnected(3)))
IMAGE = Architecture(
    Pixels(20, 19, 2),
    (Convolution(17), MaxPool(), Relu(), Flatten(), Dropout(0.3), FullyConnected(24), Relu(), FullyConnected(3)),
)
NETWORKS = {"table": TABLE, "plain": PLAIN, "image": IMAGE}
N_ROWS, BATCH, STEPS = 640, 256, 20  # three steps an epoch, the last one shorter
PLAN = Plan(N_ROWS, BATCH, 7, 0.01, flip=True, shift=1, unknown=0.05)


def numbers_of(shape: tuple[int, ...], stream: int) -> Any:
    """Even numbers in [-1, 1), the same on every machine and with every NumPy."""
    count = int(np.prod(shape))
    words = philox(1, np.arange(-(-count // 4)), 0, 0, 100 + stream).reshape(-1)[:count]
    return ((words >> np.uint32(8)).astype(np.float64) * 2.0**-23 - 1).astype(np.float32).reshape(shape)


def rows_of(architecture: Architecture, n: int = N_ROWS) -> Rows:
    what = architecture.input
    targets = (numbers_of((n,), 0) * 0.5 + 0.5) * 3
    weight = numbers_of((n,), 1) + 1
    if isinstance(what, Pixels):
        pixels = ((numbers_of((n, what.height, what.width, what.channels), 2) + 1) * 128).astype(np.uint8)
        offset, scale = np.array([100, 120], np.float32), np.array([0.01, 0.02], np.float32)
        return Rows(targets.astype(np.int32), weight, pixels=pixels, offset=offset, scale=scale)
    shares = (numbers_of((n, len(what.codes)), 3) * 0.5 + 0.5) * np.array(what.codes)
    codes = shares.astype(np.int32) if what.codes else None
    return Rows(targets.astype(np.int32), weight, numbers=numbers_of((n, what.numbers), 2), codes=codes)


def go_on(engine: NativeEngine, rows: Rows, plan: Plan = PLAN, steps: int = STEPS, first: int = 0) -> list[Any]:
    """Do steps in an order that changes with the epoch; return the reports."""
    reports = []
    step = first
    while step < steps:
        epoch = step // plan.steps_per_epoch
        end = min(steps, (epoch + 1) * plan.steps_per_epoch)
        reports.append(engine.run(rows, np.roll(np.arange(len(rows)), 7 * epoch), step, end, plan))
        if reports[-1].last_step == step:
            break
        step = reports[-1].last_step
    return reports


def started(architecture: Architecture, *, n_threads: int = 1, label_smoothing: float = 0.0) -> NativeEngine:
    engine = NativeEngine(architecture, seed=11, n_threads=n_threads, label_smoothing=label_smoothing)
    engine.initialise()
    return engine


def trained(name: str, *, n_threads: int = 1, steps: int = STEPS) -> NativeEngine:
    engine = started(NETWORKS[name], n_threads=n_threads)
    go_on(engine, rows_of(NETWORKS[name]), steps=steps)
    return engine


def digest(state: EngineState) -> str:
    found = hashlib.sha256()
    for part in (state.parameters, state.first_moments, state.second_moments):
        for name in sorted(part):
            found.update(part[name].tobytes())
    return found.hexdigest()


@pytest.fixture
def target() -> Iterator[None]:
    kept = _cpu.target()
    yield
    _cpu.set_target(kept)


@pytest.fixture(scope="module")
def digests() -> dict[str, str]:
    return {name: digest(trained(name).state()) for name in NETWORKS}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("n_threads", [2, 3, 5])
def test_threads_change_no_bit(name: str, n_threads: int, digests: dict[str, str]) -> None:
    assert digests[name] == digest(trained(name, n_threads=n_threads).state())


GOLDEN = {
    "table": "fa2c05a1b5fbb6139bb944ed5ea84d8abe4dd0e02bac18fcedfedceefc9427d8",
    "plain": "dfa4c97c5c41e7f28bf670d7086e146a938224be57616f0dbc3bc4603d8cfa7c",
    "image": "e504d05ed730ef730527f263ef15adb78c225654705cdbf60409b395e0ae0fd0",
}


def test_the_bytes_are_those_of_every_machine(digests: dict[str, str]) -> None:
    """A change here is a change of what every user gets from the same seed: it belongs into the changelog."""
    assert digests == GOLDEN


def test_the_steps_above_have_several_lanes() -> None:
    lanes = [_cpu.network_lanes(started(each)._network, BATCH) for each in NETWORKS.values()]

    assert min(lanes) > 1


@pytest.mark.parametrize("steps", [3, pytest.param(STEPS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("wanted", _cpu.targets())
def test_targets_change_no_bit(name: str, wanted: str, steps: int, target: None) -> None:
    expected = digest(trained(name, steps=steps).state())
    _cpu.set_target(wanted)

    assert expected == digest(trained(name, n_threads=2, steps=steps).state())


def test_a_forced_target_trains_the_same_bytes() -> None:
    call = "digest(trained('plain', steps=2).state())"
    program = f"from networks.test_native_engine import digest, trained; print({call})"
    environment = {"PYTHONPATH": ":".join(sys.path), "SOFTCLASS_CPU_TARGET": "plain"}
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)

    assert digest(trained("plain", steps=2).state()) == run.stdout.strip()


@pytest.mark.parametrize("name", NETWORKS)
def test_where_a_run_is_cut_changes_no_bit(name: str, digests: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    rows, whole, cut = rows_of(NETWORKS[name]), started(NETWORKS[name]), started(NETWORKS[name])
    monkeypatch.setattr(native, "RUN_SECONDS", 1e9)
    long = go_on(whole, rows)
    monkeypatch.setattr(native, "RUN_SECONDS", 0.0)
    short = go_on(cut, rows)

    assert (len(long), len(short)) == (7, STEPS)
    assert sum(report.loss_sum for report in long) == sum(report.loss_sum for report in short)
    assert [digests[name]] * 2 == [digest(whole.state()), digest(cut.state())]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_loaded_state_goes_on_as_if_it_had_never_stopped(name: str, digests: dict[str, str]) -> None:
    rows, first, second = rows_of(NETWORKS[name]), started(NETWORKS[name]), started(NETWORKS[name], n_threads=2)
    go_on(first, rows, steps=8)
    second.load_state(first.state())
    go_on(second, rows, first=8)

    assert digests[name] == digest(second.state())


def test_two_engines_at_once_change_no_bit(digests: dict[str, str]) -> None:
    found: dict[str, str] = {}

    def train(name: str) -> None:
        found[name] = digest(trained(name, n_threads=2).state())

    threads = [threading.Thread(target=train, args=[name]) for name in ("table", "plain")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {name: digests[name] for name in found} == found


def test_flushing_of_subnormal_numbers_by_the_caller_changes_no_bit() -> None:
    torch = pytest.importorskip("torch")
    rows, kept, flushed = rows_of(PLAIN), started(PLAIN), started(PLAIN)
    tiny = replace(rows, numbers=rows.numbers * np.float32(1e-39))  # subnormal; weights make usual numbers of them
    start = kept.state()
    large = {
        name: value * np.float32(1e38 if name == "dense1.weight" else 1) for name, value in start.parameters.items()
    }
    for engine in (kept, flushed):
        engine.load_state(replace(start, parameters=large))
    go_on(kept, tiny, steps=2)
    torch.set_flush_denormal(True)
    try:
        go_on(flushed, tiny, steps=2)
    finally:
        torch.set_flush_denormal(False)

    assert np.ptp(kept.logits(tiny), axis=0).min() > 0.01  # they are not lost
    assert digest(kept.state()) == digest(flushed.state())


def test_moments_without_gradient_become_zero() -> None:
    rows = replace(rows_of(PLAIN), numbers=np.zeros((N_ROWS, 20), np.float32))
    engine = started(PLAIN)
    start = engine.state()
    first = {name: np.full_like(value, 3e-29) for name, value in start.first_moments.items()}
    second = {name: np.full_like(value, 1.05e-36) for name, value in start.second_moments.items()}
    engine.load_state(replace(start, first_moments=first, second_moments=second, step=9, beta1_product=0.5))
    go_on(engine, rows, replace(PLAN, epochs=20), steps=40)
    state = engine.state()

    assert not state.first_moments["dense1.weight"].any()  # 3e-29 0.9^33 < 1e-30: where it would stick, it ends
    assert not state.second_moments["dense1.weight"].any()


def test_rows_that_are_sure_leave_no_subnormal_numbers() -> None:
    """Probabilities of 2e-27 and 1e-42: products with them would be slow, and move no weight."""
    engine = started(PLAIN)
    start = engine.state()
    sure = {name: value.copy() for name, value in start.parameters.items()}
    sure["dense3.bias"][:] = [0, -61, -96]
    engine.load_state(replace(start, parameters=sure))
    rows = replace(rows_of(PLAIN), targets=np.zeros(N_ROWS, np.int32))
    loss, gradients = engine.loss_and_gradients(rows, np.arange(BATCH))

    assert 0 < loss < 1e-20
    assert not any(gradient.any() for gradient in gradients.values())


def test_steps_are_adamw() -> None:
    """Against the formula in float64, with the engine's own gradients."""
    rows, engine, reference = rows_of(PLAIN), started(PLAIN), started(PLAIN)
    plan = replace(PLAN, decay=0.1)
    expected = {name: value.astype(np.float64) for name, value in engine.parameters().items()}
    first = {name: np.zeros(value.shape) for name, value in expected.items()}
    second = {name: np.zeros(value.shape) for name, value in expected.items()}
    constants = plan.constants(0, 3)
    for step in range(3):
        now = {name: value.astype(np.float32) for name, value in expected.items()}
        reference.load_state(replace(reference.state(), parameters=now))
        batch = np.arange(N_ROWS)[step * BATCH : (step + 1) * BATCH]
        _, gradients = reference.loss_and_gradients(rows, batch)
        for name, g in gradients.items():
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.99 * second[name] + 0.01 * np.float64(g) ** 2
            lead = np.sqrt(second[name] / (1 - 0.99 ** (step + 1))) + 1e-8
            pace = constants.rate[step] / (1 - 0.9 ** (step + 1))
            decay = plan.decay if name.endswith("weight") else 0.0
            expected[name] = expected[name] * (1 - constants.rate[step] * decay) - pace * first[name] / lead
    go_on(engine, rows, plan, steps=3)

    for name, value in engine.parameters().items():
        # Where a gradient is near zero its sign, hence the whole step, hangs on roundings; there are few of those.
        off = np.abs(value - expected[name])
        assert np.mean(off > 2e-6) < 1e-3, name
        assert off.max() < 3 * plan.peak_rate, name


def test_rate_factors_and_decay_belong_to_the_tensor() -> None:
    """The first step of AdamW is rate times sign of the gradient, whatever its size."""
    rows, engine = rows_of(TABLE), started(TABLE)
    before = engine.parameters()
    go_on(engine, rows, replace(PLAN, schedule="constant", peak_rate=1e-3, decay=0.0), steps=1)
    steps = {name: np.median(np.abs(value - before[name])) for name, value in engine.parameters().items()}
    factors = {"periodic": 0.1, "scale": 6.0, "embedding2": 1.0, "dense1": 1.0}

    for name, step in steps.items():
        factor = 0.1 if name.startswith("dense") and name.endswith("bias") else factors.get(name.split(".")[0], 1.0)
        assert step == pytest.approx(1e-3 * factor, rel=2e-2), name


def test_dropout_and_unknown_codes_are_drawn_by_place() -> None:
    rows, engine, reference = rows_of(TABLE), started(TABLE), started(TABLE)
    plan = replace(PLAN, first_epoch=4)
    order = np.arange(N_ROWS)[::-1].copy()
    engine.run(rows, order, 0, 1, plan)
    batch = order[:BATCH]
    masks = []
    for number, layer in enumerate(TABLE.hidden):
        if layer.dropout > 0:
            words = philox(11, np.arange(32)[None, :], batch[:, None], 4, 8 + number).reshape(BATCH, -1)
            pieces = np.stack([words & np.uint32(0xFFFF), words >> np.uint32(16)], axis=-1).reshape(BATCH, -1)[:, :250]
            masks.append(pieces >= round(65536 * layer.dropout))
    words = philox(11, 0, np.arange(N_ROWS), 4, 3)
    pieces = np.stack([words & np.uint32(0xFFFF), words >> np.uint32(16)], axis=-1).reshape(N_ROWS, -1)[:, :2]
    codes = np.where(pieces < round(65536 * 0.05), 1, rows.codes).astype(np.int32)
    _, gradients = reference.loss_and_gradients(replace(rows, codes=codes), batch, dropout_masks=masks)

    assert (codes != rows.codes).any()
    for name, moment in engine.state().first_moments.items():
        assert_bit_equal(np.float32(1 - 0.9) * gradients[name], moment)  # the first one is (1 - beta1) g


@pytest.mark.parametrize(("seed", "epoch", "n"), [(0, 0, 1), (3, 9, 2), (2**64 - 1, 4, 1000), (7, 0, 65_537)])
def test_the_order_of_an_epoch_is_that_of_the_plain_one(seed: int, epoch: int, n: int) -> None:
    order = np.empty(n, np.int64)
    _cpu.network_order(seed, epoch, order)

    assert_bit_equal(permutation(seed, epoch, n), order)


def test_the_plan_scales_dropout() -> None:
    """Under coslog4 it fades to nothing at the end: then the loss is that without it."""
    layers = (*PLAIN.layers[:2], Dropout(0.9), *PLAIN.layers[2:])
    rows, engine = rows_of(PLAIN), started(Architecture(PLAIN.input, layers))
    plan = Plan(N_ROWS, BATCH, 1000, 0.01, schedule="coslog4")
    last = plan.steps - plan.steps_per_epoch
    without = started(PLAIN).loss_and_gradients(rows, np.arange(BATCH))[0] * BATCH

    assert engine.run(rows, np.arange(N_ROWS), last, last + 1, plan).loss_sum == pytest.approx(without, rel=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_nan_stops_before_the_update(name: str, digests: dict[str, str]) -> None:
    rows, engine = rows_of(NETWORKS[name]), started(NETWORKS[name], n_threads=2)
    start = engine.state()
    spoiled = {key: value.copy() for key, value in start.parameters.items()}
    spoiled["dense1.weight"].flat[3] = np.nan
    engine.load_state(replace(start, parameters=spoiled))
    before = digest(engine.state())
    (report,) = go_on(engine, rows)

    assert (report.is_finite, report.last_step, report.loss_sum) == (False, 0, 0.0)
    assert before == digest(engine.state())
    engine.load_state(start)
    go_on(engine, rows)
    assert digests[name] == digest(engine.state())  # nothing of it was left anywhere


def test_a_gradient_that_overflows_is_reported() -> None:
    """The loss is finite, its derivative at the first weights is not."""
    rows, engine = rows_of(PLAIN), started(PLAIN)
    start = engine.state()
    large = {key: value.copy() for key, value in start.parameters.items()}
    large["dense1.weight"] *= np.float32(1e-30)
    large["dense2.weight"] *= np.float32(1e38)
    engine.load_state(replace(start, parameters=large))
    huge = replace(rows, numbers=rows.numbers * np.float32(1e20))
    reports = go_on(engine, huge)

    assert (reports[-1].is_finite, reports[-1].last_step) == (False, 0)


def test_a_rate_too_large_is_reported() -> None:
    reports = go_on(started(PLAIN), rows_of(PLAIN), replace(PLAN, peak_rate=1e30))

    assert not reports[-1].is_finite


def test_reports_count() -> None:
    rows = rows_of(PLAIN)
    engine = started(PLAIN)
    chances = engine.logits(rows)
    report = engine.run(rows, np.arange(N_ROWS), 0, 1, PLAN)
    hits = rows.weight[:BATCH] * (chances[:BATCH].argmax(axis=1) == rows.targets[:BATCH])
    loss = started(PLAIN).loss_and_gradients(rows, np.arange(BATCH))[0]

    assert report.weight_sum == pytest.approx(float(rows.weight[:BATCH].sum(dtype=np.float64)), abs=2e-7)
    assert report.correct == pytest.approx(float(hits.sum(dtype=np.float64)), abs=2e-7)
    assert report.loss_sum == pytest.approx(loss * BATCH, abs=1e-7)


@pytest.mark.skipif(sys.platform != "linux", reason="forbids pages as Linux does")
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("wanted", _cpu.targets())
def test_nothing_is_read_behind_the_rows(name: str, wanted: str, target: None) -> None:
    _cpu.set_target(wanted)
    arrays = {key: None if array is None else guarded(array) for key, array in vars(rows_of(NETWORKS[name])).items()}
    rows = Rows(**arrays)
    engine = started(NETWORKS[name])
    expected = started(NETWORKS[name])
    go_on(engine, rows, steps=1)
    go_on(expected, rows_of(NETWORKS[name]), steps=1)

    assert_bit_equal(expected.logits(rows), engine.logits(rows))


def test_parameters_come_and_go_under_their_names() -> None:
    for architecture in NETWORKS.values():
        engine = started(architecture)
        parameters = engine.parameters()
        assert {name: value.shape for name, value in parameters.items()} == architecture.parameter_shapes
        moved = {name: value + np.float32(1) for name, value in parameters.items()}
        engine.load_state(replace(engine.state(), parameters=moved))
        for name, value in engine.parameters().items():
            assert_bit_equal(moved[name], value)


def test_pixels_of_floats_are_those_of_bytes() -> None:
    rows, engine = rows_of(IMAGE), started(IMAGE)
    floats = replace(rows, pixels=rows.pixels.astype(np.float32))

    assert_bit_equal(engine.logits(rows), engine.logits(floats))


def test_label_smoothing_spreads_the_target() -> None:
    rows = rows_of(PLAIN)
    soft = np.full((N_ROWS, 3), 0.1, np.float32)
    soft[np.arange(N_ROWS), rows.targets] = 0.8
    smoothed = started(PLAIN, label_smoothing=0.3).loss_and_gradients(rows, np.arange(100))
    spread = started(PLAIN).loss_and_gradients(replace(rows, targets=soft), np.arange(100))

    assert smoothed[0] == pytest.approx(spread[0], rel=1e-6)
    for name, gradient in spread[1].items():
        assert_close(gradient, smoothed[1][name], rtol=1e-4, atol=1e-6)


GOOD = rows_of(TABLE, 4)
REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "numbers": ({"numbers": GOOD.numbers[:, :3]}, ShapeError, "`numbers` must have the shape (4, 5); got (4, 3)"),
    "no codes": ({"codes": None}, ShapeError, "`codes` must have the shape (4, 2); got none"),
    "code": ({"codes": GOOD.codes * 0 + 3}, OptionError, "`codes` of column 0 must lie in [0, 3); got 3 to 3"),
    "class": ({"targets": GOOD.targets * 0 - 1}, TargetError, "`targets` must lie in [0, 3); got -1 to -1"),
    "weight": ({"weight": np.ones(3, np.float32)}, ShapeError, "`weight` must have the shape (4,); got (3,)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rows_that_do_not_fit_are_refused(case: str) -> None:
    changed, kind, rule = REFUSED[case]
    rows = replace(GOOD, **changed)
    with pytest.raises(kind, match=re.escape(rule)):
        started(TABLE).loss_and_gradients(rows, np.arange(4))


def test_masks_and_smoothing_and_states_are_checked() -> None:
    engine = started(TABLE)
    with pytest.raises(ShapeError, match=re.escape("must have the shapes [(4, 250), (4, 250)]; got [(4, 2)]")):
        engine.loss_and_gradients(GOOD, np.arange(4), dropout_masks=[np.ones((4, 2), bool)])
    with pytest.raises(OptionError, match=re.escape("`label_smoothing` must be a number in [0, 1); got 1.0")):
        NativeEngine(TABLE, seed=0, n_threads=1, label_smoothing=1.0)
    with pytest.raises(ShapeError, match="a state must have the parameters"):
        engine.load_state(replace(engine.state(), parameters={}))
