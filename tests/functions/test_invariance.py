"""The bits of a row depend on the row alone: not on batch, place, threads, instruction set, memory order or caller."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import softclass
from asserts import assert_bit_equal, assert_ulp
from softclass.kernels import _cpu
from truth import of_rows

TYPES = {"f2": np.float16, "bf16": ml_dtypes.bfloat16, "f4": np.float32, "f8": np.float64}
each_type = pytest.mark.parametrize("dtype", TYPES)


def rows(n_rows: int, n_classes: int, dtype: str, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng([n_rows, n_classes, seed])
    return (draw.normal(size=(n_rows, n_classes)) * 4).astype(TYPES[dtype])


def softmax(logits: np.ndarray) -> list[np.ndarray]:
    return [softclass.softmax(logits)]


def softmax_with_temperature(logits: np.ndarray) -> list[np.ndarray]:
    return [softclass.softmax(logits, temperature=0.7)]


def log_softmax(logits: np.ndarray) -> list[np.ndarray]:
    return [softclass.log_softmax(logits)]


def logsumexp(logits: np.ndarray) -> list[np.ndarray]:
    return [softclass.logsumexp(logits)]


def with_where(logits: np.ndarray) -> list[np.ndarray]:
    return [softclass.softmax(logits, where=(np.arange(logits.shape[-1]) % 3) < 2)]


def targets_of(logits: np.ndarray) -> np.ndarray:
    """Return targets that depend on the row alone."""
    mantissa, _ = np.frexp(np.nan_to_num(logits[:, 0].astype(np.float64)))
    return np.floor(np.abs(mantissa) * 1000).astype(np.int64) % logits.shape[1]


def index_loss(logits: np.ndarray) -> list[np.ndarray]:
    return list(softclass.cross_entropy_value_and_gradient(logits, targets_of(logits), reduction="none"))


def loss_alone(logits: np.ndarray) -> list[np.ndarray]:
    return [softclass.cross_entropy(logits, targets_of(logits), label_smoothing=0.1, reduction="none")]


def soft_loss(logits: np.ndarray) -> list[np.ndarray]:
    soft = np.zeros(logits.shape, dtype=np.float32)
    soft[:, 0] = 0.25
    soft[range(len(soft)), targets_of(logits)] += 0.75
    return list(softclass.cross_entropy_value_and_gradient(logits, soft, reduction="none"))


def vjp(logits: np.ndarray) -> list[np.ndarray]:
    return [softclass.softmax_vjp(softclass.softmax(logits), np.ascontiguousarray(logits[:, ::-1]))]


PER_ROW: list[Callable[[np.ndarray], list[np.ndarray]]] = [
    softmax,
    softmax_with_temperature,
    log_softmax,
    logsumexp,
    with_where,
    index_loss,
    loss_alone,
    soft_loss,
    vjp,
]
per_row = pytest.mark.parametrize("call", PER_ROW, ids=lambda call: call.__name__)


def mean_loss(logits: np.ndarray) -> list[np.ndarray]:
    return list(softclass.cross_entropy_value_and_gradient(logits, targets_of(logits), reduction="mean"))


def weighted_sum(logits: np.ndarray) -> list[np.ndarray]:
    weights = np.abs(logits[:, 1].astype(np.float64)) + 0.1
    options: dict[str, Any] = {"sample_weight": weights, "reduction": "sum", "label_smoothing": 0.125}
    return list(softclass.cross_entropy_value_and_gradient(logits, targets_of(logits), **options))


def linear(logits: np.ndarray) -> list[np.ndarray]:
    """Take the rows as features of 7 classes."""
    weight = rows(7, logits.shape[1], "f4", seed=1).astype(logits.dtype)
    loss, found = softclass.linear_cross_entropy_value_and_gradient(
        logits, weight, targets_of(logits) % 7, wrt=("weight", "features")
    )
    return [loss, found.weight, found.features]


def linear_many(logits: np.ndarray) -> list[np.ndarray]:
    """Take the rows as features of 300 classes."""
    weight = (rows(300, logits.shape[1], "f4", seed=1) / 16).astype(logits.dtype)
    loss, found = softclass.linear_cross_entropy_value_and_gradient(logits, weight, targets_of(logits) % 300)
    return [loss, found.weight]


WHOLE = [*PER_ROW, mean_loss, weighted_sum, linear, linear_many]
whole = pytest.mark.parametrize("call", WHOLE, ids=lambda call: call.__name__)


def assert_same_bits(expected: list[Any], actual: list[Any]) -> None:
    assert len(expected) == len(actual)
    for one, other in zip(expected, actual, strict=True):
        assert_bit_equal(np.asarray(one), np.asarray(other))


@pytest.fixture(autouse=True)
def settings_of_the_kernels() -> Iterator[None]:
    """Put back the number of threads and the instruction set."""
    threads, target = _cpu.thread_count(), _cpu.target()
    yield
    _cpu.set_thread_count(threads)
    _cpu.set_target(target)


# ---- threads
SIZES = [(20_000, 3), (5_000, 40), (5_000, 41), (1_500, 130), (3, 200_000)]
each_size = pytest.mark.parametrize("size", SIZES, ids=str)


@each_type
@each_size
@whole
def test_any_number_of_threads_gives_the_same_bits(
    call: Callable[..., list[np.ndarray]], size: tuple[int, int], dtype: str
) -> None:
    if call in (linear, linear_many) and size[1] > 1000:
        pytest.skip("200,000 features are another test")
    logits = rows(*size, dtype)
    _cpu.set_thread_count(1)
    expected = call(logits)

    for n_threads in (2, 3):
        _cpu.set_thread_count(n_threads)
        assert_same_bits(expected, call(logits))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("axis", [0, 1])
def test_any_number_of_threads_gives_the_same_bits_along_other_axes(axis: int, dtype: str) -> None:
    logits = rows(300, 50 * 9, dtype).reshape(300, 50, 9)
    _cpu.set_thread_count(1)
    expected = softclass.softmax(logits, axis=axis)

    for n_threads in (2, 3):
        _cpu.set_thread_count(n_threads)
        assert_bit_equal(expected, softclass.softmax(logits, axis=axis))


# ---- batch and place
CLASSES = [1, 2, 3, 10, 17, 40, 41, 65, 1000]


@each_type
@pytest.mark.parametrize("n_classes", CLASSES)
@per_row
def test_a_row_has_the_same_bits_in_any_batch_at_any_place(
    call: Callable[..., list[np.ndarray]], n_classes: int, dtype: str
) -> None:
    row = rows(1, n_classes, dtype, seed=3)
    alone = [np.asarray(found)[0] for found in call(row)]

    for n_rows in (15, 16, 17, 4096 if n_classes <= 130 else 70):
        batch = rows(n_rows, n_classes, dtype)
        places = sorted({0, 1, 3, 7, 8, 14, 15, 16, 31, 32, n_rows // 2, n_rows - 1} & set(range(n_rows)))
        batch[places] = row
        for found, expected in zip(call(batch), alone, strict=True):
            assert_bit_equal(np.stack([expected] * len(places)), np.asarray(found)[places])


# ---- instruction sets
@each_type
@pytest.mark.parametrize("size", [(50, n) for n in CLASSES] + [(2, 70_000), (2, 140_000)], ids=str)
@whole
def test_every_instruction_set_gives_the_same_bits(
    call: Callable[..., list[np.ndarray]], size: tuple[int, int], dtype: str
) -> None:
    if (call in (linear, linear_many) and size[1] > 1000) or (call is weighted_sum and size[1] == 1):
        pytest.skip("one class has no second one, 70,000 features are another test")
    logits = rows(*size, dtype)
    _cpu.set_target("plain")
    expected = call(logits)

    for target in _cpu.targets():
        _cpu.set_target(target)
        assert_same_bits(expected, call(logits))


def test_this_machine_can_run_more_than_the_plain_code_or_is_none_of_ours() -> None:
    assert "plain" in _cpu.targets()
    assert _cpu.target() in _cpu.targets()


@pytest.mark.parametrize("kind", ["edges", "subnormal", "huge"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_classes", [3, 17, 41, 130])
def test_every_instruction_set_gives_the_same_bits_at_the_edges(n_classes: int, dtype: str, kind: str) -> None:
    logits = rows(64, n_classes, dtype)
    facts = np.finfo(TYPES[dtype])
    if kind == "edges":
        special = np.array([np.inf, -np.inf, 0.0, -0.0, 5.0], dtype=logits.dtype)
        logits[:, :3] = special[np.random.default_rng(0).integers(5, size=(64, 3))]
    elif kind == "subnormal":
        logits = np.where(
            np.arange(n_classes) == 1, 0, logits + facts.dtype.type(np.log(facts.smallest_normal))
        ).astype(dtype)
    else:
        logits *= facts.max / 64
    _cpu.set_target("plain")
    expected = [call(logits) for call in (softmax, log_softmax, logsumexp, index_loss)]

    for target in _cpu.targets():
        _cpu.set_target(target)
        for call, wanted in zip((softmax, log_softmax, logsumexp, index_loss), expected, strict=True):
            assert_same_bits(
                [without_sign_of_nan(array) for array in wanted], [without_sign_of_nan(a) for a in call(logits)]
            )


def without_sign_of_nan(array: np.ndarray) -> np.ndarray:
    """NaN is NaN: its sign and payload are those of the processor."""
    array = np.array(array)
    array[np.isnan(array)] = np.nan
    return array


# ---- memory
def unaligned(array: np.ndarray) -> np.ndarray:
    """Return a copy that starts one byte beyond an even address."""
    memory = np.empty(array.nbytes + 1, dtype=np.uint8)
    memory[1:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return memory[1:].view(array.dtype).reshape(array.shape)


def off_by_one_element(array: np.ndarray) -> np.ndarray:
    memory = np.empty(array.size + 1, dtype=array.dtype)
    memory[1:] = array.reshape(-1)
    return memory[1:].reshape(array.shape)


def every_second(array: np.ndarray) -> np.ndarray:
    wide = np.full([2 * n for n in array.shape], 7, dtype=array.dtype)
    wide[tuple(slice(None, None, 2) for _ in array.shape)] = array
    return wide[tuple(slice(None, None, 2) for _ in array.shape)]


def backwards(array: np.ndarray) -> np.ndarray:
    return array[::-1, ::-1].copy()[::-1, ::-1]


def padded_rows(array: np.ndarray) -> np.ndarray:
    wide = np.full((array.shape[0], array.shape[1] + 5), 7, dtype=array.dtype)
    wide[:, 2:-3] = array
    return wide[:, 2:-3]


def read_only(array: np.ndarray) -> np.ndarray:
    frozen = array.copy()
    frozen.flags.writeable = False
    return frozen


FLAT = [unaligned, off_by_one_element, padded_rows, read_only]
STRIDED = [np.asfortranarray, every_second, backwards]
layouts = pytest.mark.parametrize("layout", [*FLAT, *STRIDED], ids=lambda layout: layout.__name__)


@each_type
@layouts
@pytest.mark.parametrize("n_classes", [3, 40])
@per_row
def test_any_memory_order_gives_the_same_bits(
    call: Callable[..., list[np.ndarray]], n_classes: int, layout: Callable[..., np.ndarray], dtype: str
) -> None:
    logits = rows(37, n_classes, dtype)

    assert_same_bits(call(logits), call(layout(logits)))


@each_type
@pytest.mark.parametrize("layout", [*FLAT, every_second, backwards], ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("n_classes", [41, 130])
@per_row
def test_rows_of_many_classes_in_any_memory_order_give_the_same_bits(
    call: Callable[..., list[np.ndarray]], n_classes: int, layout: Callable[..., np.ndarray], dtype: str
) -> None:
    logits = rows(19, n_classes, dtype)

    assert_same_bits(call(logits), call(layout(logits)))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(41, 20), (130, 33), (1000, 5)], ids=str)
def test_classes_along_the_first_axis_may_differ_in_the_last_bit(shape: tuple[int, int], dtype: str) -> None:
    logits = rows(*shape, dtype)

    found = softclass.softmax(logits, axis=0)

    assert_ulp(of_rows(logits.T).probabilities.T, found, ulps={"f4": 2.5, "f8": 4}[dtype])


@each_type
@pytest.mark.parametrize("n_classes", [3, 130])
@per_row
def test_broadcast_rows_give_the_same_bits(call: Callable[..., list[np.ndarray]], n_classes: int, dtype: str) -> None:
    row = rows(1, n_classes, dtype)

    assert_same_bits(call(np.repeat(row, 20, axis=0)), call(np.broadcast_to(row, (20, n_classes))))


@each_type
@layouts
@pytest.mark.parametrize("axes", [(1, 2), (0, 2), (2, 0), None], ids=str)
def test_several_axes_are_one(axes: Any, layout: Callable[..., np.ndarray], dtype: str) -> None:
    logits = rows(4, 15, dtype).reshape(4, 3, 5)
    given = (
        layout(logits.reshape(4, 15)).reshape(4, 3, 5)
        if layout in FLAT
        else logits.transpose(2, 0, 1).copy().transpose(1, 2, 0)
    )
    whole_axes = (0, 1, 2) if axes is None else tuple(sorted(axes))
    others = tuple(axis for axis in range(3) if axis not in whole_axes)
    order = others + whole_axes
    flat = logits.transpose(order).reshape(*(logits.shape[axis] for axis in others), -1)
    expected = softclass.softmax(flat).reshape([logits.shape[axis] for axis in order]).transpose(np.argsort(order))

    assert_bit_equal(expected, softclass.softmax(given, axis=axes))
    assert_bit_equal(np.asarray(softclass.logsumexp(flat)), np.asarray(softclass.logsumexp(given, axis=axes)))


# ---- what is written
@each_type
@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
@pytest.mark.parametrize("n_classes", [1, 2, 3, 4, 10, 16, 17, 33, 41, 64, 130])
@pytest.mark.parametrize("n_rows", [1, 16, 17])
def test_nothing_round_the_result_is_touched(n_rows: int, n_classes: int, function: str, dtype: str) -> None:
    logits, size = rows(n_rows, n_classes, dtype), n_rows * n_classes
    memory = np.full(size + 128, 77, dtype=TYPES[dtype])
    out = memory[64 : 64 + size].reshape(n_rows, n_classes)

    getattr(softclass, function)(logits, out=out)

    assert_bit_equal(np.full(128, 77, dtype=TYPES[dtype]), np.delete(memory, range(64, 64 + size)))
    assert_bit_equal(getattr(softclass, function)(logits), out)


@each_type
@pytest.mark.parametrize("n_classes", [2, 3, 10, 17, 41, 65])
def test_nothing_between_the_columns_of_a_strided_result_is_touched(n_classes: int, dtype: str) -> None:
    logits = rows(20, n_classes, dtype)
    memory = np.full((40, 2 * n_classes), 77, dtype=TYPES[dtype])

    softclass.softmax(logits, out=memory[::2, ::2])

    assert_bit_equal(softclass.softmax(logits), memory[::2, ::2].copy())
    assert (memory[1::2] == 77).all()
    assert (memory[:, 1::2] == 77).all()


@each_type
@pytest.mark.parametrize("n_classes", [2, 3, 10, 17, 41, 65])
def test_nothing_round_a_gradient_is_touched(n_classes: int, dtype: str) -> None:
    logits = rows(21, n_classes, dtype)
    memory = np.full(logits.size + 128, 77, dtype=TYPES[dtype])
    out = memory[64:-64].reshape(logits.shape)
    loss, gradient = softclass.cross_entropy_value_and_gradient(logits, targets_of(logits))

    found = softclass.cross_entropy_value_and_gradient(logits, targets_of(logits), out=out)

    assert found[1] is out
    assert_same_bits([loss, gradient], [found[0], out])
    assert (np.delete(memory, range(64, 64 + logits.size)) == 77).all()


@each_type
@pytest.mark.parametrize("n_classes", [1, 2, 3, 10, 17, 41, 130, 1000])
@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
def test_the_result_may_be_the_logits(function: str, n_classes: int, dtype: str) -> None:
    logits = rows(37, n_classes, dtype)
    expected = getattr(softclass, function)(logits)

    returned = getattr(softclass, function)(logits, out=logits)

    assert returned is logits
    assert_bit_equal(expected, logits)


@each_type
@layouts
@pytest.mark.parametrize("n_classes", [3, 40, 41, 130])
def test_the_result_may_be_the_logits_in_any_memory_order(
    n_classes: int, layout: Callable[..., np.ndarray], dtype: str
) -> None:
    logits = layout(rows(37, n_classes, dtype))
    if not logits.flags.writeable:
        pytest.skip("these may not be written")
    expected = softclass.softmax(logits)

    softclass.softmax(logits, out=logits)

    assert_bit_equal(np.ascontiguousarray(expected), np.ascontiguousarray(logits))


@each_type
@pytest.mark.parametrize("n_classes", [3, 41])
def test_the_gradient_may_be_the_logits(n_classes: int, dtype: str) -> None:
    logits = rows(37, n_classes, dtype)
    targets = targets_of(logits)
    expected = softclass.cross_entropy_value_and_gradient(logits, targets)

    found = softclass.cross_entropy_value_and_gradient(logits, targets, out=logits)

    assert found[1] is logits
    assert_same_bits(list(expected), list(found))


@pytest.mark.parametrize("dtype", ["f2", "f4"])
@layouts
@whole
def test_the_inputs_stay_as_they_are(
    call: Callable[..., list[np.ndarray]], layout: Callable[..., np.ndarray], dtype: str
) -> None:
    logits = layout(rows(19, 23, dtype))
    before = logits.copy()

    call(logits)

    assert_bit_equal(before, np.array(logits))


@pytest.mark.parametrize("n_classes", [3, 41])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_result_that_overlaps_the_logits_in_part_is_refused(dtype: str, n_classes: int) -> None:
    memory = np.zeros((5, n_classes), dtype=TYPES[dtype])

    with pytest.raises(softclass.errors.OptionError, match=r"^\[SC141\] softmax: "):
        softclass.softmax(memory[:-1], out=memory[1:])


# ---- callers
def test_two_callers_at_once_get_their_own_results() -> None:
    _cpu.set_thread_count(2)
    batches = [rows(3000, n, "f4", seed=n) for n in (10, 40, 64, 100)]
    expected = [[call(batch) for call in (softmax, index_loss, mean_loss)] for batch in batches]
    together = Barrier(len(batches))

    def work(batch: np.ndarray) -> list[list[list[np.ndarray]]]:
        together.wait()
        return [[call(batch) for call in (softmax, index_loss, mean_loss)] for _ in range(10)]

    with ThreadPoolExecutor(len(batches)) as pool:
        found = list(pool.map(work, batches))

    for wanted, rounds in zip(expected, found, strict=True):
        for got in rounds:
            for one, other in zip(wanted, got, strict=True):
                assert_same_bits(one, other)


def run_in_a_child(code: str) -> str:
    """Run code in a fresh interpreter and return what it prints; 60 seconds are a hang."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


AFTER_FORK = """
import os, sys, numpy as np, softclass
from softclass.kernels import _cpu
_cpu.set_thread_count(3)
logits = np.random.default_rng(0).normal(size=(4000, 100)).astype(np.float32)
expected = softclass.softmax(logits).tobytes()      # the pool is awake
reader, writer = os.pipe()
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        same = all(softclass.softmax(logits).tobytes() == expected for _ in range(20))
        os.write(writer, b"y" if same else b"n")
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
same = softclass.softmax(logits).tobytes() == expected
print(os.read(reader, 3).decode() + ("y" if same else "n"))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_that_was_forked_off_computes_as_its_parent() -> None:
    assert run_in_a_child(AFTER_FORK) == "yyyy"


FLUSHED = """
import sys, hashlib, numpy as np, softclass
if sys.argv[-1] == "flush":
    import torch
    assert torch.set_flush_denormal(True)
found = hashlib.sha256()
from softclass.kernels import _cpu
for n_threads in (1, 2):
    _cpu.set_thread_count(n_threads)
    for dtype, lowest in (("f4", -95), ("f8", -725)):
        for size in ((1, 3), (40, 10), (40, 41), (700, 100)):
            logits = (np.random.default_rng(0).integers(-5000, 5000, size=size) / 1000 + lowest).astype(dtype)
            logits[:, -1] = 0
            found.update(softclass.softmax(logits).tobytes() + softclass.log_softmax(logits).tobytes())
            found.update(softclass.logsumexp(logits).tobytes())
            targets = np.full(size[0], size[1] - 1)
            for reduction in ("none", "sum", "mean"):
                loss, gradient = softclass.cross_entropy_value_and_gradient(logits, targets, reduction=reduction)
                found.update(gradient.tobytes())
            if dtype == "f8":  # those of float32 are rounded by NumPy, as the caller wants it
                found.update(softclass.cross_entropy(logits, targets, reduction="none").tobytes())
tiny = np.array([1], dtype=np.uint32).view(np.float32)
print(found.hexdigest(), (tiny * np.float32(2)).view(np.uint32)[0])
"""


def test_numbers_below_the_normal_ones_survive_a_caller_that_flushes_them() -> None:
    """Also the caller gets its own setting back: its product of the smallest number and 2 stays 0."""
    pytest.importorskip("torch", reason="PyTorch sets the flag")
    plain = run_in_a_child(FLUSHED)
    flushed = run_in_a_child(f"import sys; sys.argv.append('flush')\n{FLUSHED}")

    assert plain.split()[0] == flushed.split()[0]
    assert (plain.split()[1], flushed.split()[1]) == ("2", "0")


GUARDED = """
import ctypes, mmap, numpy as np, softclass
libc = ctypes.CDLL(None, use_errno=True)
page = mmap.PAGESIZE
def at_the_end(n_bytes):
    "Memory that ends where reading or writing one byte more stops the process."
    pages = -(-n_bytes // page) + 1
    memory = mmap.mmap(-1, pages * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert libc.mprotect(ctypes.c_void_p(address + (pages - 1) * page), ctypes.c_size_t(page), 0) == 0
    return np.frombuffer(memory, dtype=np.uint8)[(pages - 1) * page - n_bytes : (pages - 1) * page]
def placed(array):
    home = at_the_end(array.nbytes).view(array.dtype).reshape(array.shape)
    home[...] = array
    return home
for dtype in ("f2", "f4", "f8"):
    for n_classes in (1, 2, 3, 4, 5, 7, 10, 15, 16, 17, 31, 33, 40, 41, 63, 65, 130):
        for n_rows in (1, 2, 15, 16, 17):
            values = np.random.default_rng(0).normal(size=(n_rows, n_classes)).astype(dtype)
            logits, out = placed(values), placed(values)
            targets = placed(np.arange(n_rows, dtype=np.int64) % n_classes)
            soft = placed(np.full((n_rows, n_classes), 1 / n_classes, dtype=dtype))
            for f in (softclass.softmax, softclass.log_softmax):
                f(logits, out=out)
                assert out.tobytes() == f(values).tobytes()
            softclass.logsumexp(logits)
            softclass.softmax(logits.reshape(n_classes, n_rows), axis=0, out=out.reshape(n_classes, n_rows))
            softclass.cross_entropy_value_and_gradient(logits, targets, out=out)
            softclass.cross_entropy_value_and_gradient(logits, soft, out=out)
            softclass.softmax_vjp(logits, out)
            weight = placed(np.ones((3, n_classes), dtype=dtype))
            softclass.linear_cross_entropy_value_and_gradient(
                logits, weight, targets % 3, wrt=("weight", "features"))
print("inside")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="page protection as Linux has it")
def test_nothing_beyond_the_end_of_an_array_is_read_or_written() -> None:
    assert run_in_a_child(GUARDED) == "inside"
