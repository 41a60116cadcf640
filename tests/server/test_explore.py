"""What the page is told of a model is what the model says, for tables and images, served and as one file."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import softclass
from made_models import STEPS, make_images, make_table, rows_of
from served import ask, exploring
from softclass.data import samples
from softclass.errors import Notes, TableError
from softclass.model.file import open_model
from softclass.model.model import Model
from softclass.server import evaluations
from softclass.server.arrays import encoded, packed, unpacked
from softclass.server.evaluations import Shown, bounded, recorded, shown_data, shown_record
from softclass.server.explore import Explored, contents_of, demo_bundle

DEMO = Path(__file__).resolve().parents[1] / "golden" / "demo" / "digits-cnn.onnx"


def decoded(value: Any) -> Any:
    """Answers with their arrays as arrays again."""
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if {"dtype", "shape", "base64"} <= set(value):
        return np.frombuffer(base64.b64decode(value["base64"]), value["dtype"]).reshape(value["shape"])
    return {name: decoded(item) for name, item in value.items()}


def answer(text: bytes) -> Any:
    return decoded(json.loads(text))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs as a user has them: a table and images."""
    folder = tmp_path_factory.mktemp("runs")
    quiet: dict[str, Any] = {"C": 1.0, "report": False, "progress": lambda event, facts: None}
    softclass.train(samples.path("penguins.csv"), "species", output=folder / "penguins", **quiet)
    softclass.train(samples.path("digits.npz"), output=folder / "digits", **quiet)
    return folder


def opened(path: Path) -> Model:
    return softclass.load(path, threads=1, notes=Notes())


@pytest.fixture(scope="module")
def penguins(runs: Path) -> Explored:
    model = opened(runs / "penguins")
    rows = shown_data(model, str(samples.path("penguins.csv")), Notes())
    return Explored(model, "penguins", [rows], threads=1)


@pytest.fixture(scope="module")
def digits(runs: Path) -> Explored:
    model = opened(runs / "digits")
    rows = shown_data(model, str(samples.path("digits.npz")), Notes(), recorded(runs / "digits"))
    return Explored(model, "digits", [rows], threads=1)


@pytest.fixture(scope="module")
def port(penguins: Explored) -> Iterator[int]:
    with exploring(penguins) as address:
        yield int(address.rsplit(":", 1)[1].partition("/")[0])


def test_the_facts_of_a_table_model(penguins: Explored) -> None:
    facts = answer(penguins.model())

    assert (facts["kind"], facts["name"]) == ("table", "penguins")
    assert facts["classes"] == ["Adelie", "Chinstrap", "Gentoo"]
    assert [layer["kind"] for layer in facts["layers"]] == ["opaque", "dense", "softmax"]
    assert facts["evaluations"] == ["penguins.csv"]
    assert facts["number_columns"] == [
        "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "year",
    ]  # fmt: skip
    assert facts["input"]["columns"][0] == {
        "name": "island", "kind": "category", "missing": False, "categories": ["Biscoe", "Dream", "Torgersen"],
    }  # fmt: skip
    assert facts["input"]["columns"][1] == {
        "name": "bill_length_mm", "kind": "number", "missing": True, "fill": 44.5, "minimum": 32.1, "maximum": 59.6,
        "integer": False,
    }  # fmt: skip


def test_the_facts_of_an_image_model(digits: Explored) -> None:
    facts = answer(digits.model())

    assert (facts["kind"], facts["input"]["shape"]) == ("image", [1, 8, 8])
    assert facts["has_weights"]
    assert [layer["kind"] for layer in facts["layers"]] == ["flatten", "dense", "softmax"]


def test_an_evaluation_is_what_predict_says(penguins: Explored, runs: Path) -> None:
    found = answer(penguins.evaluation("penguins.csv"))
    model = opened(runs / "penguins")

    np.testing.assert_array_equal(found["logits"], model.predict_logits(samples.path("penguins.csv")))
    assert found["n"] == found["total"] == 344
    assert [found["classes"][target] for target in found["targets"]] == [
        row[found["rows"]["columns"].index("species")] for row in found["rows"]["cells"]
    ]
    assert found["rows"]["cells"][3][2:5] == ["NA", "NA", "NA"]
    assert found["places"][0] == "line 2"


def test_uniforms_depend_on_the_row_alone(runs: Path, tmp_path: Path) -> None:
    lines = samples.path("penguins.csv").read_text().splitlines()
    (tmp_path / "turned.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    model = opened(runs / "penguins")

    whole = shown_data(model, str(samples.path("penguins.csv")), Notes()).uniforms
    turned = shown_data(model, str(tmp_path / "turned.csv"), Notes()).uniforms

    np.testing.assert_array_equal(whole, turned[::-1])
    assert 0 <= whole.min() < 0.02 < 0.98 < whole.max() < 1


def test_data_that_a_run_learnt_from_are_shown_as_far_as_it_was_tested(runs: Path) -> None:
    model, record, notes = opened(runs / "digits"), recorded(runs / "digits"), Notes()
    assert record is not None

    from_data = shown_data(model, str(samples.path("digits.npz")), notes, record)
    from_record = shown_record(model, record, Notes())

    assert [note.message for note in notes] == [
        "1,438 rows that the model learnt from or was calibrated on are not shown"
    ]
    assert from_data.places == from_record.places
    np.testing.assert_array_equal(from_data.logits, from_record.logits)
    np.testing.assert_array_equal(from_data.targets, from_record.targets)


def test_one_of_several_sources_of_a_run_is_shown_as_far_as_it_was_tested(runs: Path, tmp_path: Path) -> None:
    """Such a run wrote the name of the source before each place."""
    shutil.copytree(runs / "digits", tmp_path / "run")
    record = recorded(tmp_path / "run")
    assert record is not None
    table = pq.read_table(record)
    places = [f"digits.npz {place}" for place in table["file"].to_pylist()]
    pq.write_table(table.set_column(0, "file", pa.array(places)), record)

    found = shown_data(opened(runs / "digits"), str(samples.path("digits.npz")), Notes(), record)

    assert len(found.targets) == len(places)


def test_rows_of_a_table_that_a_run_learnt_from_are_left_out_too(runs: Path) -> None:
    model, record = opened(runs / "penguins"), recorded(runs / "penguins")
    assert record is not None

    from_data = shown_data(model, str(samples.path("penguins.csv")), Notes(), record)

    np.testing.assert_array_equal(from_data.logits, shown_record(model, record, Notes()).logits)


def test_a_model_that_left_its_run_has_no_record(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes((runs / "digits" / "model.onnx").read_bytes())

    assert recorded(tmp_path / "model.onnx") is None
    assert recorded(tmp_path) is None
    assert recorded(runs / "digits" / "model.onnx") == recorded(runs / "digits")


def test_a_recorded_table_has_its_cells_and_numbers(runs: Path) -> None:
    model, record = opened(runs / "penguins"), recorded(runs / "penguins")
    assert record is not None

    found = shown_record(model, record, Notes())

    assert len(found.targets) == 69
    assert found.cells is not None
    assert list(found.cells)[:2] == ["species", "island"]
    np.testing.assert_array_equal(found.numbers["year"], [float(cell) for cell in found.cells["year"]])


def test_pictures_stand_in_one_png(digits: Explored) -> None:
    import io

    from PIL import Image

    found = answer(digits.evaluation("digits.npz"))
    thumbnails = found["thumbnails"]
    sheet = np.asarray(Image.open(io.BytesIO(thumbnails["png"].tobytes())))
    with np.load(samples.path("digits.npz")) as arrays:
        pixels = next(arrays[name] for name in arrays.files if arrays[name].ndim == 3)
    row = int(found["places"][100].removeprefix("index "))
    top, left = (8 * at for at in divmod(100, thumbnails["columns"]))

    np.testing.assert_array_equal(sheet[top : top + 8, left : left + 8], pixels[row])


def test_too_many_rows_become_a_seeded_sample(penguins: Explored, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluations, "MAX_LOGITS", 3 * 50)
    whole = answer(penguins.evaluation("penguins.csv"))
    notes = Notes()

    found = shown_data(opened(runs / "penguins"), str(samples.path("penguins.csv")), notes)

    assert (len(found.targets), found.total) == (50, 344)
    assert [note.message for note in notes if note.code == "SC853"] == [
        "50 rows of 344 are shown: a seeded sample, since a page cannot hold them all"
    ]
    places = [whole["places"].index(place) for place in found.places or ()]
    assert places == sorted(places)
    np.testing.assert_array_equal(found.logits, whole["logits"][places])


def test_images_of_the_training_part_are_left_out_and_others_have_their_role(runs: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 5), ("validation", 3), ("test", 4)):
        arrays[f"x_{part}"] = random.integers(256, size=(count, 8, 8)).astype(np.uint8)
        arrays[f"y_{part}"] = np.arange(count)
    np.savez(tmp_path / "parts.npz", **arrays)

    found = shown_data(opened(runs / "digits"), str(tmp_path / "parts.npz"), Notes())

    assert sorted(found.roles.tolist()) == [0, 0, 0, 0, 1, 1, 1]


def test_large_pictures_become_smaller() -> None:
    model = Model(open_model(make_images(3).data), threads=1)
    assert model.manifest.image_spec().shape == (6, 5, 3)
    found = Shown(
        "x", ("a", "b"), np.zeros((1, 2), np.float32), np.zeros(1, np.int32), np.zeros(1), np.zeros(1, np.uint8), 1,
        pixels=np.zeros((1, 100, 60, 3), np.uint8),
    )  # fmt: skip

    from softclass.report.thumbnails import shrunk

    assert shrunk(bounded(found, Notes()).pixels, 64).shape == (1, 64, 38, 3)


@pytest.mark.parametrize("layout", ["columns", "matrix"])
def test_numbers_are_found_in_either_layout_of_the_inputs(tmp_path: Path, layout: str) -> None:
    model = Model(open_model(make_table(layout).data), threads=1)
    header = "bill length (mm),resident,岛屿,seen,mass,label,born,species"
    (tmp_path / "rows.csv").write_text(
        f"{header}\n39.5,yes,Dream,2026-11-23,3750,p,2001-01-01,Adelie\n", encoding="utf-8"
    )

    found = shown_data(model, str(tmp_path / "rows.csv"), Notes())

    assert {name: values.tolist() for name, values in found.numbers.items()} == {
        "bill length (mm)": [39.5], "mass": [3750.0],
    }  # fmt: skip
    assert found.cells is not None
    assert found.cells["岛屿"] == ["Dream"]


def test_columns_hold_whole_rows_only(penguins: Explored) -> None:
    found = answer(penguins.columns("bill_length_mm", "body_mass_g"))

    assert found["names"] == ["bill_length_mm", "body_mass_g"]
    assert found["points"].shape == (342, 2)
    assert found["points"][0].tolist() == [39.1, 3750.0]
    assert (found["total"], len(found["targets"])) == (342, 342)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("weights", 409),
        ("evaluation/penguins.csv", 200),
        ("evaluation/other", 404),
        ("columns?x=year&y=body_mass_g", 200),
        ("columns?x=year&y=island", 404),
        ("columns?x=year&y=<script>", 404),
        ("columns?x=year", 400),
        ("columns", 400),
        ("columns?x=year&y=year&z=1", 400),
        ("columns?x=year&x=year&y=year", 400),
    ],
)
def test_routes_of_a_table_model(port: int, path: str, status: int) -> None:
    assert ask(port, f"/explore/api/{path.replace('<', '%3C').replace('>', '%3E')}").status == status


def test_forward_of_a_row_is_what_predict_says(port: int, runs: Path) -> None:
    row = {"island": "Dream", "bill_length_mm": 44.1, "bill_depth_mm": "18", "flipper_length_mm": 210,
           "body_mass_g": 4000, "sex": None, "year": 2009}  # fmt: skip

    found = ask(port, "/explore/api/forward", method="POST", body=json.dumps({"row": row}).encode())

    expected = opened(runs / "penguins").predict_logits([{name: str(cell or "") for name, cell in row.items()}])[0]
    values = decoded(found.json)
    np.testing.assert_array_equal(values["logits"], expected)
    np.testing.assert_allclose(values["probabilities"], softclass.softmax(expected), rtol=1e-6)
    assert values["label"] == ["Adelie", "Chinstrap", "Gentoo"][int(expected.argmax())]
    assert list(values["activations"]) == ["features", "layer/0", "probabilities"]


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        (b"{}", 422, ""),
        (b'{"image": 1}', 422, ""),
        (b'{"row": {"island": 7, "wings": 2}}', 422, "row.wings"),
        (b'{"row": {"year": "soon"}}', 422, "row.year"),
        (b'{"row": {"year": 1e400}}', 400, ""),
        (b"\x00", 400, "line 1, column 1"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(port: int, body: bytes, status: int, where: str) -> None:
    found = ask(port, "/explore/api/forward", method="POST", body=body)

    assert (found.status, found.json["error"]["where"]) == (status, where)


def test_forward_of_an_image_and_weights_of_the_demo() -> None:
    model = Model(open_model(DEMO), threads=1)
    explored = Explored(model, "cnn", threads=1)
    image = np.random.default_rng(5).integers(256, size=(28, 28)).astype(np.uint8)

    found = answer(explored.forward(json.dumps({"image": encoded(image)}).encode()))

    np.testing.assert_array_equal(found["logits"], model.predict_logits(image[None])[0])
    assert answer(explored.weights())["layer/0/weight"].shape == (32, 1, 3, 3)


def test_an_answer_that_would_be_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from softclass.server import explore
    from softclass.server.limits import Refusal

    monkeypatch.setattr(explore, "MAX_VALUES", 100)
    model = Model(open_model(DEMO), threads=1)

    with pytest.raises(Refusal) as caught:
        Explored(model, "cnn", threads=1).forward(b"{}")

    assert (caught.value.status, caught.value.code) == (413, "SC223")


def test_every_kind_of_column_reaches_the_page() -> None:
    made = make_table()
    explored = Explored(Model(open_model(made.data), threads=1), "made", threads=1)

    columns = answer(explored.model())["input"]["columns"]

    assert [column["kind"] for column in columns] == [step.kind for step in STEPS]
    assert columns[1] == {"name": "resident", "kind": "boolean", "missing": True, "true": "yes", "false": "no"}


def test_data_without_rows_or_labels_are_refused(runs: Path, tmp_path: Path) -> None:
    lines = samples.path("penguins.csv").read_text().splitlines()
    (tmp_path / "empty.csv").write_text(lines[0] + "\n")
    (tmp_path / "bare.csv").write_text("\n".join(line.partition(",")[2] for line in lines[:9]) + "\n")
    model = opened(runs / "penguins")

    with pytest.raises(TableError, match="SC301"):
        shown_data(model, str(tmp_path / "empty.csv"), Notes())
    with pytest.raises(TableError, match=r"SC311.*Mistakes, Reliability and Sets"):
        shown_data(model, str(tmp_path / "bare.csv"), Notes())


def test_a_bundle_holds_the_answers_word_for_word(digits: Explored) -> None:
    bundle = digits.bundle(examples=True)

    assert bundle["model"] == json.loads(digits.model())
    assert bundle["weights"] == json.loads(digits.weights())
    assert bundle["evaluation:digits.npz"] == json.loads(digits.evaluation("digits.npz"))
    assert bundle["evaluations"] == ["digits.npz"]
    assert {"digits", "curves", "iris"} <= set(bundle)


def test_a_bundle_without_examples_holds_nothing_of_the_rows(penguins: Explored) -> None:
    bundle = penguins.bundle(examples=False)
    rows = bundle["evaluation:penguins.csv"]

    assert (rows["rows"], rows["thumbnails"], rows["places"]) == (None, None, None)
    assert "columns" not in bundle
    assert "forward" not in bundle
    assert bundle["model"]["number_columns"] == []
    assert "line 2" not in json.dumps(bundle)


def test_what_a_bundle_holds_is_named(penguins: Explored) -> None:
    assert contents_of(penguins.bundle(examples=True)) == (
        "facts of penguins and the names of its 3 classes; the names, ranges and categories of its 7 columns; "
        "logits, labels, cells and places of 344 rows of penguins.csv; what the model computes for 100 of them; "
        "5 columns of numbers"
    )


def test_a_bundle_answers_the_first_rows_of_a_table_as_the_server_does(penguins: Explored) -> None:
    known = penguins.bundle(examples=True)["forward"]

    answers = [json.loads(penguins.forward(json.dumps({"row": one["row"]}).encode())) for one in known]

    assert [one["answer"] for one in known] == answers
    assert len(known) == 100
    assert known[3]["row"]["bill_length_mm"] == "NA"


def test_the_columns_of_a_bundle_are_those_of_the_route(penguins: Explored) -> None:
    whole = decoded(penguins.bundle(examples=True)["columns"])
    names = whole["names"]

    found = answer(penguins.columns("year", "body_mass_g"))
    every = answer(penguins.columns("year", "year"))

    pairs = whole["values"][:, [names.index("year"), names.index("body_mass_g")]]
    np.testing.assert_array_equal(found["points"], pairs[np.isfinite(pairs).all(axis=1)])
    np.testing.assert_array_equal(every["points"][:, 0], pairs[:, 0])
    assert [(of["total"], of["missing"]) for of in (found, every, whole)] == [(342, 2), (344, 0), (344, 0)]


def test_the_demo_is_the_bundle_that_is_shipped() -> None:
    bundle = decoded(demo_bundle())

    assert bundle["model"]["name"] == "digits-cnn"
    assert all(f"evaluation:{name}" in bundle for name in bundle["model"]["evaluations"])
    assert demo_bundle(examples=False)["evaluation:digits-cnn"]["thumbnails"] is None


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "uint16", "int32"])
def test_arrays_survive_both_forms(dtype: str) -> None:
    value = {"a": [np.arange(6, dtype=dtype).reshape(2, 3)], "b": np.arange(3, dtype=np.uint8), "c": "text"}

    for found in (decoded(encoded(value)), unpacked(packed(value))):
        np.testing.assert_array_equal(found["a"][0], value["a"][0])
        np.testing.assert_array_equal(found["b"], value["b"])
        assert (found["a"][0].dtype.name, found["c"]) == (dtype, "text")


def test_other_arrays_are_refused() -> None:
    with pytest.raises(TypeError, match="got int64"):
        encoded(np.zeros(1, np.int64))


def test_made_rows_of_every_kind_are_answered() -> None:
    """Random cells, unseen categories and extreme numbers, one row after the other."""
    made = make_table()
    explored = Explored(Model(open_model(made.data), threads=1), "made", threads=1)
    inputs = rows_of([step for step in STEPS if step.kind == "number"], 5)

    rows = [{name: None if np.isnan(cells[at]) else cells[at] for name, cells in inputs.items()} for at in range(5)]
    logits = [answer(explored.forward(json.dumps({"row": row}).encode()))["logits"] for row in rows]

    assert np.isfinite(logits).all()
