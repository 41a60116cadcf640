"""Panel 2 in a browser: losses, gradients and five ways of writing are those of Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from softclass import cross_entropy_value_and_gradient
from softclass.functions.head_losses import squared_error

Open = Callable[..., Any]


def readings(page: Any) -> list[float]:
    """Both losses and both lengths of the gradient."""
    found = page.locator(".readings dd").evaluate_all("all => all.map((one) => one.firstChild.data)")
    return [float(text.replace("−", "-")) for text in found]


def table(page: Any, key: str) -> list[list[str]]:
    """The table of a figure, cell by cell."""
    page.locator(f"[data-figure={key}] summary").click()
    rows = page.locator(f"[data-figure={key}] tbody tr")
    rows.first.wait_for()
    return rows.evaluate_all("rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))")  # type: ignore[no-any-return]


def ways(page: Any) -> dict[str, list[str]]:
    """Loss and judgement of each way to write the loss."""
    read = """rows => Object.fromEntries(rows.map((row) => [row.dataset.way,
      [...row.cells].slice(1, 3).map((cell) => cell.textContent)]))"""
    return page.locator("[data-way]").evaluate_all(read)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("fragment", "z", "target", "smoothing", "temperature"),
    [
        ("", [2.0, 1.0, 0.1], 0, 0.0, 1.0),
        ("&z=0.5,-1,2,0.25&t=3&smooth=0.2&T=2", [0.5, -1.0, 2.0, 0.25], 3, 0.2, 2.0),
    ],
    ids=["article", "smoothed and warm"],
)
def test_losses_and_gradients_are_those_of_python(
    page_at: Open, fragment: str, z: list[float], target: int, smoothing: float, temperature: float
) -> None:
    page = page_at(f"p=loss{fragment}")
    scores = np.array(z) / temperature
    wanted = (1 - smoothing) * np.eye(len(z))[target] + smoothing / len(z)
    losses, gradients = [], []
    for loss in (cross_entropy_value_and_gradient, squared_error):
        value, gradient = loss(scores[None], wanted[None])
        losses.append(float(np.sum(value)))
        gradients.append(gradient[0] / temperature)
    rows = [[float(cell.replace("−", "-")) for cell in row[3:]] for row in table(page, "loss-gradients")]

    assert readings(page) == pytest.approx([*losses, *map(np.linalg.norm, gradients)], abs=6e-4)
    assert np.array(rows) == pytest.approx(np.stack(gradients, axis=1), abs=6e-7)


WAYS = {
    (17, "float32"): {"eps": ["16.976", "the right push"], "clip": ["16.118", "no push: stuck"]},
    (25, "float32"): {"eps": ["20.709", "1.4 % of the push"], "shift": ["25", "the right push"]},
    (60, "float32"): {"naive": ["60", "a wrong push on B"], "logsumexp": ["60", "the right push"]},
    (89, "float32"): {"naive": ["∞", "NaN: training is over"], "shift": ["89", "NaN: training is over"]},
    (104, "float32"): {"shift": ["∞", "NaN: training is over"], "eps": ["20.723", "no push: stuck"]},
    (12, "float16"): {"shift": ["12", "NaN: training is over"], "logsumexp": ["12", "the right push"]},
}


def test_five_ways_to_write_the_loss(page_at: Open) -> None:
    page = page_at(f"p=loss&z=0,0{',0' * 8}")
    found = {}
    for margin, precision in WAYS:
        page.get_by_role("spinbutton", name="B", exact=True).fill(str(margin))
        page.get_by_text(precision, exact=True).click()
        page.locator("[data-way=logsumexp] td").first.filter(has_text=str(margin)).wait_for()
        found[margin, precision] = ways(page)

    assert {len(one) for one in found.values()} == {5}
    assert {at: {name: one[name] for name in WAYS[at]} for at, one in found.items()} == WAYS


def test_a_smoothed_target_does_not_change_the_judgement(page_at: Open) -> None:
    found = ways(page_at("p=loss&smooth=0.2"))

    assert {judgement for _, judgement in found.values()} == {"the right push"}


def test_the_triangle_asks_for_three_classes(page_at: Open) -> None:
    page = page_at("p=loss&z=1,2,3,4&t=3")
    figure = page.locator("[data-figure=loss-flow]")

    assert figure.is_hidden()
    page.get_by_role("button", name="Keep three classes").click()
    figure.wait_for(state="visible")
    page.wait_for_url("**z=1,2,3&t=2*")  # the true class was the one that went


def test_the_flow_is_the_change_of_p(page_at: Open) -> None:
    page = page_at("p=loss")
    z = np.array([[2.0, 1.0, 0.1]])
    p = np.exp(z[0]) / np.exp(z[0]).sum()
    jacobian = np.diag(p) - np.outer(p, p)
    flows = [-jacobian @ loss(z, [0])[1][0] for loss in (cross_entropy_value_and_gradient, squared_error)]
    rows = [[float(cell.replace("−", "-")) for cell in row[3:]] for row in table(page, "loss-flow")]

    assert np.array(rows) == pytest.approx(np.stack(flows, axis=1), abs=6e-7)


def test_scores_whose_quotient_by_the_temperature_overflows(page_at: Open) -> None:
    page = page_at("p=loss&z=1e308,-1e308,1e308&T=0.05&t=0")
    found = readings(page)
    shares = [float(row[1]) for row in table(page, "loss-gradients")]

    # p = (1/2, 0, 1/2): the gradients are p - y and J (p - y) with J = [[1, -1], [-1, 1]] / 4, over T.
    assert shares == [0.5, 0, 0.5]
    assert found == pytest.approx([np.log(2), 0.25, 20 * np.sqrt(0.5), 20 * np.sqrt(0.125)], abs=6e-4)
    page.locator(".segments").get_by_text("B", exact=True).click()
    page.locator(".readings dd", has_text="∞").first.wait_for()
    assert page.locator("[data-figure=loss-flow] .handle").count() == 2


def test_chinese(page_at: Open) -> None:
    found = ways(page_at(f"p=loss&z=0,25{',0' * 8}&dtype=f32", language="zh"))

    assert found["eps"] == ["20.709", "推力的 1.4 %"]
