"""Small models with weights made by hand, for the tests of the model file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from softclass._typing import Columns
from softclass.data.column import Column, Label, Schema
from softclass.data.image_set import ImageSpec
from softclass.data.pixels import PixelPreprocessing
from softclass.data.preprocessing import (
    BooleanStep,
    CategoryStep,
    DatetimeStep,
    NumberStep,
    Preprocessing,
)
from softclass.errors import Note
from softclass.model.file import seal
from softclass.model.graph import build_graph
from softclass.model.layers import network_places
from softclass.model.manifest import Manifest
from softclass.model.sample import make_sample
from softclass.model.session import Session
from softclass.networks import layers
from softclass.networks.architecture import Architecture, Dense
from softclass.networks.fitted_layers import FittedLayer, fitted_layers
from softclass.trust.temperature import Temperature

STEPS = (
    NumberStep("bill length (mm)", 44.45, 43.92, 5.46, True, 2),
    BooleanStep("resident", 1),
    CategoryStep("岛屿", ("Biscoe", "Dream", "NA", "a/b [c]"), 3, 1),
    DatetimeStep("seen", 1.7e9, 1.6e9, 3.1e7, True, ("day", "week", "year"), 4),
    NumberStep("mass", 4050.0, 4201.75, 1e-3, False, 0),
    CategoryStep("column/label", ("p",), 0, 0),
    DatetimeStep("born", 1.0e9, 1.1e9, 2.0e7, False, ("year",), 0),
)
CLASSES = (Label("Adelie"), Label("Chinstrap"), Label("企鹅\n3"))
PARTS = {"fit": 84, "calibration": 18, "test": 30, "stratified": True, "group": None, "time": None, "seed": 0,
         "own_test": False, "own_calibration": False}  # fmt: skip
FIT = {"C": 1.0, "converged": True, "gradient_norm": 2e-7, "iterations": 14}
NETWORK_FIT = {"architecture": {}, "batch": 32, "best_epoch": 3, "epochs": 4, "name": "two", "peak_rate": 3e-3,
               "restarts": 0, "validation": 12}  # fmt: skip
DATA = {"rows": 132, "sha256": "0" * 64}


@dataclass(frozen=True, eq=False)
class Made:
    """A model, all its parts, and its file."""

    preprocessing: Any
    layers: list[FittedLayer]
    classes: tuple[Label, ...]
    image: ImageSpec | None
    temperature: float
    body: bytes
    manifest: Manifest
    data: bytes

    def feeds(self, inputs: Any) -> dict[str, Any]:
        return {"image": inputs} if self.image is not None else self.preprocessing.feeds(inputs)

    def logits(self, inputs: Any) -> Any:
        """The same in float64, from the features on."""
        features = self.preprocessing.apply(inputs).astype(np.float64)
        (dense,) = self.layers
        assert isinstance(dense, Dense)
        return (features @ dense.weight.T + dense.bias) / self.temperature


def make(preprocessing: Any, n_features: int, *, image: ImageSpec | None = None, temperature: float = 1.3) -> Made:
    random = np.random.default_rng(7)
    dense = Dense(random.normal(size=(3, n_features)) / np.sqrt(n_features), random.normal(size=3))
    body = build_graph(preprocessing, [dense], [label.name for label in CLASSES], temperature=temperature, image=image)
    manifest = Manifest.build(
        preprocessing=preprocessing,
        layers=[dense],
        classes=CLASSES,
        temperature=Temperature(temperature, "temperature", 18, {"none": 0.5, "temperature": 0.4}, "it helps"),
        parts=PARTS,
        fit=FIT,
        data=DATA,
        sample=make_sample(preprocessing, Session(body, threads=1), image),
        schema=None if image is not None else schema_of(preprocessing),
        image=image,
        notes=[Note("SC803", "missing cells filled", "bill length (mm)", 2, "")],
    )
    return Made(preprocessing, [dense], CLASSES, image, temperature, body, manifest, seal(body, manifest))


def make_table(layout: str = "columns") -> Made:
    preprocessing = Preprocessing(STEPS, layout)
    return make(preprocessing, preprocessing.n_features)


def make_network(fitted: Any, preprocessing: Any, image: ImageSpec | None = None, kind: str = "mlp") -> Made:
    """A model of fitted layers."""
    temperature = 1.3
    body = build_graph(preprocessing, fitted, [label.name for label in CLASSES], temperature=temperature, image=image)
    manifest = Manifest.build(
        preprocessing=preprocessing,
        layers=fitted,
        classes=CLASSES,
        temperature=Temperature(temperature, "temperature", 18, {"none": 0.5, "temperature": 0.4}, "it helps"),
        parts=PARTS,
        fit=NETWORK_FIT,
        data=DATA,
        sample=make_sample(preprocessing, Session(body, threads=1), image),
        schema=None if image is not None else schema_of(preprocessing),
        image=image,
        kind=kind,
    )
    return Made(preprocessing, list(fitted), CLASSES, image, temperature, body, manifest, seal(body, manifest))


def start_parameters(architecture: Architecture, seed: int = 7) -> dict[str, Any]:
    """Random float32 parameters of a size that leaves logits of a few units."""
    random = np.random.default_rng(seed)
    return {
        name: (random.normal(size=shape) / np.sqrt(max(1, np.prod(shape[1:])))).astype(np.float32)
        for name, shape in architecture.parameter_shapes.items()
    }


def make_table_network(architecture_of: Any, layout: str = "columns") -> tuple[Made, Architecture, dict[str, Any]]:
    """A network on the made-up table; `architecture_of` is given what comes in."""
    preprocessing = Preprocessing(STEPS, layout)
    places = network_places(preprocessing)
    architecture = architecture_of(layers.Columns(len(places.numbers), places.codes))
    parameters = start_parameters(architecture)
    fitted = fitted_layers(
        architecture,
        parameters,
        numbers=places.numbers.tolist(),
        indicators=places.indicators,
        n_features=preprocessing.n_features,
    )
    return make_network(fitted, preprocessing), architecture, parameters


def make_image_network(architecture: Architecture) -> tuple[Made, dict[str, Any]]:
    """A convolutional network with made-up weights."""
    pixels = architecture.input
    assert isinstance(pixels, layers.Pixels)
    mean, std = (120.5, 90.0, 60.25)[: pixels.channels], (50.0, 61.5, 70.125)[: pixels.channels]
    parameters = start_parameters(architecture)
    image = ImageSpec(pixels.height, pixels.width, pixels.channels)
    made = make_network(fitted_layers(architecture, parameters), PixelPreprocessing(mean, std), image, "cnn")
    return made, parameters


def make_small() -> Made:
    """Two columns: few enough bytes to flip every one of them."""
    preprocessing = Preprocessing((STEPS[0], STEPS[2]))
    return make(preprocessing, preprocessing.n_features)


def make_images(channels: int = 3) -> Made:
    mean, std = (120.5, 90.0, 60.25)[:channels], (50.0, 61.5, 70.125)[:channels]
    return make(PixelPreprocessing(mean, std), 6 * 5 * channels, image=ImageSpec(6, 5, channels))


def schema_of(preprocessing: Preprocessing) -> Schema:
    own = {
        "number": {},
        "category": {},
        "boolean": {"true": "yes", "false": "no"},
        "datetime": {"date_format": "iso"},
    }
    columns = [
        Column(step.input.removeprefix("column/"), step.input, step.kind, step.missing, **own[step.kind])
        for step in preprocessing.steps
    ]
    return Schema("species", CLASSES, tuple(columns))


def rows_of(steps: Any, n_rows: int, seed: int = 0) -> Columns:
    """Random cells with gaps, unseen categories and a few extreme numbers."""
    random = np.random.default_rng(seed)
    columns: Columns = {}
    for step in steps:
        if isinstance(step, CategoryStep):
            known = [*step.categories, "", "never seen", "biscoe"]
            columns[step.input] = np.array([known[i] for i in random.integers(len(known), size=n_rows)], dtype=object)
            continue
        if isinstance(step, BooleanStep):
            cells = random.integers(2, size=n_rows).astype(float)
        else:
            cells = step.mean + step.scale * random.normal(size=n_rows) * 10.0 ** random.integers(-3, 8, size=n_rows)
        cells[random.random(n_rows) < 0.1] = np.nan
        columns[step.input] = cells
    return columns
