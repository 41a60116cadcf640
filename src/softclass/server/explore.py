"""What the page asks about a model, answered; the same answers are the bundle of an exported page."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from softclass.data.column import Column
from softclass.data.preprocessing import BooleanStep, CategoryStep, DatetimeStep, NumberStep, Preprocessing, Step
from softclass.errors import shown
from softclass.model.activations import DrawnModel
from softclass.model.model import Model
from softclass.model.rows import feeds_of
from softclass.server.arrays import encoded, unpacked
from softclass.server.evaluations import Shown, sample_of
from softclass.server.limits import Refusal
from softclass.server.page import assets
from softclass.server.requests import image_of_request, one_member, read_json, read_row

SCHEMA = 1
MAX_POINTS = 20_000  # of the plane; beyond, a seeded sample
MAX_VALUES = 4_000_000  # numbers in the answer to one input
MAX_ANSWERED = 100  # rows of a table that an exported page can answer without a server
MAX_ANSWERED_VALUES = 100_000  # numbers in these answers
MAX_EXPORTED_NUMBERS = 40  # columns of numbers that an exported page holds
SHIPPED = ("digits", "curves", "iris")  # parts of the demo that every page has


class Explored:
    """A model and its evaluations, as the routes of the page ask for them.

    Parameters
    ----------
    model : Model
        What is explored.
    name : str
        What the page calls it.
    evaluations : iterable of Shown
        Rows of known class.
    threads : int, optional
        Of the runtime.
    """

    def __init__(
        self, model: Model, name: str, evaluations: Iterable[Shown] = (), *, threads: int | None = None
    ) -> None:
        self._model = model
        self._name = name
        self._evaluations = {one.name: one for one in evaluations}
        self._drawn = DrawnModel(model.body, model.manifest.n_parameters, threads=threads)
        self._answers: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def model(self) -> bytes:
        """Return the facts of the model and its layers."""
        return self._kept("model", lambda: self._facts)

    def weights(self) -> bytes:
        """Return the weights; 409 if the page cannot compute this network by itself."""
        if not self._drawn.has_weights:
            raise Refusal(
                409, "SC221", "the page cannot compute this network by itself", hint="Ask for its activations"
            )
        return self._kept("weights", self._drawn.weights)

    def evaluation(self, name: str) -> bytes:
        """Return rows of known class; 404 if there are none of this name."""
        if name not in self._evaluations:
            raise Refusal(404, "SC221", "there is no such evaluation", shown(name))
        return self._kept(f"evaluation:{name}", self._evaluations[name].to_dict)

    def columns(self, x: str, y: str) -> bytes:
        """Return two columns of numbers with the class of each row; 404 if there are no such columns."""
        numbers, rows = self._numbers
        for name in (x, y):
            if name not in numbers:
                raise Refusal(404, "SC221", "there is no such column of numbers", shown(name))
        assert rows is not None  # noqa: S101 - it has the columns
        points = np.stack([numbers[x], numbers[y]], axis=1)
        whole = np.flatnonzero(np.isfinite(points).all(axis=1) & (rows.targets >= 0))
        chosen = whole if len(whole) <= MAX_POINTS else whole[sample_of(len(whole), MAX_POINTS)]
        answer = {"names": [x, y], "points": points[chosen], "targets": rows.targets[chosen]}
        missing = len(rows.targets) - len(whole)
        return _json({**answer, "classes": list(rows.classes), "total": len(whole), "missing": missing})

    def forward(self, body: bytes) -> bytes:
        """Return every activation for one image or row; 413 if they are more than four million numbers."""
        if self._drawn.n_values > MAX_VALUES:
            size = f"{self._drawn.n_values:,}"
            raise Refusal(413, "SC223", f"an answer has at most {MAX_VALUES:,} numbers; this network has {size}")
        manifest = self._model.manifest
        kind, found = one_member(read_json(body), ("image",) if manifest.task == "images" else ("row",))
        if kind == "image":
            feeds = feeds_of(manifest.preprocessing(), image_of_request(found, manifest))
        else:
            feeds = read_row(found, manifest)
        with self._lock:  # the first call opens the session
            values = self._drawn.activations(feeds)
        names = [layer.name for layer in self._drawn.layers]
        answer = {"activations": {name: values[name] for name in names}}
        return _json(
            {**answer, **{name: values[name] for name in ("logits", "probabilities")}, "label": values["label"]}
        )

    def bundle(self, *, examples: bool) -> dict[str, Any]:
        """
        Return all that an exported page holds, encoded.

        Parameters
        ----------
        examples : bool
            Whether rows and pictures go along.

        Returns
        -------
        dict
            The answers by the names of their routes, and what of the demo every page shows.
        """
        found: dict[str, Any] = {"model": self._facts, "evaluations": list(self._evaluations)}
        if self._drawn.has_weights:
            found["weights"] = self._drawn.weights()
        for name, rows in self._evaluations.items():
            found[f"evaluation:{name}"] = (rows if examples else rows.without_examples()).to_dict()
        numbers, rows_of_columns = self._numbers
        if examples and numbers and rows_of_columns is not None:
            found["columns"] = _all_columns(numbers, rows_of_columns)
        else:
            found["model"] = {**self._facts, "number_columns": []}
        if examples:
            found["forward"] = self._answered_rows()
        shipped = demo_bundle()
        return {**encoded(found), **{name: shipped[name] for name in SHIPPED if name in shipped}}

    def _answer(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """Every activation for one input, and what the model says."""
        with self._lock:  # the first call opens the session
            values = self._drawn.activations(feeds)
        activations = {layer.name: values[layer.name] for layer in self._drawn.layers}
        return {"activations": activations, **{name: values[name] for name in ("logits", "probabilities", "label")}}

    def _answered_rows(self) -> list[dict[str, Any]]:
        """The first rows of a table with the answers that a page without a server could not work out."""
        rows = next((one for one in self._evaluations.values() if one.cells is not None), None)
        if rows is None or rows.cells is None or self._drawn.has_weights:
            return []
        names = [column.name for column in self._model.manifest.schema().columns]
        count = min(len(rows.targets), MAX_ANSWERED, MAX_ANSWERED_VALUES // self._drawn.n_values)
        found = []
        for at in range(count):
            row = {name: rows.cells[name][at] or None for name in names}
            found.append({"row": row, "answer": self._answer(read_row(row, self._model.manifest))})
        return found

    @cached_property
    def _facts(self) -> dict[str, Any]:
        return model_answer(
            self._model,
            self._drawn,
            name=self._name,
            evaluations=list(self._evaluations),
            columns=list(self._numbers[0]),
        )

    @property
    def _numbers(self) -> tuple[dict[str, Any], Shown | None]:
        """The columns of numbers of the first evaluation that has any, and its rows."""
        for rows in self._evaluations.values():
            if rows.numbers:
                return rows.numbers, rows
        return {}, None

    def _kept(self, name: str, make: Callable[[], Any]) -> bytes:
        """Make an answer once, whoever asks first."""
        with self._lock:
            if name not in self._answers:
                self._answers[name] = _json(make())
            return self._answers[name]


def model_answer(
    model: Model, drawn: DrawnModel, *, name: str, evaluations: Sequence[str] = (), columns: Sequence[str] = ()
) -> dict[str, Any]:
    """
    Return what the page is told of a model.

    Parameters
    ----------
    model : Model
        The model.
    drawn : DrawnModel
        Its layers.
    name : str
        What the page calls it.
    evaluations : sequence of str
        Names of the evaluations that may be asked for.
    columns : sequence of str
        Columns of numbers that may be drawn against each other.

    Returns
    -------
    dict
        ``schema``, ``name``, ``kind`` ("image" or "table"), ``classes``, ``temperature``, ``parameters``, ``digest``,
        ``evaluations``, ``number_columns``, ``has_weights``, ``input`` and ``layers``.
    """
    manifest = model.manifest
    return {
        "schema": SCHEMA,
        "name": name,
        "kind": "image" if manifest.task == "images" else "table",
        "classes": [label.name for label in manifest.classes],
        "temperature": model.temperature.temperature,
        "parameters": manifest.n_parameters,
        "digest": model.digest,
        "evaluations": list(evaluations),
        "number_columns": list(columns),
        "has_weights": drawn.has_weights,
        "input": _input(model),
        "layers": [layer.to_dict() for layer in drawn.layers],
    }


def demo_bundle(*, examples: bool = True) -> dict[str, Any]:
    """
    Return the answers of the shipped demo, their arrays in base64.

    Parameters
    ----------
    examples : bool, default True
        Whether the small pictures of its rows go along.
    """
    found: dict[str, Any] = encoded(unpacked(assets()["demo/bundle.bin"].content))
    if not examples:
        for name, answer in found.items():
            if name.startswith("evaluation:"):
                found[name] = {**answer, "thumbnails": None}
    return found


def contents_of(bundle: Mapping[str, Any]) -> str:
    """
    Return a sentence that names what an exported page holds of anybody's data.

    Parameters
    ----------
    bundle : mapping
        Of the page.

    Examples
    --------
    >>> contents_of({"model": {"name": "run", "classes": ["a", "b"], "input": {}}, "weights": {}})
    'the weights of run and the names of its 2 classes'
    """
    model = bundle["model"]
    weights = "the weights of" if "weights" in bundle else "facts of"
    parts = [f"{weights} {shown(model['name'])} and the names of its {len(model['classes']):,} classes"]
    if "columns" in model["input"]:
        parts.append(f"the names, ranges and categories of its {len(model['input']['columns']):,} columns")
    for name, answer in bundle.items():
        if name.startswith("evaluation:"):
            what = ["logits", "labels"]
            what += ["cells"] if answer.get("rows") else []
            what += ["pictures"] if answer.get("thumbnails") else []
            what += ["places"] if answer.get("places") else []
            parts.append(f"{_in_words(what)} of {answer['n']:,} rows of {shown(answer['name'])}")
    if bundle.get("forward"):
        parts.append(f"what the model computes for {len(bundle['forward']):,} of them")
    if "columns" in bundle:
        parts.append(f"{len(bundle['columns']['names']):,} columns of numbers")
    return "; ".join(parts)


def _in_words(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _input(model: Model) -> dict[str, Any]:
    manifest, preprocessing = model.manifest, model.manifest.preprocessing()
    if not isinstance(preprocessing, Preprocessing):
        spec = manifest.image_spec()
        return {
            "shape": [spec.channels, spec.height, spec.width],
            "mean": list(preprocessing.mean),
            "std": list(preprocessing.std),
            "resize": spec.resize,
        }
    pairs = zip(manifest.schema().columns, preprocessing.steps, strict=True)
    return {"columns": [_column(column, step) for column, step in pairs]}


def _column(column: Column, step: Step) -> dict[str, Any]:
    """What a form needs to ask for a cell."""
    known: dict[str, Any] = {"name": column.name, "kind": column.kind, "missing": column.missing > 0}
    if isinstance(step, NumberStep):
        return {
            **known, "fill": step.fill, "minimum": column.minimum, "maximum": column.maximum, "integer": column.integer
        }  # fmt: skip
    if isinstance(step, BooleanStep):
        return {**known, "true": column.true, "false": column.false}
    if isinstance(step, DatetimeStep):
        return {**known, "fill": step.fill, "minimum": column.minimum, "maximum": column.maximum}
    assert isinstance(step, CategoryStep)  # noqa: S101 - there are four kinds
    return {**known, "categories": list(step.categories)}


def _all_columns(numbers: Mapping[str, Any], rows: Shown) -> dict[str, Any]:
    """The columns of numbers together, gaps as NaN, for a page without a server: it leaves out the rows of its pair."""
    names = list(numbers)[:MAX_EXPORTED_NUMBERS]
    values = np.stack([numbers[name] for name in names], axis=1)
    known = np.flatnonzero(rows.targets >= 0)
    chosen = known if len(known) <= MAX_POINTS else known[sample_of(len(known), MAX_POINTS)]
    found = {"names": names, "values": values[chosen], "targets": rows.targets[chosen]}
    missing = len(rows.targets) - len(known)
    return {**found, "classes": list(rows.classes), "total": len(known), "missing": missing}


def _json(answer: Any) -> bytes:
    return json.dumps(encoded(answer), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )
