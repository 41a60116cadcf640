from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from made_models import CLASSES, DATA, FIT, PARTS, make_images, make_small, make_table, schema_of
from softclass.data.column import Label
from softclass.errors import ModelFileError, Note, TooLargeError
from softclass.model import manifest as manifest_room
from softclass.model.canonical import dump_facts
from softclass.model.manifest import FIELDS, Manifest
from softclass.model.manifest_rules import FIELD_RULES
from softclass.trust.evaluation import evaluate
from softclass.trust.temperature import Temperature

ROOT = Path(__file__).resolve().parents[2]
HINT = "softclass never writes this: get the file again from where it was trained"


@pytest.fixture(scope="module")
def table():
    return make_small()


@pytest.fixture(scope="module")
def images():
    return make_images()


def build(model, **changes):
    facts = {
        "preprocessing": model.preprocessing, "layers": model.layers, "classes": CLASSES, "parts": PARTS, "fit": FIT,
        "temperature": Temperature(1.3, "temperature", 18, {"none": 0.5, "temperature": 0.4}, "it helps"),
        "data": DATA, "sample": model.manifest.sample, "image": model.image,
        "schema": None if model.image is not None else schema_of(model.preprocessing),
    }  # fmt: skip
    return Manifest.build(**{**facts, **changes})


@pytest.mark.parametrize("made", [make_small, make_table, lambda: make_table("matrix"), make_images])
def test_facts_survive_their_text(made):
    manifest = made().manifest

    assert Manifest.from_json(manifest.to_json()) == manifest


def test_accessors_give_back_what_training_had(table, images):
    manifest = table.manifest

    assert manifest.schema() == schema_of(table.preprocessing)
    assert (manifest.preprocessing(), manifest.temperature().temperature) == (table.preprocessing, 1.3)
    assert (images.manifest.image_spec(), images.manifest.preprocessing()) == (images.image, images.preprocessing)


def test_task_layout_and_sizes(table, images):
    assert (table.manifest.task, table.manifest.layout, table.manifest.n_features) == ("table", "columns", 8)
    assert (images.manifest.task, images.manifest.layout, images.manifest.n_parameters) == ("images", "image", 273)


def test_table_has_no_image_size(table):
    with pytest.raises(ModelFileError, match=re.escape("[SC406] a model of a table has no image size")):
        table.manifest.image_spec()


def test_images_have_no_columns(images):
    with pytest.raises(ModelFileError, match=re.escape("[SC406] a model of images has no columns")):
        images.manifest.schema()


def test_notes_come_back_as_notes(table):
    (note,) = table.manifest.notes_read()

    assert note == Note("SC803", "missing cells filled", "bill length (mm)", 2, "")


def test_evaluation_is_kept_whole_for_few_classes(table):
    random = np.random.default_rng(0)
    found = evaluate(random.normal(size=(30, 3)), random.integers(3, size=30), ["a", "b", "c"], bootstrap=20)

    kept = build(table, evaluation=found).evaluation

    assert kept == json.loads(json.dumps(found.to_dict()))


def test_evaluation_loses_its_matrix_for_many_classes(table, monkeypatch):
    monkeypatch.setattr(manifest_room, "DETAILED_CLASSES", 2)
    random = np.random.default_rng(0)
    found = evaluate(random.normal(size=(30, 3)), random.integers(3, size=30), ["a", "b", "c"], bootstrap=20)

    kept = build(table, evaluation=found).evaluation

    assert {"confusion", "reliability"}.isdisjoint(kept)
    assert kept["log_loss"] == found.log_loss


def test_evaluation_loses_its_list_of_classes_for_very_many(table, monkeypatch):
    monkeypatch.setattr(manifest_room, "DETAILED_CLASSES", 1)
    monkeypatch.setattr(manifest_room, "LISTED_CLASSES", 2)
    random = np.random.default_rng(0)
    found = evaluate(random.normal(size=(30, 3)), random.integers(3, size=30), ["a", "b", "c"], bootstrap=20)

    kept = build(table, evaluation=found).evaluation

    assert {"confusion", "reliability", "per_class"}.isdisjoint(kept)
    assert kept["accuracy"] == found.accuracy


def test_no_regularisation_is_null(table):
    assert build(table, fit={**FIT, "C": float("inf")}).fit["C"] is None


def test_integer_classes_come_back_as_integers(table):
    labels = (Label("0", "integer"), Label("1", "integer"), Label("-7", "integer"))
    schema = replace(schema_of(table.preprocessing), classes=labels)

    assert [label.value for label in build(table, classes=labels, schema=schema).classes] == [0, 1, -7]


def test_facts_hold_no_time_path_or_name(table):
    text = table.manifest.to_json().decode()

    assert not re.search(r"20\d\d-\d\d-\d\d|/home|/tmp|/work|root@", text)


def test_too_many_facts_are_refused_before_they_are_written(table, monkeypatch):
    monkeypatch.setattr(manifest_room, "MAX_BYTES", 500)

    with pytest.raises(TooLargeError, match=re.escape("[SC606] the facts of a model may have 500 bytes; these have ")):
        table.manifest.to_json()


def refusal(model, change):
    facts = copy.deepcopy(json.loads(model.manifest.to_json()))
    change(facts)
    with pytest.raises(ModelFileError) as caught:
        Manifest.from_json(dump_facts(facts))
    return caught.value


def at(facts, path, value):
    *way, last = path.split(".")
    for key in way:
        facts = facts[int(key) if key.isdigit() else key]
    if value is None and not isinstance(facts, list):
        facts[last] = None
    elif isinstance(facts, list):
        facts[int(last)] = value
    else:
        facts[last] = value


WRONG = [
    ("kind", "forest", '"kind" breaks its rule'),
    ("task", "images", "a model must be of a table or of images"),
    ("layout", "matrix", "a model must be of a table or of images"),
    ("schema", None, "a model must be of a table or of images"),
    ("features", 9, "the preprocessing makes 8 features; the facts say 9"),
    ("parameters", 1.5, '"parameters" breaks its rule'),
    ("parameters", 1, "the number of parameters must be that of the layers"),
    ("classes", [], "there must be two or more classes"),
    ("classes.1.name", "Adelie", "there must be two or more classes, and no two of one name"),
    ("classes.1.type", "float", '"type" breaks its rule'),
    ("classes.1.type", "integer", '"name" of an integer class is a whole number in digits'),
    ("classes.1.more", 1, 'the keys are closed; "more" is unknown'),
    ("layers", [], '"layers" breaks its rule'),
    ("layers.0.kind", "softclass.evil", '"kind" breaks its rule'),
    ("layers.0.outputs", 4, "the number of parameters"),
    ("calibration.temperature", 0.001, '"temperature" breaks its rule; got 0.001'),
    ("calibration.temperature", 1e6, '"temperature" breaks its rule'),
    ("calibration.temperature", "1", '"temperature" breaks its rule'),
    ("calibration.method", "isotonic", '"method" breaks its rule'),
    ("calibration.candidates", {"none": "0"}, '"candidates" breaks its rule'),
    ("parts.fit", -1, '"fit" breaks its rule'),
    ("parts.stratified", 1, '"stratified" breaks its rule'),
    ("parts.more", 1, 'the keys are closed; "more" is unknown'),
    ("fit.converged", None, '"converged" breaks its rule'),
    ("data.rows", True, '"rows" breaks its rule'),
    ("evaluation", {"accuracy": 1.0, "secret": 1}, 'the keys are closed; "secret" is unknown'),
    ("evaluation", {"reliability": {}}, "breaks its own rules; 'split'"),
    ("notes.0.count", -3, '"count" breaks its rule'),
    ("card.limits", ["a", "a"], '"limits" breaks its rule'),
    ("versions.softclass", 1, '"softclass" breaks its rule'),
    ("preprocessing.steps.0.scale", 0, '"scale" breaks its rule'),
    ("preprocessing.steps.0.scale", -1.0, '"scale" breaks its rule'),
    ("preprocessing.steps.0.fill", "0", '"fill" breaks its rule'),
    ("preprocessing.steps.0.input", "other", "the preprocessing must have one step a column, in their order"),
    ("preprocessing.steps.1.categories", ["a", ""], '"categories" breaks its rule'),
    ("preprocessing.steps.1.categories", ["a"], "the preprocessing makes 5 features; the facts say 8"),
    ("schema.columns.0.missing", -1, '"missing" breaks its rule'),
    ("schema.columns.0.kind", "code", 'the keys are closed; "integer" is unknown'),
    ("schema.classes.0.name", "other", "the classes must be those of the schema"),
    ("image", {"height": 1}, 'the keys are closed; "width" is absent'),
    ("optional", [], '"optional" breaks its rule'),
    ("format.major", "1", '"major" breaks its rule'),
    ("format.major", 0, "the format must be 1; got 0"),
    ("format.more", 0, 'the keys are closed; "more" is unknown'),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=lambda value: str(value)[:30])
def test_facts_that_break_a_rule_are_refused(table, path, value, message):
    error = refusal(table, lambda facts: at(facts, path, value))

    assert (error.code, error.hint) == ("SC405", HINT)
    assert message in error.message
    assert error.where.startswith("facts")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("preprocessing.mean", [1.0], '"mean" breaks its rule'),
        ("preprocessing.std", [1.0, 0.0, 1.0], '"std" breaks its rule'),
        ("image.channels", 2, "breaks its own rules"),
        ("image.height", 10**9, "breaks its own rules"),
        ("image.resize", "zoom", "breaks its own rules"),
        ("image.height", 7, "the preprocessing makes 105 features; the facts say 90"),
        ("schema", {}, '"target" is absent'),
    ],
)
def test_image_facts_that_break_a_rule_are_refused(images, path, value, message):
    error = refusal(images, lambda facts: at(facts, path, value))

    assert error.code == "SC405"
    assert message in error.message


@pytest.mark.parametrize("key", FIELDS)
def test_every_fact_must_be_there(table, key):
    error = refusal(table, lambda facts: facts.pop(key))

    assert error.code == "SC405"


def test_list_of_facts_is_that_of_the_writer_and_of_the_page(table):
    page = (ROOT / "docs" / "reference" / "model-file.md").read_text()
    rows = re.findall(r"^\| `([a-z]+)` \|", page.split("## The facts")[1].split("\n## ")[0], flags=re.MULTILINE)

    assert sorted(FIELDS) == sorted(table.manifest.to_dict()) == sorted(FIELD_RULES) == sorted(rows)
