"""The functions and `LastLayer` on a device that is pretended: numbers of the CPU by formulas, nothing copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import softclass
from asserts import assert_bit_equal, assert_close
from softclass.errors import DTypeError

torch = pytest.importorskip("torch", reason="devices are PyTorch's")
from pretend_device import Machine, OnDevice, formulas_alone, pretended  # noqa: E402 - needs PyTorch
from softclass.functions import last_layer  # noqa: E402
from softclass.functions.last_layer import LastLayer  # noqa: E402

WIDE = {"cuda": torch.float64, "mps": torch.float32}
CLASS_WEIGHT = [0.5, 1.0, 2.0, 0.0, 3.0]
Call = Callable[[Any], Any]


def drawn(*shape: int, seed: int = 0, dtype: Any = torch.float32) -> Any:
    return 3 * torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


Z, U, X, W, B = drawn(11, 5), drawn(11, 5, seed=1), drawn(11, 7, seed=2), drawn(5, 7, seed=3), drawn(5, seed=4)
P = torch.softmax(Z.double(), -1).float()
CLASSES, SHARES = torch.arange(11) % 5, torch.softmax(U.double(), -1).float()
ROWS = torch.arange(11.0)
WEIGHTS = {"sample_weight": ROWS, "class_weight": torch.tensor(CLASS_WEIGHT)}


def sent(to: Any, options: dict[str, Any]) -> dict[str, Any]:
    return {name: to(value) if isinstance(value, torch.Tensor) else value for name, value in options.items()}


def states_of(to: Any) -> Any:
    """A log partition in two parts, put together."""
    parts = [softclass.LogPartition.from_logits(part) for part in to(Z).split([2, 3], dim=1)]
    return parts[0].merge(parts[1]).value


# What is called on the CPU and on a device; `to` brings a tensor there.
CALLS: dict[str, Call] = {
    "softmax": lambda to: softclass.softmax(to(Z), temperature=0.7),
    "softmax where": lambda to: softclass.softmax(to(Z), where=to(U) > -1),
    "softmax of all axes": lambda to: softclass.softmax(to(Z), axis=None),
    "log_softmax": lambda to: softclass.log_softmax(to(Z), axis=0),
    "logsumexp": lambda to: softclass.logsumexp(to(Z), keepdims=True),
    "cross_entropy": lambda to: softclass.cross_entropy(to(Z), to(CLASSES), **sent(to, WEIGHTS)),
    "cross_entropy of rows": lambda to: softclass.cross_entropy(to(Z), to(CLASSES), ignore_index=2, reduction="none"),
    "cross_entropy of shares": lambda to: softclass.cross_entropy(to(Z), to(SHARES), label_smoothing=0.1),
    "linear_cross_entropy": lambda to: softclass.linear_cross_entropy(
        to(X), to(W), to(CLASSES), bias=to(B), **sent(to, WEIGHTS)
    ),
    "softmax_jacobian": lambda to: softclass.softmax_jacobian(to(P)),
    "softmax_jvp": lambda to: softclass.softmax_jvp(to(P), to(U)),
    "softmax_vjp": lambda to: softclass.softmax_vjp(to(P), to(U)),
    "cross_entropy_value_and_gradient": lambda to: softclass.cross_entropy_value_and_gradient(to(Z), to(CLASSES))[1],
    "cross_entropy_hvp": lambda to: softclass.cross_entropy_hvp(to(Z), to(CLASSES), to(U)),
    "linear_cross_entropy_value_and_gradient": lambda to: (
        softclass.linear_cross_entropy_value_and_gradient(to(X), to(W), to(SHARES), bias=to(B))[1].weight
    ),
    "linear_cross_entropy_hvp": lambda to: softclass.linear_cross_entropy_hvp(to(X), to(W), to(CLASSES), to(W)).weight,
    "a log partition in parts": states_of,
}


@pytest.fixture
def machine() -> Iterator[Machine]:
    with pretended() as one:
        yield one


def numbers(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy()


@pytest.mark.parametrize("kind", ["cuda", "mps"])
@pytest.mark.parametrize("name", CALLS)
def test_a_function_stays_on_the_device_and_gives_the_bytes_of_the_formula(name: str, kind: str) -> None:
    with formulas_alone(WIDE[kind]):
        expected = CALLS[name](lambda tensor: tensor)
    with pretended(kind) as machine:
        there = {id(tensor): tensor.to(kind) for tensor in (Z, U, X, W, B, P, CLASSES, SHARES, ROWS, *WEIGHTS.values())}
        machine.forget()

        found = CALLS[name](lambda tensor: there[id(tensor)])

        assert (machine.to_device, machine.to_host, machine.questions) == ([], [], [])
        assert isinstance(found, OnDevice)
        assert_bit_equal(numbers(expected), numbers(found))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_type_has_its_own_on_a_device(dtype: Any, machine: Machine) -> None:
    with formulas_alone():
        expected = softclass.softmax(Z.to(dtype)), softclass.cross_entropy(Z.to(dtype), CLASSES)

    found = (
        softclass.softmax(Z.to(dtype).to("cuda")),
        softclass.cross_entropy(Z.to(dtype).to("cuda"), CLASSES.to("cuda")),
    )

    assert [tensor.dtype for tensor in found] == [dtype, torch.float64 if dtype == torch.float64 else torch.float32]
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one, other.cpu())


def test_derivatives_stay_on_the_device(machine: Machine) -> None:
    logits = Z.to("cuda").requires_grad_()
    targets = CLASSES.to("cuda")
    machine.forget()

    (gradient,) = torch.autograd.grad(softclass.cross_entropy(logits, targets), logits, create_graph=True)
    (second,) = torch.autograd.grad((gradient * gradient.detach()).sum(), logits)

    assert (machine.to_device, machine.to_host, machine.questions) == ([], [], [])
    z = Z.double().requires_grad_()
    (first,) = torch.autograd.grad(torch.nn.functional.cross_entropy(z, CLASSES), z, create_graph=True)
    (truth,) = torch.autograd.grad((first * first.detach()).sum(), z)
    assert_close(numbers(first), numbers(gradient), rtol=1e-5, atol=1e-7)
    assert_close(numbers(truth), numbers(second), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("where", ["cpu", "cuda:1"])
@pytest.mark.parametrize("name", ["targets", "sample_weight", "class_weight", "weight"])
def test_tensors_of_two_devices_are_refused(name: str, where: str, machine: Machine) -> None:
    given = {"features": X, "weight": W, "targets": CLASSES, **WEIGHTS}
    there = {key: value.to(where if key == name else "cuda") for key, value in given.items()}

    with pytest.raises(
        DTypeError, match=rf"SC112.*`{name}` must be on the device of `features`, cuda:0; got.* {where}"
    ):
        softclass.linear_cross_entropy(**there)


# ---- LastLayer


def head_of(kind: str, **options: Any) -> Any:
    """A head with the same parameters wherever it lies."""
    head = LastLayer(7, 5, **options)
    with torch.no_grad():
        head.weight.copy_(W)
        head.bias.copy_(B)
    return head.to(kind)


OPTIONS: dict[str, dict[str, Any]] = {
    "mean": {},
    "sum with weights": {"reduction": "sum", "class_weight": np.array(CLASS_WEIGHT)},
    "mean with weights": {"class_weight": np.array(CLASS_WEIGHT), "ignore_index": 4},
    "rows": {"reduction": "none", "label_smoothing": 0.1},
}


@pytest.mark.parametrize("kind", ["cuda", "mps"])
@pytest.mark.parametrize("at_once", [3, 1000])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_last_layer_on_a_device(name: str, at_once: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_layer, "BLOCK_LOGITS", 5 * at_once)
    cpu, features = head_of("cpu", **OPTIONS[name]), X.clone().requires_grad_()
    given = SHARES if name in ("mean", "rows") else CLASSES
    expected = cpu(features, given, ROWS)
    truth = torch.autograd.grad(expected.sum(), [features, cpu.weight, cpu.bias])

    with pretended(kind) as machine:
        head, there = head_of(kind, **OPTIONS[name]), X.to(kind).requires_grad_()
        targets, weight = given.to(kind), ROWS.to(kind)
        machine.forget()
        loss = head(there, targets, weight)
        found = torch.autograd.grad(loss.sum(), [there, head.weight, head.bias])
        assert (machine.to_device, machine.to_host, machine.questions) == ([], [], [])
        assert {str(tensor.device) for tensor in (loss, *found)} == {f"{kind}:0"}
        for one, other in zip([expected, *truth], [loss, *found], strict=True):
            assert_close(numbers(one), numbers(other), rtol=3e-6, atol=3e-6)
        assert str(head(there).device) == f"{kind}:0"


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_weights_of_numpy_suit_a_device_without_float64(kind: str) -> None:
    weights = np.array(CLASS_WEIGHT)
    with pretended(kind):
        heads = [LastLayer(7, 5, class_weight=weights, device=kind), LastLayer(7, 5, class_weight=weights).to(kind)]

        assert [head.class_weight.dtype for head in heads] == [torch.float32] * 2
        assert [str(tensor.device) for tensor in (heads[0].weight, heads[0].class_weight)] == [f"{kind}:0"] * 2


@pytest.mark.parametrize("at_once", [2, 1000])
def test_a_batch_without_weight_moves_nothing_on_a_device(
    at_once: int, monkeypatch: pytest.MonkeyPatch, machine: Machine
) -> None:
    monkeypatch.setattr(last_layer, "BLOCK_LOGITS", 5 * at_once)
    head, features = head_of("cuda", ignore_index=-1), X.to("cuda").requires_grad_()

    loss = head(features, torch.full((11,), -1).to("cuda"))
    found = torch.autograd.grad(loss, [features, head.weight, head.bias])

    assert np.isnan(numbers(loss))  # the mean over nothing
    assert all(not numbers(gradient).any() for gradient in found)


@pytest.mark.parametrize("at_once", [2, 1000])
def test_a_class_that_is_none_spoils_its_own_row_on_a_device(
    at_once: int, monkeypatch: pytest.MonkeyPatch, machine: Machine
) -> None:
    """A device is not asked whether indices are in range: that would stop it in every step."""
    monkeypatch.setattr(last_layer, "BLOCK_LOGITS", 5 * at_once)
    targets = CLASSES.clone()
    head, features = head_of("cuda"), X.to("cuda").requires_grad_()
    (expected,) = torch.autograd.grad(head(features, targets.to("cuda")), [features])
    targets[3] = 5

    loss = head(features, targets.to("cuda"))
    (found,) = torch.autograd.grad(loss, [features])

    assert np.isnan(numbers(loss))
    assert np.isnan(numbers(found)[3]).all()
    others = [row for row in range(11) if row != 3]
    assert_bit_equal(numbers(expected)[others], numbers(found)[others])


@pytest.mark.parametrize("at_once", [3, 1000])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_are_widened_under_autocast(
    dtype: Any, at_once: int, monkeypatch: pytest.MonkeyPatch, machine: Machine
) -> None:
    monkeypatch.setattr(last_layer, "BLOCK_LOGITS", 5 * at_once)
    head, features = head_of("cuda"), X.to("cuda").to(dtype).requires_grad_()
    expected = head(features.detach().float(), CLASSES.to("cuda"))

    torch.set_autocast_enabled("cuda", True)  # what `torch.autocast` sets where there is a GPU
    try:
        loss = head(features, CLASSES.to("cuda"))
    finally:
        torch.set_autocast_enabled("cuda", False)

    (found,) = torch.autograd.grad(loss, [features])
    assert (loss.dtype, found.dtype) == (torch.float32, dtype)
    assert loss.cpu() == expected.cpu()


@pytest.mark.parametrize("at_once", [3, 1000])
def test_logits_beyond_float16_overflow_nowhere(
    at_once: int, monkeypatch: pytest.MonkeyPatch, machine: Machine
) -> None:
    monkeypatch.setattr(last_layer, "BLOCK_LOGITS", 5 * at_once)
    head, features = head_of("cuda").half(), (200 * X).to("cuda").half()
    head.weight.data.mul_(50)

    loss, logits = head(features, CLASSES.to("cuda")), head(features)

    assert not logits.cpu().isfinite().all()
    truth = torch.nn.functional.cross_entropy(
        torch.nn.functional.linear(*(tensor.detach().cpu().double() for tensor in (features, head.weight, head.bias))),
        CLASSES,
    )
    assert_close(truth.item(), loss.item(), rtol=1e-6, atol=0)


def test_a_network_of_ones_own_learns_on_a_device(machine: Machine) -> None:
    def losses(kind: str) -> list[float]:
        torch.manual_seed(0)
        body, head = torch.nn.Sequential(torch.nn.Linear(7, 8), torch.nn.Tanh()).to(kind), head_of(kind)
        head = LastLayer(8, 5).to(kind)
        features, targets = X.to(kind), CLASSES.to(kind)
        optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.5)
        found = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = head(body(features), targets)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    with formulas_alone():
        expected = losses("cpu")

    assert losses("cuda") == expected
    assert expected[-1] < 0.9 * expected[0]


def test_a_head_comes_back_from_a_device(machine: Machine) -> None:
    head = head_of("cuda:1", class_weight=CLASS_WEIGHT)

    state = {name: tensor.cpu() for name, tensor in head.state_dict().items()}
    linear = torch.nn.Linear(7, 5)
    linear.load_state_dict(state)

    assert torch.equal(linear.weight, W)
    assert {str(tensor.device) for tensor in (*head.parameters(), head.class_weight)} == {"cuda:1"}


# ---- the pretended device itself: what a GPU refuses, it refuses


def test_it_refuses_what_a_gpu_refuses(machine: Machine) -> None:
    there = torch.ones(3, device="cuda", requires_grad=True)
    with pytest.raises(RuntimeError, match="same device, but found at least two devices, cpu and cuda:0"):
        there + torch.ones(3)
    with pytest.raises(RuntimeError, match="cuda:0 and cuda:1"):
        there + torch.ones(3, device="cuda:1")
    with pytest.raises(TypeError, match="can't convert cuda:0 device type tensor to numpy"):
        there.detach().numpy()
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        np.asarray(there.detach())
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        torch.ones(3, device="cuda:2")
    assert (there + torch.tensor(1.0)).tolist() == [2.0, 2.0, 2.0]  # single numbers may come from the host
    largest = torch.nn.functional.max_pool2d(torch.ones(1, 1, 4, 4, device="cuda", requires_grad=True), 2).sum()
    torch.set_deterministic_debug_mode("warn")
    try:
        with pytest.raises(RuntimeError, match=r"max_pool2d_with_indices_backward.* deterministic"):
            largest.backward()
    finally:
        torch.set_deterministic_debug_mode("default")


def test_it_refuses_float64_on_mps() -> None:
    with pretended("mps"):
        for make in (
            lambda: torch.ones(2, dtype=torch.float64, device="mps"),
            lambda: torch.ones(2, device="mps").double(),
        ):
            with pytest.raises(TypeError, match="doesn't support float64"):
                make()


def test_it_counts_copies_and_questions(machine: Machine) -> None:
    there = torch.ones(3).to("cuda")
    there.copy_(torch.zeros(3))
    torch.empty(3).copy_(there)
    there.cpu()
    there.sum().item()
    bool(there[0] > 0)
    there[there > 0]

    assert (machine.to_device, machine.to_host, len(machine.questions)) == ([12, 12], [12, 12], 3)
    assert torch.empty(1).device.type == "cpu"
