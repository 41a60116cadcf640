"""The experiments of slow learning, step by step: tables and traces in node, in a browser and in Python."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asserts import assert_close
from softclass.functions.slow_learning import escape_time, logit_run, neuron_run
from softclass.functions.slow_plane import best_rate, plane_points, plane_run
from web.engines import Ask, engine_fixtures

HERE = Path(__file__).parent
engine, node = engine_fixtures(HERE / "number_tasks.js")
LOSS = {"cross_entropy": "ce", "squared_error": "se", "eps": "eps", "clip": "clip"}
HEAD = {"softmax_ce": "ce", "softmax_se": "se", "sigmoid_ce": "sigmoid_ce", "sigmoid_se": "sigmoid_se"}
TRACE = {"rtol": 1e-9, "atol": 1e-15}  # 300 steps of float64
CAP = 2_000_000


@lru_cache
def slow() -> dict[str, Any]:
    """Return the golden file of slow learning."""
    return json.loads((HERE.parent / "golden" / "slow_learning.json").read_text())  # type: ignore[no-any-return]


def logit_options(case: dict[str, Any]) -> dict[str, Any]:
    """Return the options of an experiment with K logits."""
    given = {"margin": case["margin"], "classes": case["n_classes"], "eta": case["learning_rate"]}
    return {"loss": LOSS[case["loss"]], **given}


def neuron_options(case: dict[str, Any]) -> dict[str, Any]:
    """Return the options of an experiment with one neuron."""
    return {"loss": LOSS[case["loss"]], "margin": case["start"], "eta": case["learning_rate"]}


def plane_options(case: dict[str, Any]) -> dict[str, Any]:
    """Return the options of an experiment in the plane."""
    known = {"scale": case["start_scale"], "eta": case["learning_rate"], "seed": case["seed"]}
    return {"loss": HEAD[case["head"]], **known}


def looks(engine: Ask, kind: str, options: dict[str, Any], every: int = 25) -> dict[str, np.ndarray]:
    """Return what is measured at every 25th of 300 steps."""
    found = engine("looks", kind=kind, options=options, every=every, count=300 // every + 1)
    return {name: np.array([look[name] for look in found], dtype=float) for name in found[0]}


# ---- tables


@pytest.mark.parametrize(("mark", "below"), [(0, "0.5"), (1, "0.1")], ids=["half", "low"])
def test_steps_of_one_neuron(engine: Ask, mark: int, below: str) -> None:
    kept = slow()["neuron"]
    counts = engine("stepsTo", runs=[["neuron", neuron_options(case), None, mark] for case in kept])

    # Libraries differ in the last bit of e^z: one step more or less of thousands.
    assert [case["steps"][below] for case in kept] == pytest.approx(counts, abs=1)
    short = [i for i, case in enumerate(kept) if case["steps"][below] < 1000]
    assert [kept[i]["steps"][below] for i in short] == [counts[i] for i in short]


@pytest.mark.parametrize("name", ["logits", "even_logits", "two_logits"])
def test_steps_of_logits(engine: Ask, name: str) -> None:
    kept = [case for case in slow()[name] if case["steps"] is not None]
    counts = engine("stepsTo", runs=[["logits", logit_options(case), None, 0] for case in kept])

    assert len(kept) >= 6
    assert [case["steps"] for case in kept] == pytest.approx(counts, abs=1)
    short = [i for i, case in enumerate(kept) if case["steps"] < 1000]
    assert [kept[i]["steps"] for i in short] == [counts[i] for i in short]


@pytest.mark.parametrize("margin", [18, 20, 22, 24, 26, 28, 30])
def test_a_clipped_loss_stands_still_for_ever(engine: Ask, margin: int) -> None:
    options = {"loss": "clip", "margin": margin, "classes": 10, "eta": 0.5}

    trace = engine("trace", kind="logits", options=options, count=CAP, steps=[0, 1_000_000])

    assert (trace["reached"], trace["isStuck"], trace["steps"]) == ([None, None], True, 1)
    assert trace["at"][1] == {**trace["at"][0], "step": 1_000_000}


def test_epochs_in_the_plane(engine: Ask) -> None:
    kept = slow()["plane"]["runs"]
    counts = engine("stepsTo", runs=[["plane", plane_options(case), 5000, 0] for case in kept])
    is_exact = [case["head"] == "softmax_ce" for case in kept]

    assert [case["epochs"] for case in kept] == pytest.approx(counts, rel=0.01)
    assert [c["epochs"] for c, e in zip(kept, is_exact, strict=True) if e] == [
        count for count, e in zip(counts, is_exact, strict=True) if e
    ]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_squared_error_does_not_get_there_within_5000_epochs(node: Ask, seed: int) -> None:
    runs = [["plane", {"loss": loss, "scale": 4, "eta": 0.5, "seed": seed}, 5000, 0] for loss in ("ce", "se")]

    assert node("stepsTo", runs=runs) == [{1: 30, 2: 33}[seed], None]


BEST = {0.25: (0, 2), 0.5: (1, 4), 1: (2, 8), 2: (3, 12), 4: (4, 11)}


@pytest.mark.parametrize("scale", BEST)
def test_the_best_rate_of_the_grid(engine: Ask, scale: float) -> None:
    found = [
        engine("bestRate", kind="plane", options={"loss": loss, "scale": scale, "seed": 7}) for loss in ("ce", "se")
    ]
    grid = [2.0**power for power in range(-4, 15)]
    python = [best_rate(scale, head, grid, seed=7) for head in ("softmax_ce", "softmax_se")]

    assert [2.0**power for power in BEST[scale]] == [one["eta"] for one in found]
    assert python == [(one["eta"], one["steps"]) for one in found]


def test_there_is_no_best_rate_where_none_gets_there(node: Ask) -> None:
    assert node("bestRate", kind="logits", options={"loss": "clip", "margin": 20, "classes": 10}) is None


# ---- traces


@pytest.mark.parametrize("case", slow()["neuron"], ids=lambda case: f"{case['loss']} {case['start']}")
def test_traces_of_one_neuron(engine: Ask, case: dict[str, Any]) -> None:
    found = looks(engine, "neuron", neuron_options(case))
    python = list(islice(neuron_run(case["start"], case["loss"]), 301))[::25]

    assert_close(1 - np.array(case["every_25"]), found["right"], **TRACE)
    assert_close(np.array(python), 1 - found["right"], **TRACE)


@pytest.mark.parametrize("name", LOSS)
def test_traces_of_logits(engine: Ask, name: str) -> None:
    for case in (case for case in slow()["logits"] if case["loss"] == name):
        found = looks(engine, "logits", logit_options(case))
        python = list(islice(logit_run(case["margin"], 10, name), 301))
        python += [python[-1]] * (301 - len(python))  # a run that stands still ends in Python

        assert_close(np.array(case["p_every_25"]), found["right"], **TRACE)
        assert_close(np.array(case["loss_every_25"]), found["loss"], **TRACE)
        assert_close(np.array(python)[::25], np.stack([found["right"], found["loss"]], axis=1), **TRACE)


@pytest.mark.parametrize("head", HEAD)
def test_traces_in_the_plane(engine: Ask, head: str) -> None:
    for case in (case for case in slow()["plane"]["runs"] if case["head"] == head and case["seed"] == 7):
        found = looks(engine, "plane", plane_options(case))
        python = np.array(list(islice(plane_run(case["start_scale"], head, seed=7), 301)))[::25, :, 0]

        assert_close(np.array(case["accuracy_every_25"]), found["right"], rtol=1e-12, atol=0.0)
        assert_close(np.array(case["loss_every_25"]), found["loss"], **TRACE)
        assert_close(python, np.stack([found["right"], found["loss"]], axis=1), **TRACE)


def test_points_of_the_plane(engine: Ask) -> None:
    clouds = engine("calls", requests=[["slow_learning", "clouds", [seed]] for seed in (7, 1)])
    for seed, found in zip((7, 1), clouds, strict=True):
        features, targets = plane_points(seed)
        assert_close(features, np.stack([found["x"], found["y"]], axis=1), rtol=1e-13, atol=1e-15)
        assert targets.tolist() == found["labels"]

    first, last = [[clouds[0]["x"][i], clouds[0]["y"][i]] for i in (0, -1)]
    assert_close(np.array(slow()["plane"]["first_point"]), np.array(first), rtol=1e-13, atol=0.0)
    assert_close(np.array(slow()["plane"]["last_point"]), np.array(last), rtol=1e-13, atol=0.0)


# ---- what a trace remembers


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("neuron", {"loss": "se", "margin": 4, "eta": 0.15}),
        ("logits", {"loss": "se", "margin": 8, "classes": 10, "eta": 0.5}),
        ("logits", {"loss": "eps", "margin": 25, "classes": 3, "eta": 0.5}),
        ("plane", {"loss": "sigmoid_se", "scale": 1, "eta": 0.5, "seed": 7}),
    ],
    ids=["neuron", "logits", "eps", "plane"],
)
def test_a_trace_looks_the_same_at_any_step_of_it(engine: Ask, kind: str, options: dict[str, Any]) -> None:
    steps = [0, 1, 33, 34, 35, 36, 100, 227, 300]
    found = looks(engine, kind, options, every=1)

    trace = engine("trace", kind=kind, options=options, count=300, steps=steps)

    assert trace["at"] == [{name: values[step] for name, values in found.items()} for step in steps]
    assert trace["samples"] < 150


def test_a_trace_counts_both_marks(engine: Ask) -> None:
    options = {"loss": "ce", "margin": 12, "classes": 10, "eta": 0.5}

    trace = engine("trace", kind="logits", options=options, count=100, steps=[13, 24])

    assert trace["reached"] == [13, 24]
    assert [look["right"] > 0.5 for look in trace["at"]] == [True, True]
    assert [look["loss"] < 0.1 for look in trace["at"]] == [False, True]


def test_the_push_is_the_length_of_the_gradient(engine: Ask) -> None:
    kept = [case for case in slow()["saturation"] if case["n_classes"] == 10]
    for loss, key in (("ce", "cross_entropy"), ("se", "squared_error")):
        requests = [{"loss": loss, "margin": case["margin"], "classes": 10, "eta": 0.5} for case in kept]
        found = [engine("looks", kind="logits", options=one, every=1, count=1)[0] for one in requests]

        assert_close(
            np.array([case[key] for case in kept]), np.array([look["push"] for look in found]), rtol=1e-12, atol=0.0
        )


# ---- the line of theory


@pytest.mark.parametrize(
    ("loss", "n_classes", "margin", "near"),
    [("se", 2, 10, 1e-4), ("se", 3, 12, 1e-3), ("se", 10, 12, 1e-3), ("se", 100, 14, 0.01), ("eps", 10, 30, 1e-3)],
)
def test_the_line_of_theory_lies_on_the_measured_one(
    engine: Ask, loss: str, n_classes: int, margin: float, near: float
) -> None:
    line = engine("calls", requests=[["escape_time", "logitLine", [loss, n_classes, margin, 0.5]]])[0]
    kept = [point for point in line if point["step"] >= 100]
    end = escape_time({"se": "squared_error", "eps": "eps"}[loss], n_classes, margin, learning_rate=0.5)
    early = [point for point in kept if point["step"] < 0.8 * end]
    options = {"loss": loss, "margin": margin, "classes": n_classes, "eta": 0.5}
    steps = [round(point["step"]) for point in early]
    trace = engine("trace", kind="logits", options=options, count=steps[-1] + 1, steps=steps)

    assert len(early) > 15
    measured = np.array([look["loss"] for look in trace["at"]])
    assert_close(measured, np.array([point["loss"] for point in early]), rtol=near, atol=0.0)


def test_the_line_of_theory_of_one_neuron_lies_on_the_measured_one(engine: Ask) -> None:
    line = engine("calls", requests=[["escape_time", "neuronLine", ["se", 8, 0.15]]])[0]
    kept = [point for point in line if 100 <= point["step"] < 9000]
    steps = [round(point["step"]) for point in kept]
    options = {"loss": "se", "margin": 8, "eta": 0.15}
    trace = engine("trace", kind="neuron", options=options, count=steps[-1] + 1, steps=steps)

    assert_close(
        np.array([look["loss"] for look in trace["at"]]), np.array([p["loss"] for p in kept]), rtol=1e-3, atol=0.0
    )


def test_the_line_of_theory_is_flat_where_a_clipped_loss_stands_still(engine: Ask) -> None:
    request = ["escape_time", "logitLine", ["clip", 10, 20, 0.5]]

    line = engine("calls", requests=[request])[0]

    assert line == [{"step": 0, "loss": -math.log(1e-7)}, {"step": "inf", "loss": -math.log(1e-7)}]


@pytest.mark.parametrize(("margin", "wanted"), [(3, 0), (4, 120)], ids=["small margin", "large margin"])
def test_there_is_no_line_where_the_leading_terms_say_nothing(engine: Ask, margin: float, wanted: int) -> None:
    line = engine("calls", requests=[["escape_time", "logitLine", ["ce", 10, margin, 0.5]]])[0]

    assert len(line) == wanted
