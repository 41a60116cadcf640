"""Our facts in the model file: schema, constants, classes, calibration, figures, as canonical JSON with closed keys.

The graph alone says what a probability is; the facts say how rows reach it and what is known about it. A minor
version adds facts under ``optional``, a major version may change any of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from softclass import __version__
from softclass.data import facts as rules
from softclass.data.column import Label, Schema
from softclass.data.image_set import ImageSpec
from softclass.data.pixels import Constants
from softclass.data.preprocessing import Preprocessing
from softclass.errors import ModelFileError, Note, TooLargeError
from softclass.model.canonical import MAX_BYTES, dump_facts, invalid, load_facts
from softclass.model.layer_facts import LayerFacts, check_layers, facts_of, read_layer
from softclass.model.manifest_rules import (
    CARD_RULES,
    FIELD_RULES,
    MAJOR,
    MINOR,
    PART_RULES,
    REQUIRED,
    VERSION_RULES,
    check_format,
    checked_facts,
    read_evaluation,
    read_fit,
    read_image,
    read_note,
    read_preprocessing,
    read_temperature,
    rebuilt,
)  # fmt: skip
from softclass.model.sample import Sample, make_sample, read_sample
from softclass.model.wire_table import OPSETS
from softclass.networks.fitted_layers import FittedLayer
from softclass.trust.evaluation import Evaluation
from softclass.trust.temperature import Temperature

__all__ = ["FIELDS", "Manifest", "Sample", "make_sample"]

LISTED_CLASSES = 10_000  # up to here each class has its own figures
DETAILED_CLASSES = 100  # up to here the confusion matrix is stored: its size grows with the square

# Key -> what it says; docs/reference/model-file.md lists the same, and a test compares.
FIELDS = {
    "calibration": "method, temperature, n, candidates, reason",
    "card": "summary, limits, intended_use",
    "classes": "name, type; in the order of the outputs",
    "data": "rows, sha256",
    "evaluation": "the keys of metrics.json, or null if nothing was held out",
    "features": "number of features",
    "fit": "C, converged, gradient_norm, iterations; l1_ratio if it is not 0; backbone, the digest of the model whose"
    " layers stand before a fine-tuned last one; of a network architecture, batch,"
    " best_epoch, epochs, name, peak_rate, restarts, validation",
    "format": "major, minor, required",
    "image": "height, width, channels, resize; null for a table",
    "kind": "softmax, mlp, cnn or fine-tuned",
    "layers": "kind, inputs, outputs; activation; kernel and pads of a convolution, and pooled if it is not",
    "layout": "columns, matrix or image",
    "notes": "code, text, column, count, hint",
    "optional": "facts that a later minor version adds; may be left unread",
    "parameters": "number of fitted weights",
    "parts": "fit, calibration, test, stratified, group, time, own_test, own_calibration, seed",
    "preprocessing": "layout and steps of a table; mean and std of images",
    "sample": "inputs, probabilities",
    "schema": "the columns of a table; null for images",
    "task": "table or images",
    "versions": "softclass, onnx_opset, numpy, onnxruntime",
}


@dataclass(frozen=True)
class Manifest:
    """The facts of a model.

    Attributes
    ----------
    classes : tuple of Label
        In the order of the outputs.
    constants : Preprocessing or PixelPreprocessing
        What turns columns or pixels into features.
    calibration : Temperature
        What was done to the logits.
    layers : tuple of facts
        Kind and size of each layer.
    parts : mapping
        Rows of each part, and how they were chosen.
    fit : mapping
        How the weights were found.
    data : mapping
        ``rows`` and ``sha256`` of the training data.
    sample : Sample
        Made-up rows and their probabilities.
    columns : Schema or None
        Of a table.
    image : ImageSpec or None
        Of images.
    evaluation : mapping or None
        ``Evaluation.to_dict``; without confusion matrix and diagrams for more than 100 classes.
    notes : tuple of Note
        Of training.
    card : mapping
        ``summary``, ``limits``, ``intended_use``.
    versions : mapping
        Of softclass and what it ran on.
    kind : str
        The classifier.
    unread : tuple of str
        Names of optional facts that a later version wrote.
    """

    classes: tuple[Label, ...]
    constants: Constants
    calibration: Temperature
    layers: tuple[LayerFacts, ...]
    parts: Mapping[str, Any]
    fit: Mapping[str, Any]
    data: Mapping[str, Any]
    sample: Sample
    columns: Schema | None = None
    image: ImageSpec | None = None
    evaluation: Mapping[str, Any] | None = None
    notes: tuple[Note, ...] = ()
    card: Mapping[str, Any] = field(default_factory=lambda: _empty_card())
    versions: Mapping[str, Any] = field(default_factory=lambda: _versions())
    kind: str = "softmax"
    unread: tuple[str, ...] = ()

    @classmethod
    def build(
        cls,
        *,
        preprocessing: Constants,
        layers: Sequence[FittedLayer],
        classes: Sequence[Label],
        temperature: Temperature,
        parts: Mapping[str, Any],
        fit: Mapping[str, Any],
        data: Mapping[str, Any],
        sample: Sample,
        schema: Schema | None = None,
        image: ImageSpec | None = None,
        evaluation: Evaluation | None = None,
        notes: Iterable[Note] = (),
        card: Mapping[str, Any] | None = None,
        kind: str = "softmax",
    ) -> Manifest:
        """Put the facts of a finished training together and check them as a reader would."""
        made = cls(
            classes=tuple(classes),
            constants=preprocessing,
            calibration=temperature,
            layers=tuple(map(facts_of, layers)),
            parts=dict(parts),
            fit={key: _finite(value) for key, value in fit.items()},
            data=dict(data),
            sample=sample,
            columns=schema,
            image=image,
            evaluation=None if evaluation is None else _stored_figures(evaluation, len(classes)),
            notes=tuple(notes),
            card=_empty_card() if card is None else dict(card),
            kind=kind,
        )
        return cls.from_json(made.to_json())

    @property
    def task(self) -> str:
        """``"table"`` or ``"images"``."""
        return "images" if self.image is not None else "table"

    @property
    def layout(self) -> str:
        """``"columns"``, ``"matrix"`` or ``"image"``: the inputs of the graph."""
        return self.constants.layout if isinstance(self.constants, Preprocessing) else "image"

    @property
    def n_features(self) -> int:
        """Number of features, or of pixels and channels."""
        if isinstance(self.constants, Preprocessing):
            return self.constants.n_features
        return math.prod(self.image_spec().shape)

    @property
    def n_parameters(self) -> int:
        """Number of fitted weights and biases."""
        return sum(layer.n_parameters for layer in self.layers)

    def schema(self) -> Schema:
        """Return the columns of the table; an error for images."""
        if self.columns is None:
            raise ModelFileError("SC406", "a model of images has no columns")
        return self.columns

    def image_spec(self) -> ImageSpec:
        """Return the size of the images; an error for a table."""
        if self.image is None:
            raise ModelFileError("SC406", "a model of a table has no image size")
        return self.image

    def preprocessing(self) -> Constants:
        """Return what turns columns or pixels into features."""
        return self.constants

    def temperature(self) -> Temperature:
        """Return what was done to the logits."""
        return self.calibration

    def notes_read(self) -> tuple[Note, ...]:
        """Return the notes of training."""
        return self.notes

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as plain values, with the keys of the file."""
        return {
            "calibration": {
                **self.calibration.to_dict(),
                "candidates": {name: _finite(loss) for name, loss in self.calibration.candidates.items()},
            },
            "card": dict(self.card),
            "classes": [label.to_dict() for label in self.classes],
            "data": dict(self.data),
            "evaluation": None if self.evaluation is None else dict(self.evaluation),
            "features": self.n_features,
            "fit": dict(self.fit),
            "format": {"major": MAJOR, "minor": MINOR, "required": list(REQUIRED)},
            "image": None if self.image is None else self.image.to_dict(),
            "kind": self.kind,
            "layers": [layer.to_dict() for layer in self.layers],
            "layout": self.layout,
            "notes": [_note_facts(note) for note in self.notes],
            "optional": {},
            "parameters": self.n_parameters,
            "parts": dict(self.parts),
            "preprocessing": self.constants.to_dict(),
            "sample": self.sample.to_dict(),
            "schema": None if self.columns is None else self.columns.to_dict(),
            "task": self.task,
            "versions": dict(self.versions),
        }

    def to_json(self) -> bytes:
        """Return the facts as canonical JSON."""
        text = dump_facts(self.to_dict())
        if len(text) > MAX_BYTES:
            raise TooLargeError(
                "SC606",
                f"the facts of a model may have {MAX_BYTES:,} bytes; these have {len(text):,}",
                hint="Lower --max-categories, or leave out columns with long texts",
            )
        return text

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Return the facts that `to_json` wrote; anything else is a ModelFileError (SC405; SC403 if it is newer)."""
        facts = load_facts(text)
        unread = check_format(facts)
        known = {key: value for key, value in facts.items() if not key.startswith("x-")}
        found = checked_facts(known, FIELD_RULES, "facts")
        image = None if found["image"] is None else read_image(found["image"])
        preprocessing = read_preprocessing(found["preprocessing"], image)
        classes = tuple(rebuilt(Label, one, f"facts, classes[{i}]") for i, one in enumerate(found["classes"]))
        columns = None if found["schema"] is None else rebuilt(Schema, found["schema"], "facts, schema")
        made = cls(
            classes=classes,
            constants=preprocessing,
            calibration=read_temperature(found["calibration"]),
            layers=tuple(read_layer(one, f"facts, layers[{i}]") for i, one in enumerate(found["layers"])),
            parts=checked_facts(found["parts"], PART_RULES, "facts, parts"),
            fit=read_fit(found["fit"], found["kind"]),
            data=checked_facts(found["data"], {"rows": rules.is_count, "sha256": rules.is_text}, "facts, data"),
            sample=Sample({}, ()),
            columns=columns,
            image=image,
            evaluation=read_evaluation(found["evaluation"]),
            notes=tuple(read_note(one, f"facts, notes[{i}]") for i, one in enumerate(found["notes"])),
            card=checked_facts(found["card"], CARD_RULES, "facts, card"),
            versions=checked_facts(found["versions"], VERSION_RULES, "facts, versions"),
            kind=found["kind"],
            unread=unread,
        )
        _check_whole(made, found)
        return replace(made, sample=read_sample(found["sample"], preprocessing, len(classes)))


def _empty_card() -> dict[str, Any]:
    return {"summary": "", "limits": [], "intended_use": None}


def _versions() -> dict[str, Any]:
    """Versions that decide the bytes; read from the package lists, so that nothing is imported for them."""
    return {
        "softclass": __version__,
        "onnx_opset": OPSETS[""],
        "numpy": _version_of("numpy"),
        "onnxruntime": _version_of("onnxruntime"),
    }


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _stored_figures(evaluation: Evaluation, n_classes: int) -> dict[str, Any]:
    """As much of the evaluation as has its place in a file of facts."""
    found = evaluation.to_dict(details=n_classes <= DETAILED_CLASSES)
    if n_classes > LISTED_CLASSES:
        del found["per_class"]
    return found


def _finite(value: Any) -> Any:
    """JSON has no infinity: C without regularisation is None."""
    return None if isinstance(value, float) and not rules.is_number(value) else value


def _note_facts(note: Note) -> dict[str, Any]:
    return {"code": note.code, "text": note.text, "column": note.column, "count": note.count, "hint": note.hint}


def _check_whole(made: Manifest, found: Mapping[str, Any]) -> None:
    """Check the rules that join several facts."""
    if (made.columns is None) == (made.image is None) or found["task"] != made.task or found["layout"] != made.layout:
        raise invalid("a model must be of a table or of images, and its task, layout, schema and image must agree")
    if len(made.classes) < 2 or len({label.name for label in made.classes}) < len(made.classes):
        raise invalid("there must be two or more classes, and no two of one name", "facts, classes")
    if found["features"] != made.n_features:
        raise invalid(f"the preprocessing makes {made.n_features:,} features; the facts say {found['features']:,}")
    if found["parameters"] != made.n_parameters:
        raise invalid("the number of parameters must be that of the layers")
    shape = None if made.image is None else made.image.shape
    check_layers(made.layers, made.n_features, len(made.classes), shape)
    if made.columns is not None and isinstance(made.constants, Preprocessing):
        inputs = [(column.input, column.kind) for column in made.columns.columns]
        if [(step.input, step.kind) for step in made.constants.steps] != inputs or not inputs:
            raise invalid("the preprocessing must have one step a column, in their order", "facts, preprocessing")
        if made.columns.classes and made.columns.classes != made.classes:
            raise invalid("the classes must be those of the schema", "facts, schema")
