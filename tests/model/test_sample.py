from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from asserts import assert_close
from made_models import STEPS, make_images, make_table
from softclass.data.image_set import ImageSpec
from softclass.data.preprocessing import CategoryStep, NumberStep, Preprocessing
from softclass.errors import CheckFailedError, ModelFileError
from softclass.model.graph import build_graph
from softclass.model.sample import MAX_ROWS, Sample, check_sample, make_sample, noise, read_sample
from softclass.model.session import Session
from softclass.networks.architecture import Dense

MODELS = pytest.mark.parametrize("made", [make_table, lambda: make_table("matrix"), make_images])


@MODELS
def test_sample_is_what_the_model_says(made):
    model = made()
    sample = model.manifest.sample

    found = Session(model.data).run(sample.feeds(model.preprocessing, model.image)).probabilities

    assert_close(np.array(sample.probabilities), found, rtol=0, atol=1e-6)  # shortest decimals of float32


def test_sample_of_a_table_has_an_average_row_an_empty_row_and_all_sorts():
    inputs = make_table().manifest.sample.inputs

    assert [inputs[step.input][0] for step in STEPS] == [43.92, 0.0, "Biscoe", 1.6e9, 4201.75, "p", 1.1e9]
    assert [inputs[step.input][1] for step in STEPS] == [None, None, "", None, None, "", None]
    assert {len(values) for values in inputs.values()} == {MAX_ROWS}
    assert {"Biscoe", "Dream", "NA", "a/b [c]", "", "\ufffd"} == set(inputs["岛屿"])


def test_sample_of_a_wide_table_is_short():
    steps = tuple(NumberStep(f"x{i}", 0.0, 0.0, 1.0, False, 0) for i in range(60_000))
    preprocessing = Preprocessing(steps, "matrix")
    body = build_graph(preprocessing, [Dense(np.zeros((2, 60_000)), np.zeros(2))], ["a", "b"])

    assert len(make_sample(preprocessing, Session(body)).probabilities) == 1


def test_numbers_of_the_sample_stay_finite():
    preprocessing = Preprocessing((NumberStep("x", 0.0, 1.7e308, 1e308, False, 0), CategoryStep("c", (), 0, 0)))
    body = build_graph(preprocessing, [Dense(np.ones((2, 3)), np.zeros(2))], ["a", "b"])

    cells = [cell for cell in make_sample(preprocessing, Session(body)).inputs["x"] if cell is not None]

    assert np.isfinite(cells).all()


def test_noise_can_be_made_again_in_any_language():
    expected = [[((i + 1) * (2 * r + 1) * 2654435769 % 2**32) >> 24 for i in range(24)] for r in range(3)]

    assert noise(3, ImageSpec(2, 4, 3)).reshape(3, 24).tolist() == expected


@MODELS
def test_machine_that_repeats_the_sample_is_let_through(made):
    model = made()

    check_sample(model.manifest.sample, Session(model.data), model.preprocessing, model.image)


def test_machine_that_computes_otherwise_is_refused():
    model = make_table()
    first, *others = model.manifest.sample.probabilities
    other = replace(model.manifest.sample, probabilities=((first[0] + 2e-4, *first[1:]), *others))
    message = (
        "[SC502] m.onnx: the model must repeat the probabilities of its sample to 0.0001; they differ by 0.0002. "
        "onnxruntime computes otherwise on this machine: install another version of it"
    )
    with pytest.raises(CheckFailedError, match=f"^{re.escape(message)}$"):
        check_sample(other, Session(model.data), model.preprocessing, where="m.onnx")


@MODELS
def test_sample_survives_its_facts(made):
    model = made()

    assert read_sample(model.manifest.sample.to_dict(), model.preprocessing, 3) == model.manifest.sample


ONE = NumberStep("x", 0.0, 0.0, 1.0, False, 0)
TWO = CategoryStep("c", ("a",), 0, 0)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (None, 'must have the keys "inputs" and "probabilities"'),
        ({"inputs": {}}, 'must have the keys "inputs" and "probabilities"'),
        ({"inputs": {"x": [1.0], "c": ["a"]}, "probabilities": []}, "must have 1 to 8 rows"),
        ({"inputs": [], "probabilities": [[0.5, 0.5]]}, "must have 1 to 8 rows"),
        ({"inputs": {"x": [1.0], "c": ["a"]}, "probabilities": [[1.0]]}, "each row must have one probability a class"),
        ({"inputs": {"x": [1.0], "c": ["a"]}, "probabilities": [[1.5, 0.0]]}, "each row must have one probability a"),
        ({"inputs": {"x": [1.0], "c": ["a"]}, "probabilities": [[True, 0]]}, "each row must have one probability a"),
        ({"inputs": {"x": [1.0]}, "probabilities": [[0.5, 0.5]]}, "must have one value of the right kind"),
        ({"inputs": {"x": ["1"], "c": ["a"]}, "probabilities": [[0.5, 0.5]]}, "must have one value of the right kind"),
        ({"inputs": {"x": [1.0], "c": [None]}, "probabilities": [[0.5, 0.5]]}, "must have one value of the right kind"),
        ({"inputs": {"x": [1, 2], "c": ["a"]}, "probabilities": [[0.5, 0.5]]}, "must have one value of the right kind"),
    ],
)
def test_sample_that_does_not_fit_is_refused(facts, message):
    with pytest.raises(ModelFileError, match=f"^{re.escape(f'[SC405] facts, sample: {message}')}"):
        read_sample(facts, Preprocessing((ONE, TWO)), 2)


def test_images_of_a_sample_are_noise():
    model = make_images()
    with pytest.raises(ModelFileError, match="the images must be noise, as many as there are rows"):
        read_sample({"inputs": {"image": {"noise": 10**9}}, "probabilities": [[1, 0, 0]]}, model.preprocessing, 3)


def test_sample_without_rows_has_no_probabilities():
    assert Sample({}, ()).to_dict() == {"inputs": {}, "probabilities": []}
