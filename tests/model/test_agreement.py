from __future__ import annotations

import json
import re
from itertools import permutations

import numpy as np
import pytest

from made_models import make_images, make_small, make_table
from softclass.errors import ModelFileError
from softclass.model.agreement import check_agreement
from softclass.model.canonical import dump_facts
from softclass.model.manifest import Manifest
from softclass.model.shapes import check_shapes
from softclass.model.wire import read_graph

MODELS = {"columns": make_table, "matrix": lambda: make_table("matrix"), "small": make_small, "images": make_images}
HINT = "softclass never writes this: get the file again from where it was trained"


def check(body, manifest):
    graph = read_graph(body)
    check_agreement(graph, check_shapes(graph), manifest)


def with_facts(model, change):
    facts = json.loads(model.manifest.to_json())
    change(facts)
    return Manifest.from_json(dump_facts(facts))


@pytest.mark.parametrize("made", MODELS.values(), ids=MODELS)
def test_what_belongs_together_agrees(made):
    model = made()

    check(model.body, model.manifest)


def _classes(facts):
    for classes in (facts["classes"], facts["schema"]["classes"]):
        classes[0]["name"], classes[1]["name"] = classes[1]["name"], classes[0]["name"]


def _columns(facts):
    facts["preprocessing"]["steps"][0]["input"] = facts["schema"]["columns"][0]["input"] = "bill depth (mm)"
    facts["sample"]["inputs"]["bill depth (mm)"] = facts["sample"]["inputs"].pop("bill length (mm)")


def _order(facts):
    for columns in (facts["preprocessing"]["steps"], facts["schema"]["columns"]):
        columns.reverse()


def _step(number, key, value):
    return lambda facts: facts["preprocessing"]["steps"][number].update({key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_classes, "the classes; they differ"),
        (_columns, 'the inputs; "bill depth (mm)" (double) in the facts, "bill length (mm)" (double) in the graph'),
        (_order, 'the inputs; "岛屿" (string) in the facts, "bill length (mm)" (double) in the graph'),
        (lambda facts: facts["calibration"].update(temperature=1.25), "the temperature; they differ"),
        (_step(0, "fill", 40.0), "the fill; they differ"),
        (_step(0, "mean", np.nextafter(43.92, 50)), "the mean; they differ"),
        (_step(0, "scale", 5.0), "the scale; they differ"),
        (_step(1, "categories", ["Dream", "Biscoe", "NA", "a/b [c]"]), "the categories; they differ"),
    ],
)
def test_facts_that_say_something_else_than_the_graph_are_refused(change, message):
    model = make_small()
    message = f"[SC406] facts and graph must agree on {message}. {HINT}"
    with pytest.raises(ModelFileError, match=f"^{re.escape(message)}$"):
        check(model.body, with_facts(model, change))


@pytest.mark.parametrize("key", ["mean", "std"])
def test_pixels_are_centred_and_scaled_as_the_facts_say(key):
    model = make_images()
    changed = with_facts(model, lambda facts: facts["preprocessing"][key].__setitem__(0, 99.0))

    with pytest.raises(ModelFileError, match=re.escape(f"facts and graph must agree on the {key}; they differ")):
        check(model.body, changed)


@pytest.mark.parametrize(("graph", "facts"), list(permutations(MODELS, 2)))
def test_facts_of_another_model_are_refused(graph, facts):
    with pytest.raises(ModelFileError, match=r"^\[SC406\] facts and graph must agree on the inputs; "):
        check(MODELS[graph]().body, MODELS[facts]().manifest)
