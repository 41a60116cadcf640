"""Bodies are read strictly, and a row of a request is the row of a file."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from made_models import STEPS, make_images, make_table
from softclass.data.conform import encode_columns
from softclass.data.table import ReadOptions, read_table
from softclass.errors import Notes
from softclass.server.limits import Refusal
from softclass.server.requests import image_of_request, one_member, read_json, read_row

TABLE = make_table().manifest
GREY = make_images(1).manifest
RGB = make_images(3).manifest


def refusal(call: Any, *given: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call(*given)
    return caught.value


@pytest.mark.parametrize(
    ("body", "message", "where"),
    [
        (b"", "the body must be JSON", "line 1, column 1"),
        (b"{", "the body must be JSON", "line 1, column 2"),
        (b"{}\n{}", "the body must be JSON", "line 2, column 1"),
        (b"{'a': 1}", "the body must be JSON", "line 1, column 2"),
        (b'{"x": NaN}', "a number must be finite; got NaN", ""),
        (b"[-Infinity]", "a number must be finite; got -Infinity", ""),
        (b"[1e400]", "a number must be finite; got 1e400", ""),
        (b"[" + b"9" * 5000 + b"]", "a number must be finite; one is too long", ""),
        (b'{"a": 1, "a": 1}', 'each name stands once in an object; "a" stands twice', ""),
        (b"[" * 33 + b"]" * 33, "JSON may have 32 levels; this has more", ""),
        (b'{"a":' * 100_000, "JSON may have 32 levels; this has more", ""),
        (b'"\xff"', "the body must be UTF-8; it is not at byte 1", ""),
        (b"\xef\xbb\xbf{}", "the body must begin with JSON; it begins with a byte order mark", ""),
        (b'["\\ud800"]', "text must be Unicode; half of a pair stands alone", ""),
        (b'{"\\udc00": 1}', "text must be Unicode; half of a pair stands alone", ""),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_broken_json_is_refused_with_its_place(body: bytes, message: str, where: str) -> None:
    found = refusal(read_json, body)

    assert (found.status, found.code, found.message, found.where) == (400, "SC222", message, where)


@pytest.mark.parametrize(
    "value", [None, 0, -1.5e300, "[[[[" * 20, '\\"[', "企鹅\U0001f427", [[1, "]"], {"a": {}}], {"": None}], ids=repr
)
def test_json_is_read_as_it_is(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value
    assert read_json(json.dumps(value, ensure_ascii=False).encode()) == value


def array(pixels: np.ndarray, **changes: Any) -> dict[str, Any]:
    content = base64.b64encode(pixels.tobytes()).decode()
    return {"dtype": "uint8", "shape": list(pixels.shape), "base64": content, **changes}


PIXELS = np.arange(30, dtype=np.uint8).reshape(6, 5, 1)


def test_an_image_is_read() -> None:
    np.testing.assert_array_equal(image_of_request(array(PIXELS), GREY), PIXELS[None])


def test_a_grey_image_may_have_two_axes() -> None:
    np.testing.assert_array_equal(image_of_request(array(PIXELS[..., 0]), GREY), PIXELS[None])


@pytest.mark.parametrize(
    ("found", "where"),
    [
        (None, "image"),
        ([], "image"),
        ({}, "image"),
        (array(PIXELS, dtype="float32"), "image"),
        (array(PIXELS, dtype=["uint8"]), "image"),
        (array(PIXELS, more=1), "image"),
        (array(PIXELS, shape=[30]), "image.shape"),
        (array(PIXELS, shape=[5, 6, 1]), "image.shape"),
        (array(PIXELS, shape="6,5,1"), "image.shape"),
        (array(PIXELS, shape=[-6, -5, 1]), "image.shape"),
        (array(PIXELS, base64="!"), "image.base64"),
        (array(PIXELS, base64=7), "image.base64"),
        (array(PIXELS, base64=None), "image.base64"),
        (array(PIXELS, base64="企鹅"), "image.base64"),
        (array(PIXELS[:5], shape=[6, 5, 1]), "image.base64"),
        (array(np.zeros(31, np.uint8), shape=[6, 5, 1]), "image.base64"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_image_of_the_model_is_refused(found: Any, where: str) -> None:
    error = refusal(image_of_request, found, GREY)

    assert (error.status, error.where) == (422, where)


def test_a_coloured_model_takes_no_grey_image() -> None:
    assert refusal(image_of_request, array(PIXELS), RGB).where == "image.shape"


ROW = {
    "bill length (mm)": 39.5, "resident": "yes", "岛屿": "Dream", "seen": "2026-11-23T06:00:00", "mass": "3750",
    "label": "p", "born": None,
}  # fmt: skip


def feeds_of_file(row: dict[str, Any]) -> dict[str, Any]:
    """What the graph takes for the same row in a CSV file, where every cell is text."""
    cells = {name: ["" if value is None else str(value)] for name, value in row.items()}
    schema = TABLE.schema()
    inputs = encode_columns(read_table(cells, ReadOptions(tie_break=schema.dialect), Notes()), schema, Notes())
    return TABLE.preprocessing().feeds(inputs)


def test_a_row_is_read_as_a_file_is() -> None:
    expected, found = feeds_of_file(ROW), read_row(ROW, TABLE)

    assert list(found) == [step.input for step in STEPS]
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_columns_that_are_left_out_are_missing() -> None:
    found = read_row({"mass": 3750}, TABLE)

    assert found["mass"].reshape(-1).tolist() == [3750.0]
    assert np.isnan(found["bill length (mm)"]).all()
    assert found["岛屿"].reshape(-1).tolist() == [""]


@pytest.mark.parametrize(
    ("row", "where", "said"),
    [
        (None, "row", "a row is an object of cells by column"),
        ([1], "row", "a row is an object of cells by column"),
        ({"masss": 1}, "row.masss", "the model has no such column"),
        ({"mass": [1]}, "row.mass", "a cell is a number, a text, true, false or null"),
        ({"mass": {"a": 1}}, "row.mass", "a cell is a number, a text, true, false or null"),
        ({"mass": "heavy"}, "row.mass", 'held numbers in training; got "heavy" (1 of 1 cells)'),
        ({"resident": "perhaps"}, "row.resident", 'held "yes" and "no" in training; got "perhaps" (1 of 1 cells)'),
        ({"seen": "tomorrow"}, "row.seen", 'held dates in training; got "tomorrow" (1 of 1 cells)'),
    ],
    ids=str,
)
def test_what_is_no_row_of_the_model_is_refused(row: Any, where: str, said: str) -> None:
    error = refusal(read_row, row, TABLE)

    assert (error.status, error.where, error.message) == (422, where, said)


def test_the_nearest_column_is_named() -> None:
    assert refusal(read_row, {"masss": 1}, TABLE).hint == "Did you mean mass?"


@pytest.mark.parametrize("found", [None, 1, [], {}, {"rows": 1}, {"row": 1, "image": 2}], ids=str)
def test_a_body_has_one_member(found: Any) -> None:
    assert refusal(one_member, found, ("row",)).status == 422
