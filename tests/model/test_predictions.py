"""Predictions are the same columns and the same values in every format."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from softclass.errors import Notes, UsageError
from softclass.model.predictions import FORMATS, check_prediction_options, prediction_table, write_predictions

CLASSES = ["a,b", '=x"y', "é"]
LOGITS = np.array([[1, 3, 2], [5, 0.1, 5], [0, 0, 1e-3]], dtype=np.float32)
PROBABILITIES = np.array([[0.09, 0.665, 0.245], [0.4985, 0.003, 0.4985], [1e-9, 1 / 3, 2 / 3]], dtype=np.float32)


def table(**options: Any) -> pa.Table:
    leading = {"row": np.arange(1, 4), "name": pa.array(["one", None, "line\nbreak"])}
    return prediction_table(LOGITS, PROBABILITIES, CLASSES, leading, **options)


def written(blocks: list[pa.Table], kind: Any, *, safe: bool = False, seekable: bool = True) -> tuple[bytes, Notes]:
    file, notes = io.BytesIO(), Notes()
    write_predictions(blocks, file, kind, spreadsheet_safe=safe, notes=notes, seekable=seekable)
    return file.getvalue(), notes


def read(data: bytes, kind: str) -> list[dict[str, Any]]:
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
        return [{k: v if k in ("name", "prediction") else float(v) for k, v in row.items()} for row in rows]
    if kind == "jsonl":
        return [json.loads(line) for line in data.decode().split("\n") if line]
    if kind == "parquet":
        return list(pq.read_table(io.BytesIO(data)).to_pylist())
    return list(pa.ipc.open_file(io.BytesIO(data)).read_all().to_pylist())


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_reads_back_to_the_same_values(kind: str) -> None:
    rows = read(written([table(with_logits=True)], kind)[0], kind)

    assert [{k: v or "" for k, v in row.items() if k in ("name", "prediction")} for row in rows] == [
        {"name": "one", "prediction": '=x"y'},
        {"name": "", "prediction": "a,b"},
        {"name": "line\nbreak", "prediction": "é"},
    ]
    for index, name in enumerate(CLASSES):
        assert [np.float32(row[f"proba_{name}"]) for row in rows] == PROBABILITIES[:, index].tolist()
        assert [np.float32(row[f"logit_{name}"]) for row in rows] == LOGITS[:, index].tolist()


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_blocks_do_not_change_the_bytes(kind: str) -> None:
    whole = table()

    assert written([whole], kind)[0] == written([whole.slice(0, 2), whole.slice(2, 0), whole.slice(2)], kind)[0]


@pytest.mark.parametrize("kind", FORMATS)
def test_zero_rows_give_the_header_alone(kind: str) -> None:
    data, _ = written([table().slice(0, 0)], kind)

    assert read(data, kind) == []


def test_zero_rows_of_csv_keep_the_names() -> None:
    data, _ = written([table(proba=False).slice(0, 0)], "csv")

    assert data == b"row,name,prediction,confidence\n"


def test_the_label_is_the_first_of_equal_logits() -> None:
    assert table().column("prediction").to_pylist()[1] == "a,b"


def test_top_k_replaces_the_probabilities() -> None:
    found = table(top_k=2)

    assert found.column_names == [
        "row",
        "name",
        "prediction",
        "confidence",
        "top_1",
        "top_1_proba",
        "top_2",
        "top_2_proba",
    ]
    assert found.column("top_2").to_pylist() == ["é", "é", "a,b"]


def test_top_k_beyond_the_classes_gives_all() -> None:
    assert len([name for name in table(top_k=99).column_names if name.endswith("_proba")]) == 3


def test_a_column_that_collides_is_renamed() -> None:
    found = prediction_table(LOGITS, PROBABILITIES, CLASSES, {"confidence": pa.array([1, 2, 3])})

    assert found.column_names[:3] == ["input_confidence", "prediction", "confidence"]


def test_targets_bring_the_loss_of_each_row() -> None:
    found = table(targets=np.array([1, 0, -1]), target_names=['=x"y', "a,b", "new"])

    assert found.column("target").to_pylist() == ['=x"y', "a,b", "new"]
    losses = found.column("loss").to_pylist()
    assert losses[0] == pytest.approx(np.log(np.exp(LOGITS[0] - 3.0).sum()), rel=1e-6)
    assert losses[2] == float("inf")


def test_formulas_are_noted_and_made_safe_on_request() -> None:
    plain, notes = written([table()], "csv")
    safe, silent = written([table()], "csv", safe=True)

    assert [note.message for note in notes] == ['column "prediction": 1 cell that a spreadsheet would run as a formula']
    assert (b'"=x""y"' in plain, b'"\'=x""y"' in safe, len(silent)) == (True, True, 0)


def test_json_has_no_infinity() -> None:
    data, _ = written([table(targets=np.array([1, 0, -1]))], "jsonl")

    assert [json.loads(line)["loss"] is None for line in data.decode().splitlines()[:3]] == [False, False, True]


def test_a_pipe_gets_an_arrow_stream() -> None:
    data, _ = written([table(), table()], "arrow", seekable=False)

    assert pa.ipc.open_stream(io.BytesIO(data)).read_all().num_rows == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": "a"}, "[SC207] --top-k must be a whole number; got 'a' of type str"),
        ({"top_k": 0}, "[SC207] --top-k must be at least 1; got 0"),
        ({"batch_rows": 1.5}, "[SC207] --batch-size must be a whole number; got 1.5 of type float"),
        (
            {"rename": 3},
            "[SC207] --rename must be a mapping of name in the data to name in the model; got 3 of type int",
        ),
        ({"unseen": "keep"}, '[SC207] --unseen must be other or fail; got "keep"'),
        ({"top_k": 2, "proba": False}, "[SC203] --top-k and --no-proba exclude each other"),
    ],
)
def test_bad_options_of_a_prediction_are_refused(options: dict[str, Any], message: str) -> None:
    given = {"top_k": None, "proba": True, "unseen": "other", "batch_rows": None, "rename": None, **options}

    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        check_prediction_options(**given)
