"""`LastLayer`: the numbers of Linear and cross_entropy, the state of a Linear, without storing the logits."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from asserts import assert_close
from softclass.errors import OptionError, ShapeError
from softclass.functions.linear_cross_entropy import checked_linear

torch = pytest.importorskip("torch", reason="LastLayer is a PyTorch module")
from softclass.functions.last_layer import LastLayer, loss_in_blocks  # noqa: E402 - needs PyTorch

functional = torch.nn.functional
TOLERANCE = {torch.float32: 2e-6, torch.float64: 2e-14}
CLASS_WEIGHT = [0.5, 1.0, 2.0, 0.0, 3.0]


def drawn(*shape: int, seed: int = 0, dtype: Any = torch.float64) -> Any:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def pair(dtype: Any, *, bias: bool = True, **options: Any) -> tuple[Any, Any]:
    """A LastLayer and a Linear with equal parameters."""
    head = LastLayer(7, 5, bias=bias, dtype=dtype, **options)
    linear = torch.nn.Linear(7, 5, bias=bias, dtype=dtype)
    head.load_state_dict(linear.state_dict())
    return head, linear


def gradients(loss: Any, module: Any, features: Any) -> list[Any]:
    found = torch.autograd.grad(loss, [features, *module.parameters()])
    return [gradient.numpy() for gradient in found]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "options",
    [{}, {"label_smoothing": 0.1}, {"ignore_index": 2}, {"class_weight": CLASS_WEIGHT}],
    ids=lambda options: "".join(options) or "plain",
)
def test_values_and_gradients_are_those_of_linear_and_cross_entropy(
    dtype: Any, reduction: str, bias: bool, options: dict[str, Any]
) -> None:
    head, linear = pair(dtype, bias=bias, reduction=reduction, **options)
    features, targets = drawn(11, 7, dtype=dtype).requires_grad_(), torch.arange(11) % 5
    theirs = {"ignore_index": -100, **options, "reduction": reduction}
    if "class_weight" in theirs:
        theirs["weight"] = torch.tensor(theirs.pop("class_weight"), dtype=dtype)

    loss, expected = head(features, targets), functional.cross_entropy(linear(features), targets, **theirs)

    tolerance = TOLERANCE[dtype]
    assert_close(expected.item(), loss.item(), rtol=tolerance, atol=0)
    ours = gradients(loss, head, features)
    for mine, truth in zip(ours, gradients(expected, linear, features), strict=True):
        assert_close(truth, mine, rtol=tolerance, atol=tolerance)


def test_weights_of_rows_and_shares_of_classes() -> None:
    head, linear = pair(torch.float64)
    features, shares = drawn(11, 7), torch.softmax(drawn(11, 5, seed=1), -1)
    weight = torch.arange(11.0, dtype=torch.float64)
    each = functional.cross_entropy(linear(features), shares, reduction="none")

    loss = head(features, shares, weight)

    assert_close(((weight * each).sum() / weight.sum()).item(), loss.item(), rtol=1e-14, atol=0)


def test_rows_may_have_several_axes() -> None:
    head, linear = pair(torch.float64, reduction="none")
    features, targets = drawn(2, 3, 7), torch.tensor([[0, 1, 2], [3, 4, 0]])

    losses, logits = head(features, targets), head(features)

    expected = functional.cross_entropy(linear(features).movedim(-1, 1), targets, reduction="none")
    assert_close(expected.detach().numpy(), losses.detach().numpy(), rtol=1e-13, atol=0)
    assert torch.equal(logits, linear(features))


def test_a_linear_and_a_last_layer_exchange_their_states() -> None:
    head, linear = LastLayer(3, 4, class_weight=[1.0, 2.0, 3.0, 4.0]), torch.nn.Linear(3, 4)

    linear.load_state_dict(head.state_dict())

    assert list(head.state_dict()) == ["weight", "bias"]
    assert torch.equal(linear(drawn(5, 3).float()), head(drawn(5, 3).float()))


def test_it_starts_where_a_linear_starts() -> None:
    torch.manual_seed(3)
    head = LastLayer(3, 4)
    torch.manual_seed(3)
    linear = torch.nn.Linear(3, 4)

    assert torch.equal(head.weight, linear.weight)
    assert torch.equal(head.bias, linear.bias)


def test_half_precision_features_are_widened_under_autocast() -> None:
    head, _ = pair(torch.float32)
    features, targets = drawn(11, 7).bfloat16(), torch.arange(11) % 5

    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = head(features, targets)

    assert loss.dtype == torch.float32
    assert loss.item() == head(features.float(), targets).item()


def test_a_small_network_learns() -> None:
    torch.manual_seed(0)
    features = drawn(300, 6, dtype=torch.float32)
    targets = (features @ drawn(6, 4, seed=1, dtype=torch.float32)).argmax(-1)
    body, head = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU()), LastLayer(16, 4)
    optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=0.02)
    first = head(body(features), targets).item()

    for _ in range(100):
        optimizer.zero_grad()
        loss = head(body(features), targets)
        loss.backward()
        optimizer.step()

    assert loss.item() < 0.25 * first
    assert (head(body(features)).argmax(-1) == targets).float().mean() > 0.95


MANY_CLASSES = """
import torch
from peak_memory import peak_bytes
from softclass import LastLayer

torch.set_num_threads(1)
head = LastLayer(16, 50_000)
features = torch.randn(2_000, 16, requires_grad=True)
targets = torch.arange(2_000) * 25
head(features[:8], targets[:8]).backward()  # what is loaded on first use
before = peak_bytes()
head(features, targets).backward()
print(peak_bytes() - before, head.weight.grad.isfinite().all().item(), head.weight.grad.abs().sum().item() > 0)
"""


def test_many_classes_need_no_logits() -> None:
    """The logits of 2,000 rows and 50,000 classes would be 400 MB, and their gradient as much."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, 'tests')\n{MANY_CLASSES}"],
        capture_output=True,
        text=True,
        check=True,
    )

    grown, is_finite, is_there = done.stdout.split()
    assert int(grown) < 60e6
    assert (is_finite, is_there) == ("True", "True")


@pytest.mark.parametrize("at_once", [1, 4, 11])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_blocks_of_other_devices_make_the_same_loss(reduction: str, at_once: int) -> None:
    head, _ = pair(torch.float64, reduction=reduction, class_weight=CLASS_WEIGHT, ignore_index=4)
    features, targets = drawn(11, 7).requires_grad_(), torch.arange(11) % 5
    weight = torch.arange(11.0, dtype=torch.float64)
    checked = checked_linear(
        *("here", features, head.weight, targets, head.bias, weight, head.class_weight),
        *(head.ignore_index, head.label_smoothing, reduction),
    )

    found = loss_in_blocks(checked, at_once)

    expected = head(features, targets, weight)
    assert_close(expected.detach().numpy(), found.detach().numpy(), rtol=1e-13, atol=0)
    theirs = gradients(found.sum(), head, features)
    for mine, truth in zip(theirs, gradients(expected.sum(), head, features), strict=True):
        assert_close(truth, mine, rtol=1e-12, atol=1e-14)


def test_printing_it_names_sizes_and_options() -> None:
    head = LastLayer(3, 4, bias=False, class_weight=np.ones(4), ignore_index=-1, reduction="sum")

    assert repr(LastLayer(3, 4)) == "LastLayer(in_features=3, out_features=4, bias=True)"
    assert (
        repr(head) == "LastLayer(in_features=3, out_features=4, bias=False, class_weight=given, ignore_index=-1,"
        " reduction='sum')"
    )


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(OptionError, match=r"SC141.*reduction"):
        LastLayer(3, 4, reduction="average")
    with pytest.raises(ShapeError, match=r"SC101\] LastLayer: `class_weight`.* got the shape \(3,\)"):
        LastLayer(3, 4, class_weight=[1.0, 2.0, 3.0])
    with pytest.raises(ShapeError, match=r"SC101.*no `targets`"):
        LastLayer(3, 4)(torch.ones(2, 3), sample_weight=torch.ones(2))
