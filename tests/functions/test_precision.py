"""Five ways to write one loss, in four precisions: roundings, gradients, and from which lead on they are wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from golden_slow_learning import GOLDEN, number, numbers
from softclass.functions.precision import LARGEST_EXP, PRECISIONS, VARIANTS, loss_variant, rounded

EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}


def trailing(margin: float) -> list[float]:
    return [0.0, float(margin)] + [0.0] * 8


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_rounding_is_to_the_nearest_and_even(precision: str) -> None:
    given, expected = np.array([[number(one) for one in pair] for pair in GOLDEN["rounding"][precision]]).T

    np.testing.assert_array_equal(rounded(given, precision), expected)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_sign_of_zero_stays(precision: str) -> None:
    assert math.copysign(1.0, float(rounded(-0.0, precision))) == -1.0


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_largest_exponential(precision: str) -> None:
    step = 1e-12 if precision == "float64" else 1e-6  # the next number of a coarse precision may still round down
    below, above = np.exp(LARGEST_EXP[precision] * (1 - step)), LARGEST_EXP[precision] + 2 * EPS[precision]

    assert LARGEST_EXP[precision] == pytest.approx(number(GOLDEN["largest_exp"][precision]), rel=1e-15)
    assert np.isfinite(rounded(below, precision))
    assert rounded(math.exp(above) if above < 709.7 else math.inf, precision) == math.inf


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", VARIANTS)
def test_variants_agree_with_numbers_of_their_type(precision: str, name: str) -> None:
    """Against scalars of that very type; a library's exp and log may differ from the exact ones in the last digit."""
    cases = [one for one in GOLDEN["loss_variants"] if (one["precision"], one["name"]) == (precision, name)]
    found = [loss_variant(name, one["logits"], one["target"], precision=precision) for one in cases]
    near = {"rtol": 16 * EPS[precision], "atol": 1e-300 if precision == "float64" else 1e-37}

    np.testing.assert_allclose([loss for loss, _ in found], [number(one["loss"]) for one in cases], **near)
    np.testing.assert_allclose(
        np.concatenate([gradient for _, gradient in found]),
        np.concatenate([numbers(one["gradient"]) for one in cases]),
        **near,
    )


INF, NAN = math.inf, math.nan
# Loss and push on the true logit in float32 at a lead; the table of experiment 5.
TABLE: dict[str, dict[int, tuple[float, float]]] = {
    "naive": {10: (10.0004, -1), 17: (17, -1), 25: (25, -1), 60: (60, -1), 89: (INF, NAN), 104: (INF, NAN)},
    "shift": {10: (10.0004, -1), 17: (17, -1), 25: (25, -1), 60: (60, -1), 89: (89, NAN), 104: (INF, NAN)},
    "eps": {
        10: (10.0004, -0.9999),
        17: (16.976, -0.976),
        25: (20.710, -0.0137),
        60: (20.723, -8.76e-18),
        89: (20.723, -2.2e-30),
        104: (20.723, 0),
    },
    "clip": {10: (10.0004, -1), **dict.fromkeys((17, 25, 60, 89, 104), (16.118, 0))},
    "logsumexp": {10: (10.0004, -1), **{m: (m, -1) for m in (17, 25, 60, 89, 104)}},
}
CELLS = [(name, margin, *expected) for name, column in TABLE.items() for margin, expected in column.items()]


@pytest.mark.parametrize(("name", "margin", "loss", "push"), CELLS)
def test_five_ways_to_write_one_loss(name: str, margin: int, loss: float, push: float) -> None:
    found, gradient = loss_variant(name, trailing(margin), 0, precision="float32")

    # 1e-2 for the cell -2.2e-30, which the table gives with two digits.
    np.testing.assert_allclose([found, gradient[0]], [loss, push], rtol=2e-2 if margin == 89 else 1e-3)


def test_the_naive_way_loses_the_wrong_class_before_it_fails() -> None:
    assert loss_variant("naive", trailing(60), 0, precision="float32")[1][1] == 0
    assert loss_variant("shift", trailing(89), 0, precision="float32")[1][1] == math.inf


def by_torch(name: str, margin: int) -> tuple[float, float]:
    torch = pytest.importorskip("torch")
    z = torch.tensor(trailing(margin), dtype=torch.float32, requires_grad=True)
    if name == "logsumexp":
        loss = torch.nn.functional.cross_entropy(z[None], torch.tensor([0]))
    elif name == "naive":
        loss = -torch.log((torch.exp(z) / torch.exp(z).sum())[0])
    else:
        loss = -torch.log(torch.softmax(z, 0)[0] + (1e-9 if name == "eps" else 0.0))
    loss.backward()
    return float(loss.detach()), float(z.grad[0])


@pytest.mark.parametrize("margin", [10, 17, 25, 60, 104])
@pytest.mark.parametrize("name", ["naive", "shift", "eps", "logsumexp"])
def test_automatic_differentiation_does_the_same(name: str, margin: int) -> None:
    """Not at 89: there PyTorch flushes the subnormal p to 0 or not, by processor."""
    loss, gradient = loss_variant(name, trailing(margin), 0, precision="float32")

    np.testing.assert_allclose([loss, gradient[0]], by_torch(name, margin), rtol=1e-5, atol=1e-29)


def is_wrong(name: str, margin: int, precision: str) -> bool:
    """Whether an entry is not finite or more than a twentieth off."""
    _, gradient = loss_variant(name, trailing(margin), 0, precision=precision)
    _, right = loss_variant("logsumexp", trailing(margin), 0)
    off = np.abs(gradient - right)[:2] > 0.05 * np.array([abs(right[0]), max(right[1], 0.01)])
    return bool(off.any()) or not np.isfinite(gradient).all()


FIRST = {
    "float64": (372, 710, 18, 17),
    "float32": (51, 89, 18, 17),
    "bfloat16": (46, 89, 18, 17),
    "float16": (8, 12, 12, 12),
}
EDGES = [(p, n, m) for p, row in FIRST.items() for n, m in zip(("naive", "shift", "eps", "clip"), row, strict=True)]


@pytest.mark.parametrize(("precision", "name", "margin"), EDGES)
def test_the_first_lead_at_which_a_gradient_is_wrong(precision: str, name: str, margin: int) -> None:
    found = next(m for m in range(1201) if is_wrong(name, m, precision))

    assert found == margin == GOLDEN["first_wrong_margin"][precision][name]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_from_logits_no_lead_is_too_large(precision: str) -> None:
    assert [m for m in range(0, 1201, 7) if is_wrong("logsumexp", m, precision)] == []


@pytest.mark.parametrize(("precision", "margin"), [("float32", 103.98), ("float64", 745.14)])
def test_minus_log_of_softmax_is_infinite_once_p_is_zero(precision: str, margin: float) -> None:
    assert loss_variant("shift", [0.0, margin], 0, precision=precision)[0] == math.inf
    assert math.isfinite(loss_variant("shift", [0.0, margin - 0.05], 0, precision=precision)[0])


def test_the_cap_of_1e_9_is_its_logarithm() -> None:
    loss, gradient = loss_variant("eps", trailing(200), 0)

    assert loss == pytest.approx(-math.log(1e-9), rel=1e-15)
    assert gradient[0] == pytest.approx(-math.exp(-200) / 1e-9, rel=1e-12)


def test_the_means_of_the_article() -> None:
    told: dict[str, Any] = GOLDEN["example"]
    found = {
        name: np.mean([loss_variant(name, z, t)[0] for z, t in zip(told["logits"], told["targets"], strict=True)])
        for name in ("logsumexp", "eps")
    }

    assert found["logsumexp"] == pytest.approx(told["mean"], rel=1e-15)
    assert found["eps"] == pytest.approx(told["mean_with_epsilon"], rel=1e-15)
    assert found["logsumexp"] - found["eps"] == pytest.approx(1.36e-9, rel=0.01)
