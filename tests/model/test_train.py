"""The whole story: from data to a model whose figures belong to its file."""

from __future__ import annotations

import csv
import io
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import softclass
from asserts import assert_bit_equal, assert_close
from softclass.data import samples
from softclass.errors import CheckFailedError, DataError, TableError, UsageError
from softclass.model import train as story
from softclass.model.layers import read_layers
from softclass.model.model import Model
from softclass.model.train import plan, train
from softclass.networks.architecture import Dense

PENGUINS = samples.path("penguins.csv")
DIGITS = samples.path("digits.npz")


def quiet(event: str, facts: dict[str, Any]) -> None:
    """A listener, so that notes are not warnings."""


def codes(model: Model) -> set[str]:
    return {note.code for note in model.notes}


@pytest.fixture(scope="module")
def penguins() -> Model:
    return train(PENGUINS, "species", progress=quiet)


def penguin_rows() -> list[dict[str, str]]:
    with PENGUINS.open(newline="") as file:
        return list(csv.DictReader(file))


def as_csv(rows: list[dict[str, Any]], path: Path) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


# ---- what it learns ----


def test_penguins_are_told_apart(penguins: Model) -> None:
    assert penguins.evaluation is not None
    assert penguins.evaluation.accuracy >= 0.97
    assert penguins.evaluation.n == 69


def test_three_rows_with_a_chinese_header_train_and_say_that_nothing_was_held_out(tmp_path: Path) -> None:
    path = tmp_path / "表.csv"
    path.write_text("特征1,特征2,类别\n5.1,3.5,A\n4.9,3.0,B\n6.2,2.9,C\n", encoding="utf-8")

    model = train(path, progress=quiet)

    assert (model.classes, model.evaluation) == (("A", "B", "C"), None)
    assert any("nothing could be held out" in note.message for note in model.notes)
    assert_close(np.ones(3), model.predict_proba(path).sum(axis=1), rtol=0, atol=1e-6)


def test_digits_are_read_as_integers_and_told_apart() -> None:
    model = train(DIGITS, C=1.0, progress=quiet)

    assert model.classes == tuple(range(10))
    assert model.evaluation is not None
    assert model.evaluation.accuracy >= 0.93
    assert model.predict(DIGITS).dtype.kind == "i"


def test_arrays_and_labels_train() -> None:
    draws = np.random.default_rng(0).normal(size=(300, 2))
    labels = np.where(draws[:, 0] + draws[:, 1] > 0, "up", "down")

    model = train(draws, labels, progress=quiet)

    assert model.classes == ("down", "up")
    assert (model.predict(draws) == labels).mean() > 0.95


@pytest.mark.parametrize("kind", [bool, int])
def test_labels_keep_the_type_they_had_in_a_frame(kind: type) -> None:
    draws = np.random.default_rng(1).normal(size=120)

    model = train({"a": draws, "y": (draws > 0).astype(kind)}, "y", progress=quiet)

    assert [type(label) for label in model.classes] == [kind, kind]


# ---- the file is the model ----


def test_the_same_data_give_the_same_bytes(penguins: Model) -> None:
    assert train(PENGUINS, "species", progress=quiet).to_bytes() == penguins.to_bytes()


def test_another_seed_gives_other_bytes(penguins: Model) -> None:
    assert train(PENGUINS, "species", seed=1, progress=quiet).to_bytes() != penguins.to_bytes()


def test_evaluating_the_test_rows_repeats_the_figures_of_training(penguins: Model, tmp_path: Path) -> None:
    planned = plan(PENGUINS, "species")
    rows = penguin_rows()
    tested = [rows[row] for row in planned.parts.test]

    found = penguins.evaluate(as_csv(tested, tmp_path / "test.csv"))

    assert penguins.evaluation is not None
    expected = penguins.evaluation.to_dict()
    assert {**found.to_dict(), "split": "test"} == expected


def test_every_way_in_gives_the_same_bits(penguins: Model, tmp_path: Path) -> None:
    rows = penguin_rows()[:40]
    for number, row in enumerate(rows):
        row["extra"] = "x"
        row["bill_depth_mm"] = "" if number % 7 == 0 else row["bill_depth_mm"]
        row["island"] = "Atlantis" if number % 5 == 0 else row["island"]
        del row["species"]
    rows = [dict(reversed(row.items())) for row in rows]
    path = as_csv(rows, tmp_path / "new.csv")
    numbers = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "year")

    def number(cell: str) -> float:
        return float(cell) if cell not in ("", "NA") else np.nan

    columns = {
        name: [number(row[name]) for row in rows] if name in numbers else [row[name] for row in rows]
        for name in rows[0]
    }
    parquet = tmp_path / "new.parquet"
    pa.parquet.write_table(pa.table(columns), parquet)
    bare = onnxruntime.InferenceSession(penguins.to_bytes(), providers=["CPUExecutionProvider"])
    feeds = {
        node.name: np.array(columns[node.name], dtype=object if "string" in node.type else np.float64)[:, None]
        for node in bare.get_inputs()
    }

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = penguins.predict_proba(path)
        found = [
            penguins.predict_proba(source)
            for source in (pd.DataFrame(columns), pl.DataFrame(columns), pa.table(columns), columns, parquet)
        ]
    found.append(bare.run(["probabilities"], feeds)[0])

    for probabilities in found:
        assert_bit_equal(expected, probabilities)


@pytest.mark.parametrize("batch_rows", [1, 7, 100])
def test_blocks_never_change_a_value(penguins: Model, batch_rows: int) -> None:
    whole = pa.concat_tables(list(penguins.predict_batches(PENGUINS)))

    assert pa.concat_tables(list(penguins.predict_batches(PENGUINS, batch_rows=batch_rows))).equals(whole)


def test_noise_outside_the_fit_part_changes_no_weight(tmp_path: Path) -> None:
    options: dict[str, Any] = {"C": 1.0, "calibrate": "temperature", "progress": quiet}
    planned = plan(PENGUINS, "species")
    rows = penguin_rows()
    draws = np.random.default_rng(0)
    for row in [*planned.parts.test, *planned.parts.calibration]:
        rows[row]["bill_length_mm"] = f"{draws.normal(1e3, 50):.1f}"
        rows[row]["island"] = "Nowhere"

    clean = train(PENGUINS, "species", **options)
    noisy = train(as_csv(rows, tmp_path / "noisy.csv"), "species", **options)

    assert noisy.manifest.preprocessing() == clean.manifest.preprocessing()
    for expected, found in zip(*(read_layers(m.body, m.manifest.preprocessing()) for m in (clean, noisy)), strict=True):
        assert_bit_equal(expected.weight, found.weight)
        assert_bit_equal(expected.bias, found.bias)


def test_a_graph_that_does_not_repeat_the_estimator_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = story.build_graph

    def wrong(preprocessing: Any, layers: Any, *rest: Any, **options: Any) -> bytes:
        return real(preprocessing, [Dense(layers[0].weight * 1.001, layers[0].bias)], *rest, **options)

    monkeypatch.setattr(story, "build_graph", wrong)

    with pytest.raises(CheckFailedError, match=re.escape("[SC502] train: the graph and the estimator must give")):
        train(PENGUINS, "species", C=1e3, output=tmp_path / "run", progress=quiet)
    assert list(tmp_path.iterdir()) == []


# ---- options act ----

WIDE = {"a": [f"{n % 17}.5" for n in range(160)], "b": [f"c{n % 7}" for n in range(160)],
        "d": [f"2024-0{1 + n % 9}-1{n % 9}" for n in range(160)], "g": [str(n // 4) for n in range(160)],
        "p": [("fit", "fit", "fit", "calibration", "test")[n % 5] for n in range(160)],
        "w": [str(1 + n % 3) for n in range(160)], "t": [str(n * 10) for n in range(160)],
        "y": ["AB"[(n * 7 % 17 + n % 3) % 2] for n in range(160)]}  # fmt: skip


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    rows = [dict(zip(WIDE, cells, strict=True)) for cells in zip(*WIDE.values(), strict=True)]
    path = as_csv(rows, tmp_path_factory.mktemp("wide") / "wide.csv")
    return path, train(path, "y", progress=quiet).to_bytes()


@pytest.mark.parametrize(
    "option",
    [
        {"seed": 3},
        {"rows": 130},
        {"test": 0.3},
        {"calibration": 0.3},
        {"calibrate": "none"},
        {"calibrate": "temperature"},
        {"stratify": False},
        {"group": "g"},
        {"time": "t"},
        {"split_column": "p"},
        {"number": ["g"], "drop": ["a"]},
        {"category": ["a"]},
        {"drop": ["b"]},
        {"id": ["b"]},
        {"na_values": ["b=c3"]},
        {"max_categories": 2},
        {"class_weight": "balanced"},
        {"class_weight": {"A": 3.0}},
        {"sample_weight": "w"},
        {"C": 0.01},
        {"max_iter": 1, "C": 100.0},
    ],
    ids=lambda option: "-".join(option),
)
def test_an_option_changes_the_model(wide: tuple[Path, bytes], option: dict[str, Any]) -> None:
    path, plain = wide

    assert train(path, "y", progress=quiet, **option).to_bytes() != plain


def test_a_test_file_of_its_own_is_used(penguins: Model, tmp_path: Path) -> None:
    rows = penguin_rows()
    model = train(
        as_csv(rows[::2], tmp_path / "a.csv"),
        "species",
        test_data=as_csv(rows[1::2], tmp_path / "b.csv"),
        progress=quiet,
    )

    assert (model.manifest.parts["test"], model.manifest.parts["fit"] + model.manifest.parts["calibration"]) == (
        172,
        172,
    )


def test_the_latest_rows_are_tested() -> None:
    planned = plan(WIDE, "y", time="t")

    assert planned.parts.test.min() > max(planned.parts.fit.max(), planned.parts.calibration.max())


def test_a_group_stays_whole() -> None:
    planned = plan(WIDE, "y", group="g")

    parts = [
        {WIDE["g"][row] for row in rows} for rows in (planned.parts.fit, planned.parts.calibration, planned.parts.test)
    ]
    assert (parts[0] & parts[1], parts[0] & parts[2], parts[1] & parts[2]) == (set(), set(), set())


def test_a_weight_of_two_is_a_row_written_twice() -> None:
    rows = list(zip(*WIDE.values(), strict=True))
    part = WIDE["p"]
    doubled = [row for row, of in zip(rows, part, strict=True) for _ in range(2 if of == "fit" else 1)]
    twice = {name: [row[index] for row in doubled] for index, name in enumerate(WIDE)}
    weights = [2.0 if of == "fit" else 1.0 for of in part]
    options: dict[str, Any] = {"split_column": "p", "C": 1.0, "progress": quiet, "drop": ["w", "g", "t", "d"]}

    weighted = train(WIDE, "y", sample_weight=weights, **options)
    written = train(twice, "y", **options)

    expected, found = (read_layers(m.body, m.manifest.preprocessing())[0].weight for m in (written, weighted))
    assert_close(expected, found, rtol=0, atol=1e-5)  # float32 weights in the file; the constants are the same


def test_cross_validation_is_reported_beside_the_test(tmp_path: Path) -> None:
    import json

    train(PENGUINS, "species", cv=3, C=1.0, output=tmp_path / "run", progress=quiet)

    found = json.loads((tmp_path / "run" / "metrics.json").read_text())["cross_validation"]
    assert (found["folds"], found["n"]) == (3, 275)
    assert found["accuracy"] > 0.95


def test_a_time_limit_keeps_the_best_so_far() -> None:
    model = train(DIGITS, C=1e6, time_limit="0.001s", progress=quiet)

    assert "SC843" in codes(model)
    assert model.evaluation is not None


def test_too_few_iterations_are_said() -> None:
    model = train(DIGITS, C=1e4, max_iter=1, progress=quiet)

    assert "SC847" in codes(model)


def test_a_limit_that_is_missed_fails_after_everything_is_written(tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError, match=r"\[SC501\] --fail-under: accuracy is 0\.9\d+, the limit is 1"):
        train(PENGUINS, "species", fail_under="accuracy=1", output=tmp_path / "run", progress=quiet)

    assert (tmp_path / "run" / "model.onnx").exists()


def test_strict_fails_on_any_note() -> None:
    with pytest.raises(
        CheckFailedError, match=re.escape("[SC503] train: no notes are allowed with strict; there were ")
    ):
        train(PENGUINS, "species", C=1.0, strict=True, progress=quiet)


def test_notes_that_matter_are_warnings_in_python() -> None:
    with pytest.warns(softclass.errors.CalibrationWarning, match=re.escape("[SC821]")):
        train(PENGUINS, "species", C=1.0)


# ---- more than fits into memory ----


@pytest.mark.parametrize(
    ("data", "target", "options"),
    [
        (PENGUINS, "species", {}),
        (WIDE, "y", {"C": 1.0, "sample_weight": "w"}),
        (WIDE, "y", {"class_weight": "balanced", "cv": 2, "path": True}),
        (DIGITS, None, {"C": 1.0, "rows": 700}),
    ],
    ids=["C is chosen", "weights", "folds and path", "images"],
)
def test_streamed_features_give_the_bits_of_features_in_memory(
    monkeypatch: pytest.MonkeyPatch, data: Any, target: Any, options: dict[str, Any]
) -> None:
    monkeypatch.setattr("softclass.model.encoded.BATCH_BYTES", 4 * 1000)
    whole = train(data, target, progress=quiet, **options)
    told: dict[str, Any] = {}

    def listen(event: str, facts: dict[str, Any]) -> None:
        told[event] = facts

    streamed = train(data, target, memory_limit=1, progress=listen, **options)

    assert told["fit"]["streamed"]
    assert_bit_equal(np.frombuffer(whole.to_bytes(), np.uint8), np.frombuffer(streamed.to_bytes(), np.uint8))


@pytest.mark.parametrize(("limit", "streamed"), [(None, False), ("1kB", True), ("1GiB", False), (234 * 19 * 8, False),
                                                 (234 * 19 * 8 - 1, True)])  # fmt: skip
def test_features_are_streamed_when_they_take_more_than_the_limit(limit: Any, streamed: bool) -> None:
    told: dict[str, Any] = {}

    def listen(event: str, facts: dict[str, Any]) -> None:
        told[event] = facts

    train(PENGUINS, "species", C=1.0, memory_limit=limit, progress=listen)

    assert told["fit"]["streamed"] is streamed


def test_without_a_limit_half_of_the_memory_is_for_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softclass.model.limits._memory_bytes", lambda: 2 * 234 * 19 * 8 - 2 + 2**17)
    assert plan(PENGUINS, "species").memory_limit == 234 * 19 * 8 - 1 + 2**16


# ---- classes ----


def test_a_class_without_fit_rows_is_left_out_and_said() -> None:
    data = {
        **WIDE,
        "y": [
            "N" if part == "test" and n % 2 else y for n, (part, y) in enumerate(zip(WIDE["p"], WIDE["y"], strict=True))
        ],
    }

    model = train(data, "y", split_column="p", C=1.0, progress=quiet)

    assert model.classes == ("A", "B")
    assert 'class "N" has no row in the fit part; the model does not know it' in [note.message for note in model.notes]
    assert model.evaluation is not None
    assert model.evaluation.unknown_class_rows > 0
    assert model.evaluation.to_dict()["log_loss"] is None


def test_a_fit_part_of_one_class_is_refused() -> None:
    data = {**WIDE, "y": ["A" if part == "fit" else "B" for part in WIDE["p"]]}

    with pytest.raises(DataError, match=re.escape("[SC371] dict: the fit part must hold at least two classes")):
        train(data, "y", split_column="p", progress=quiet)


def test_a_million_classes_are_refused_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softclass.model.limits._memory_bytes", lambda: 2**16)

    with pytest.raises(softclass.errors.TooLargeError, match=re.escape("[SC606] penguins.csv: needs ")):
        train(PENGUINS, "species", progress=quiet)


# ---- bad data ----


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([-1.0] + [1.0] * 159, ", row 1: sample weights must be finite and not negative; got -1 (1 of 160 are not)"),
        ([float("nan")] * 160, ", row 1: sample weights must be finite and not negative; got nan (160 of 160 are not)"),
        ([0.0] * 160, ": sample weights must not all be zero; all of them are"),
        ([1.0] * 3, ": one sample weight a row is needed; got shape (3,) for 160 rows"),
    ],
)
def test_bad_weights_are_refused(weights: list[float], message: str) -> None:
    with pytest.raises(TableError, match=f"^{re.escape(f'[SC316] dict{message}')}$"):
        train(WIDE, "y", sample_weight=weights, progress=quiet)


def test_a_missing_weight_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text("a,w,y\n1,1,A\n2,,B\n3,2,A\n")

    message = '[SC316] w.csv, line 3, column "w": every row needs a value; missing in 1 of 3'
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        train(path, "y", sample_weight="w", progress=quiet)


@pytest.mark.parametrize("option", ["group", "time", "split_column", "sample_weight"])
def test_a_column_that_is_not_there_is_named(option: str) -> None:
    message = f'[SC321] dict: --{option.replace("_", "-")} names column "nope", which the table does not have'
    with pytest.raises(TableError, match=f"^{re.escape(message)}"):
        train(WIDE, "y", progress=quiet, **{option: "nope"})


def test_images_without_classes_are_refused() -> None:
    pixels = np.zeros((4, 8, 8), dtype=np.uint8)

    message = "[SC311] the array of images: labels are missing. Pass target= with one label per image"
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        train(pixels, progress=quiet)


def test_a_test_set_without_labels_is_refused() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, size=(60, 4, 4), dtype=np.uint8)

    with pytest.raises(TableError, match=re.escape("[SC311] the array of images: labels are missing")):
        train(pixels, np.arange(60) % 2, test_data=pixels[:5], progress=quiet)


# ---- the run directory ----


def test_a_run_is_replaced_only_if_it_is_ours_and_only_when_asked(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(PENGUINS, "species", C=1.0, output=run, report=False, progress=quiet)
    before = (run / "model.onnx").read_bytes()

    with pytest.raises(UsageError, match=re.escape("[SC204]")):
        train(PENGUINS, "species", C=2.0, output=run, progress=quiet)
    assert (run / "model.onnx").read_bytes() == before

    train(PENGUINS, "species", C=2.0, output=run, overwrite=True, report=False, progress=quiet)
    assert (run / "model.onnx").read_bytes() != before

    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match=re.escape("only a run directory of softclass is ever replaced")):
        train(PENGUINS, "species", C=1.0, output=foreign, overwrite=True, progress=quiet)
    assert (foreign / "precious.txt").read_text() == "mine"


@pytest.mark.parametrize("phase", ["reading", "fitting", "evaluating", "writing"])
def test_an_interrupt_leaves_the_old_run_and_nothing_else(tmp_path: Path, phase: str) -> None:
    run = tmp_path / "run"
    train(PENGUINS, "species", C=1.0, output=run, report=False, predictions=False, progress=quiet)
    before = {file.name: file.read_bytes() for file in run.iterdir()}

    def interrupt(event: str, facts: dict[str, Any]) -> None:
        if event == "phase" and facts["name"] == phase:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(PENGUINS, "species", C=2.0, output=run, overwrite=True, progress=interrupt)

    assert {file.name: file.read_bytes() for file in run.iterdir()} == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_the_predictions_of_the_test_part_hold_row_truth_and_probabilities(tmp_path: Path, penguins: Model) -> None:
    train(PENGUINS, "species", output=tmp_path / "run", report=False, progress=quiet)

    found = pa.parquet.read_table(tmp_path / "run" / "predictions-test.parquet")
    planned = plan(PENGUINS, "species")
    assert found.column("row").to_pylist() == (planned.parts.test + 1).tolist()
    assert penguins.evaluation is not None
    right = np.array(found.column("target").to_pylist()) == np.array(found.column("prediction").to_pylist())
    assert right.mean() == penguins.evaluation.accuracy


def test_a_loaded_model_is_the_trained_one(tmp_path: Path, penguins: Model) -> None:
    path = penguins.save(tmp_path / "model.onnx")
    loaded = softclass.load(path)

    assert loaded.to_bytes() == penguins.to_bytes()
    assert loaded.evaluation is not None
    assert penguins.evaluation is not None
    assert loaded.evaluation.to_dict() == penguins.evaluation.to_dict()
    assert_bit_equal(penguins.predict_proba(PENGUINS), loaded.predict_proba(PENGUINS))


def test_a_column_called_like_an_output_works(tmp_path: Path) -> None:
    text = io.StringIO()
    pd.DataFrame({"label": WIDE["a"], "logits": WIDE["b"], "softclass/x": WIDE["w"], "y": WIDE["y"]}).to_csv(
        text, index=False
    )
    path = tmp_path / "names.csv"
    path.write_text(text.getvalue())

    model = train(path, "y", C=1.0, progress=quiet)

    assert_close(np.ones(160), model.predict_proba(path).sum(axis=1), rtol=0, atol=1e-6)


def test_equal_rows_are_fitted_as_one_with_their_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    repeated = {name: cells[:40] * 4 for name, cells in WIDE.items() if name in ("a", "b", "y")}
    options: dict[str, Any] = {"C": 1.0, "calibrate": "none", "progress": quiet}
    merged = train(repeated, "y", **options)
    monkeypatch.setattr("softclass.model.fitting.WORTH_MERGING", 0.0)
    apart = train(repeated, "y", **options)

    expected, found = (read_layers(m.body, m.manifest.preprocessing())[0].weight for m in (apart, merged))
    assert_close(expected, found, rtol=0, atol=1e-6)


def test_numbers_of_numpy_are_numbers() -> None:
    plain = train(WIDE, "y", C=1.0, seed=3, progress=quiet)

    assert train(WIDE, "y", C=np.float64(1.0), seed=np.int64(3), progress=quiet).digest == plain.digest


def test_weights_that_are_words_are_refused() -> None:
    with pytest.raises(TableError, match=re.escape("[SC316] dict: sample weights must be a column or an array of num")):
        train(WIDE, "y", sample_weight=["a"] * 160, progress=quiet)


def test_the_probabilities_of_the_test_part_are_those_of_the_graph(tmp_path: Path, penguins: Model) -> None:
    train(PENGUINS, "species", output=tmp_path / "run", report=False, progress=quiet)

    found = pa.parquet.read_table(tmp_path / "run" / "predictions-test.parquet")
    expected = penguins.predict_proba(PENGUINS)[plan(PENGUINS, "species").parts.test]
    written = np.stack([found.column(f"proba_{name}").to_numpy() for name in penguins.classes], axis=1)
    assert_bit_equal(expected, written)
