"""What a request says, read strictly: JSON without doubles or NaN, then an image or a row for a model."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass._typing import Pixels
from softclass.data.conform import encode_columns
from softclass.data.preprocessing import Preprocessing
from softclass.data.table import ReadOptions, read_table
from softclass.errors import Notes, TableError, first_few, nearest, shown
from softclass.model.manifest import Manifest
from softclass.model.rows import feeds_of
from softclass.server.limits import Refusal

MAX_DEPTH = 32
_NOT_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[^\[\]{}"]+', re.DOTALL)
_SURROGATES = re.compile("[\ud800-\udfff]")


def read_json(body: bytes) -> Any:
    """
    Return the JSON of a body; everything that two readers could take differently is refused.

    Parameters
    ----------
    body : bytes
        UTF-8 without a byte order mark.

    Raises
    ------
    Refusal
        400 for broken JSON with its line and column, for NaN and infinities, for a name that stands twice, for more
        than 32 levels, and for text that is not Unicode.

    Examples
    --------
    >>> read_json(b'{"row": {"x": 1}}')
    {'row': {'x': 1}}
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(f"the body must be UTF-8; it is not at byte {error.start}") from None
    if text.startswith("\ufeff"):
        raise _unreadable("the body must begin with JSON; it begins with a byte order mark")
    if _depth(text) > MAX_DEPTH:
        raise _unreadable(f"JSON may have {MAX_DEPTH} levels; this has more")
    try:
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise _unreadable("the body must be JSON", f"line {error.lineno}, column {error.colno}") from None
    except ValueError:  # an integer of more than 4,300 digits
        raise _unreadable("a number must be finite; one is too long") from None
    if _has_surrogates(found):
        raise _unreadable("text must be Unicode; half of a pair stands alone")
    return found


def image_of_request(found: Any, manifest: Manifest) -> Pixels:
    """
    Return the one image of a request, in the shape of the model.

    Parameters
    ----------
    found : object
        ``{"dtype": "uint8", "shape": [height, width, channels], "base64": text}``; a grey image may have two axes.
    manifest : Manifest
        Of the model.

    Returns
    -------
    uint8 array of shape (1, height, width, channels)
        The image.

    Raises
    ------
    Refusal
        422.
    """
    spec = manifest.image_spec()
    if not isinstance(found, dict) or set(found) != {"dtype", "shape", "base64"} or found["dtype"] != "uint8":
        raise _does_not_fit('an image is {"dtype": "uint8", "shape": [...], "base64": "..."}', "image")
    shape = found["shape"]
    wanted = [spec.height, spec.width, spec.channels]
    if shape != wanted and not (spec.channels == 1 and shape == wanted[:2]):
        raise _does_not_fit(f"an image of this model has the shape {wanted}; got {shown(shape)}", "image.shape")
    try:
        content = base64.b64decode(found["base64"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise _does_not_fit("the bytes of an image stand in base64; this is none", "image.base64") from None
    if len(content) != spec.height * spec.width * spec.channels:
        size = spec.height * spec.width * spec.channels
        raise _does_not_fit(f"an image of this model has {size:,} bytes; got {len(content):,}", "image.base64")
    return np.frombuffer(content, dtype=np.uint8).reshape(1, *wanted)


def read_row(found: Any, manifest: Manifest) -> dict[str, npt.NDArray[Any]]:
    """
    Return what the graph takes for the one row of a request.

    Parameters
    ----------
    found : object
        Cells by column: a number, text as it would stand in a file, true or false, or null for a missing cell. Columns
        that are left out are missing cells.
    manifest : Manifest
        Of the model.

    Returns
    -------
    dict of str to array of shape (1, ...)
        The inputs of the graph.

    Raises
    ------
    Refusal
        422 with the place, for a column that the model does not know or a cell that is not of its kind.
    """
    schema, preprocessing = manifest.schema(), manifest.preprocessing()
    assert isinstance(preprocessing, Preprocessing)  # noqa: S101 - the manifest was checked
    if not isinstance(found, dict):
        raise _does_not_fit("a row is an object of cells by column", "row")
    names = [column.name for column in schema.columns]
    for name in found:
        if name not in names:
            close = nearest(name, names)
            hint = f"Did you mean {shown(close[0])}?" if close else f"There are {first_few(list(map(shown, names)))}"
            raise _does_not_fit("the model has no such column", f"row.{shown(name)}", hint)
    columns = {name: [_cell(found.get(name), name)] for name in names}
    try:
        table = read_table(columns, ReadOptions(tie_break=schema.dialect), Notes())
        inputs = encode_columns(table, schema, Notes())
    except TableError as error:
        column = error.where.rpartition('column "')[2].rstrip('"')
        raise Refusal(422, error.code, error.message, f"row.{column}", error.hint) from None
    return feeds_of(preprocessing, inputs)


def one_member(found: Any, names: tuple[str, ...]) -> tuple[str, Any]:
    """Return the one member of an object; 422 for anything else."""
    if not isinstance(found, Mapping) or len(found) != 1 or next(iter(found)) not in names:
        raise _does_not_fit(f"the body is an object with one member, {' or '.join(names)}", "")
    return next(iter(found.items()))


def _cell(value: Any, name: str) -> str | None:
    """A cell as the text of a file: what a form or a table holds is read by the same rules."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    raise _does_not_fit("a cell is a number, a text, true, false or null", f"row.{shown(name)}")


def _depth(text: str) -> int:
    """The most brackets that are open at once, those in text not counted."""
    depth = deepest = 0
    for letter in _NOT_BRACKETS.sub("", text):
        depth += 1 if letter in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _unreadable(f'each name stands once in an object; "{shown(twice)}" stands twice')
    return found


def _no_constant(text: str) -> Any:
    raise _unreadable(f"a number must be finite; got {text}")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _unreadable(f"a number must be finite; got {shown(text, 20)}")
    return value


def _has_surrogates(value: Any) -> bool:
    if isinstance(value, str):
        return _SURROGATES.search(value) is not None
    if isinstance(value, dict):
        return any(_has_surrogates(item) for pair in value.items() for item in pair)
    return isinstance(value, list) and any(map(_has_surrogates, value))


def _unreadable(message: str, where: str = "") -> Refusal:
    return Refusal(400, "SC222", message, where)


def _does_not_fit(message: str, where: str, hint: str = "") -> Refusal:
    return Refusal(422, "SC222", message, where, hint)
