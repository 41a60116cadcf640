"""Networks on points of the plane: the same numbers in node, in Chromium and with NumPy."""

from __future__ import annotations

from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softclass.functions.head_losses import HEADS
from web.engines import Ask, engine_fixtures
from web.plane_reference import ReferenceRun

TASKS = Path(__file__).parent / "plane_tasks.js"
engine, node = engine_fixtures(TASKS)
S3 = {0.25: [2, 6, 2, 10], 0.5: [4, 13, 4, 20], 1: [7, 68, 6, 59], 2: [15, 586, 11, 333], 4: [35, 3132, 22, 1926]}
BLOBS = {"name": "blobs3", "n": 300, "seed": 7}
LINEAR = {
    "hidden": [], "activation": "tanh", "head": "softmax_ce", "optimizer": "gd", "learningRate": 0.5, "l2": 0,
    "start": 2, "seed": 7,
}  # fmt: skip
DEEP = {**LINEAR, "hidden": [5, 4], "start": 1, "learningRate": 0.1}


# ---- heads


def rows_of_logits() -> list[tuple[list[float], int]]:
    draw = np.random.default_rng(1)
    wide = [(draw.normal(size=n) * scale, n) for n in (2, 3, 5, 10) for scale in (0.3, 3, 30, 300)]
    return [(row.tolist(), int(draw.integers(n))) for row, n in wide] + [([0.0, 0.0, 0.0], 1), ([0.0, 36.0], 0)]


def test_heads_are_those_of_the_library(engine: Ask) -> None:
    rows = rows_of_logits()
    found = [[(cell["loss"], cell["gradient"]) for cell in row] for row in engine("heads", rows=rows)]
    losses = [[head(logits, target)[0] for logits, target in rows] for head in HEADS.values()]
    gradients = [[head(logits, target)[1] for logits, target in rows] for head in HEADS.values()]

    # Both sum in an order of their own; single gradients may cancel down to the smallest numbers.
    np.testing.assert_allclose([[loss for loss, _ in row] for row in found], losses, rtol=1e-12, atol=1e-15)
    for mine, truth in zip(chain(*found), chain(*gradients), strict=True):
        np.testing.assert_allclose(mine[1], truth, rtol=1e-11, atol=1e-30)


def test_heads_are_those_of_the_module_for_single_rows(engine: Ask) -> None:
    cells = list(chain(*engine("heads", rows=rows_of_logits())[:2]))

    np.testing.assert_allclose([c["loss"] for c in cells], [c["twin"]["loss"] for c in cells], rtol=1e-12, atol=1e-15)
    for cell in cells:
        np.testing.assert_allclose(cell["gradient"], cell["twin"]["gradient"], rtol=1e-11, atol=1e-30)


def test_outputs_of_a_softmax_sum_to_one_and_of_sigmoids_need_not(node: Ask) -> None:
    softmax_ce, _, sigmoid_ce, _ = node("heads", rows=[([2.0, 1.0, 0.1], 0)])

    np.testing.assert_allclose(
        softmax_ce[0]["outputs"], [0.659001138885968, 0.242432970704714, 0.0985658904093182], rtol=1e-14
    )
    np.testing.assert_allclose(sigmoid_ce[0]["outputs"], 1 / (1 + np.exp([-2.0, -1.0, -0.1])), rtol=1e-14)


# ---- gradients and runs


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
@pytest.mark.parametrize("head", list(HEADS))
def test_gradient_is_that_of_central_differences(node: Ask, activation: str, head: str) -> None:
    draw = np.random.default_rng(3)
    sizes = [2, 4, 3, 3]
    n = sum((a + 1) * b for a, b in pairwise(sizes))
    training = {"features": draw.normal(size=24).tolist(), "targets": draw.integers(3, size=12).tolist()}
    found = node("gradient", sizes=sizes, activation=activation, head=head, parameters=draw.normal(size=n).tolist(),
                 training=training, step=1e-5)  # fmt: skip

    # The differences themselves are good to about h^2 + eps / h = 1e-10 + 2e-11.
    np.testing.assert_allclose(found["gradient"], found["differences"], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("hidden", [[], [3], [5, 4], [4, 3, 2]])
@pytest.mark.parametrize("optimizer", ["gd", "sgd", "momentum", "adam"])
def test_run_is_that_of_the_reference(node: Ask, hidden: list[int], optimizer: str) -> None:
    settings = {**DEEP, "hidden": hidden, "optimizer": optimizer, "l2": 0.01, "learningRate": 0.05}
    found = node("train", data={"name": "moons", "n": 64, "seed": 5}, settings=settings, epochs=12)
    run = ReferenceRun(found["set"]["training"], found["set"]["middles"], settings)
    trace = list(run.trace(12))

    np.testing.assert_allclose([row[:2] for row in found["trace"]], trace, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["parameters"], run.parameters(), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
@pytest.mark.parametrize("head", list(HEADS))
def test_run_of_every_head_and_activation_is_that_of_the_reference(engine: Ask, activation: str, head: str) -> None:
    settings = {**DEEP, "activation": activation, "head": head}
    found = engine("train", data={"name": "spiral", "n": 60, "seed": 2}, settings=settings, epochs=20)
    run = ReferenceRun(found["set"]["training"], found["set"]["middles"], settings)
    trace = list(run.trace(20))

    np.testing.assert_allclose([row[:2] for row in found["trace"]], trace, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["parameters"], run.parameters(), rtol=1e-8, atol=1e-11)


def test_loss_of_validation_is_that_of_points_not_trained_on(node: Ask) -> None:
    found = node("train", data=BLOBS, settings=LINEAR, epochs=15)
    run = ReferenceRun(found["set"]["training"], found["set"]["middles"], LINEAR)
    list(run.trace(15))
    held_out = ReferenceRun(found["set"]["validation"], found["set"]["middles"], LINEAR)
    held_out.layers = run.layers

    np.testing.assert_allclose(found["trace"][15][2:], held_out.loss(), rtol=1e-9)
    assert found["set"]["validation"]["features"][:2] != found["set"]["training"]["features"][:2]


def test_run_that_diverges_says_so(node: Ask) -> None:
    settings = {**LINEAR, "l2": 1, "learningRate": 100}  # each step multiplies the weights by -99

    assert node("ending", data=BLOBS, settings=settings) == "diverged"


# ---- S3: the all-wrong start


@pytest.mark.parametrize("start", S3)
def test_epochs_from_the_all_wrong_start_are_those_of_the_table(engine: Ask, start: float) -> None:
    found = engine("compare", data=BLOBS, settings={**LINEAR, "start": start}, patience=5000)
    epochs = [row["epochs"] for row in found["heads"]]

    assert epochs[0] == S3[start][0]
    np.testing.assert_allclose(epochs, S3[start], rtol=0.01)
    np.testing.assert_allclose(found["margin"], start * 6.018, rtol=1e-4)


@pytest.mark.parametrize(
    ("seed", "start", "wanted"), [(1, 2, [14, 1359]), (2, 2, [14, 716]), (1, 4, [30, None]), (2, 4, [33, None])]
)
def test_epochs_of_other_seeds(node: Ask, seed: int, start: float, wanted: list[int | None]) -> None:
    settings = {**LINEAR, "start": start, "seed": seed}
    found = node("compare", data={**BLOBS, "seed": seed}, settings=settings, patience=5000)

    assert [row["epochs"] for row in found["heads"]][:2] == wanted


def test_every_point_is_wrong_at_the_start_and_points_are_those_of_the_experiment(engine: Ask) -> None:
    found = engine("train", data=BLOBS, settings=LINEAR, epochs=0)
    features = found["set"]["training"]["features"]
    ends = [1.6556237922, 1.9591691861, 0.7199943133, -0.8786124218]

    assert found["trace"][0][1] == 0
    np.testing.assert_allclose(features[:2] + features[-2:], ends, atol=5e-11)


# ---- points


@pytest.mark.parametrize(
    ("name", "n_classes"), [("blobs3", 3), ("blobs4", 4), ("blobs5", 5), ("moons", 2), ("rings", 3), ("spiral", 3)]
)
def test_drawn_set_has_its_classes_evenly(node: Ask, name: str, n_classes: int) -> None:
    found = node("set", data={"name": name, "n": 300, "seed": 11})
    counts = np.bincount(found["training"]["targets"])

    assert counts.tolist() == [300 // n_classes] * n_classes == np.bincount(found["validation"]["targets"]).tolist()
    assert len(found["middles"]) == len(found["classes"]) == n_classes
    assert np.abs(found["training"]["features"]).max() < 6


@pytest.mark.parametrize("name", ["moons", "rings", "spiral"])
def test_network_learns_what_a_line_cannot(node: Ask, name: str) -> None:
    data = {"name": name, "n": 300, "seed": 7}
    deep = {**LINEAR, "hidden": [16, 16], "start": 1, "learningRate": 0.01, "optimizer": "adam"}
    line = node("train", data=data, settings={**LINEAR, "start": 0}, epochs=200)
    network = node("train", data=data, settings=deep, epochs=200)

    assert line["trace"][-1][3] < 0.9
    assert network["trace"][-1][3] > 0.95


def made_table(n: int) -> dict[str, Any]:
    draw = np.random.default_rng(4)
    targets = draw.integers(3, size=n)
    features = np.column_stack([1000 + 50 * draw.normal(size=n) + 20 * targets, 0.001 * draw.normal(size=n)])
    rows = {"features": features.ravel().tolist(), "targets": targets.tolist()}
    return {**rows, "classes": list("xyz"), "axes": ["a", "b"]}


def test_table_is_split_and_scaled_by_its_training_rows(node: Ask) -> None:
    rows = made_table(100)
    found = node("table", rows=rows, seed=3)
    training = np.reshape(found["training"]["features"], (-1, 2))
    together = np.vstack([training, np.reshape(found["validation"]["features"], (-1, 2))])

    np.testing.assert_allclose(found["shift"], training.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["scale"], training.std(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(np.reshape(rows["features"], (-1, 2)), axis=0))


def test_few_rows_are_all_trained_on(node: Ask) -> None:
    found = node("table", rows=made_table(19), seed=3)

    assert found["validation"] is None
    assert len(found["training"]["targets"]) == 19


def test_points_put_in_by_hand_bring_their_classes(node: Ask) -> None:
    found = node("added", data=BLOBS, added=[0.5, -1.5, 4, 1, 2, 0])
    own = node("added", data=None, added=[1, 2, 1, 3, 4, 0, 9])

    assert found["training"]["features"][-4:] == [0.5, -1.5, 1, 2]
    assert (found["training"]["targets"][-2:], found["classes"]) == ([4, 0], list("ABCDE"))
    assert (own["training"]["targets"], own["middles"], own["classes"]) == ([1, 0], [[3, 4], [1, 2]], ["A", "B"])


# ---- regions and lines

BOX = {"x": [-4, 4], "y": [-3, 5]}
SET = {"classes": ["A", "B", "C"], "shift": [0.5, -1], "scale": [2, 0.5]}


def test_field_is_the_softmax_of_every_cell(engine: Ask) -> None:
    parameters = np.random.default_rng(8).normal(size=9)
    found = engine("field", parameters=parameters.tolist(), nClasses=3, head="softmax_ce", set=SET, box=BOX, side=20)
    x = BOX["x"][0] + (np.arange(20) + 0.5) * 8 / 20
    y = BOX["y"][1] - (np.arange(20) + 0.5) * 8 / 20
    places = (np.stack(np.meshgrid(x, y), axis=-1) - SET["shift"]) / SET["scale"]
    logits = places @ parameters[:6].reshape(3, 2).T + parameters[6:]
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)

    np.testing.assert_array_equal(found["classes"], logits.argmax(axis=-1).ravel())
    np.testing.assert_allclose(found["outputs"], p.max(axis=-1).ravel(), rtol=1e-6)  # kept as float32


def test_two_classes_tie_on_their_line_and_no_third_is_ahead_on_the_border(engine: Ask) -> None:
    parameters = np.array([1.0, 0.2, -0.8, 0.9, -0.3, -1.1, 0.1, -0.2, 0.3])
    ties = engine("ties", parameters=parameters.tolist(), nClasses=3, set=SET, box=BOX)

    def logits(x: float, y: float) -> np.ndarray:
        place = (np.array([x, y]) - SET["shift"]) / SET["scale"]
        return parameters[:6].reshape(3, 2) @ place + parameters[6:]

    for tie in ties:
        for end in ("line", "border"):
            x1, y1, x2, y2 = tie[end]
            for share in (0, 0.3, 1):
                z = logits(x1 + share * (x2 - x1), y1 + share * (y2 - y1))
                assert z[tie["i"]] == pytest.approx(z[tie["j"]], abs=1e-12)
                assert end == "line" or z.max() <= z[tie["i"]] + 1e-9
        x1, y1, x2, y2 = tie["line"]
        assert min(x1, x2) >= -4 - 1e-9
        assert max(y1, y2) <= 5 + 1e-9
    assert [(tie["i"], tie["j"]) for tie in ties] == [(0, 1), (0, 2), (1, 2)]


def test_line_outside_the_box_is_not_drawn(node: Ask) -> None:
    ties = node("ties", parameters=[1, 0, 0, 0, 100, 0], nClasses=2, set={**SET, "classes": ["A", "B"]}, box=BOX)

    assert [tie["line"] for tie in ties] == [None]


def test_fields_of_hidden_units_are_their_values(engine: Ask) -> None:
    parameters = np.random.default_rng(9).normal(size=(2 + 1) * 3 + (3 + 1) * 2)
    network = {"sizes": [2, 3, 2], "activation": "tanh", "parameters": parameters.tolist()}
    found = engine("units", **network, set=SET, box=BOX, side=4)
    x = (-4 + (np.arange(4) + 0.5) * 2 - 0.5) / 2
    y = (5 - (np.arange(4) + 0.5) * 2 + 1) / 0.5
    places = np.stack(np.meshgrid(x, y), axis=-1)
    values = np.tanh(places @ parameters[:6].reshape(3, 2).T + parameters[6:9])

    assert [(field["layer"], field["unit"]) for field in found] == [(0, 0), (0, 1), (0, 2)]
    np.testing.assert_allclose([f["values"] for f in found], np.moveaxis(values, -1, 0).reshape(3, -1), rtol=1e-6)
