"""Architectures: the counts that were published, shapes, the grammar with each refusal whole."""

from __future__ import annotations

import json
import re

import pytest

from softclass.errors import OptionError
from softclass.networks.architecture import Architecture, Hidden, Stage
from softclass.networks.known_architectures import (
    IMAGE_ARCHITECTURES,
    image_architecture,
    realmlp,
    table_architecture,
)
from softclass.networks.layers import (
    Columns,
    Convolution,
    Dropout,
    Embedding,
    Flatten,
    FullyConnected,
    MaxPool,
    Periodic,
    Pixels,
    Relu,
    Scale,
    Selu,
    Sigmoid,
    Tanh,
)

STAGE = (Convolution(32), MaxPool(), Relu())
DIGITS = Pixels(28, 28)


# The table of the design document; parameters of "classic" and "two" are those that Keras prints.
@pytest.mark.parametrize(
    ("name", "features", "parameters", "millions"),
    [
        ("classic", 5408, 54_410, 0.25),
        ("two", 1600, 34_826, 2.05),
        ("two-hidden", 3136, 421_642, 4.24),
        ("fast-digits", 800, 215_194, 1.24),
    ],
)
def test_named_architectures_have_the_published_counts(name, features, parameters, millions):
    architecture = image_architecture(name, DIGITS, 10)

    assert (architecture.n_features, architecture.n_parameters) == (features, parameters)
    assert round(architecture.multiplications / 1e6, 2) == millions


def test_shapes_of_the_articles_network():
    assert image_architecture("classic", DIGITS, 10).parameter_shapes == {
        "stage1.weight": (3, 3, 1, 32),
        "stage1.bias": (32,),
        "dense1.weight": (10, 5408),
        "dense1.bias": (10,),
    }


def test_shapes_of_a_table_with_everything():
    architecture = realmlp(Columns(3, (5, 20)), 4)

    assert architecture.parameter_shapes == {
        "periodic.frequency": (3, 16),
        "periodic.phase": (3, 16),
        "periodic.weight": (3, 3, 16),
        "periodic.bias": (3, 3),
        "embedding2.weight": (20, 8),
        "scale.weight": (3 + 9 + 8 + 5,),
        "dense1.weight": (256, 25),
        "dense1.bias": (256,),
        "dense2.weight": (256, 256),
        "dense2.bias": (256,),
        "dense3.weight": (256, 256),
        "dense3.bias": (256,),
        "dense4.weight": (4, 256),
        "dense4.bias": (4,),
    }
    assert architecture.hidden[-1] == Hidden(256, 4, None, 0.15, True, True)


# Sides of the pooled map by hand: floor((side + pads - kernel + 1) / 2).
@pytest.mark.parametrize(
    ("pixels", "layer", "expected"),
    [
        (Pixels(28, 28), Convolution(4), Stage(28, 28, 1, (0, 0, 0, 0), 3, 4, 13, 13)),
        (Pixels(11, 9), Convolution(4, 5), Stage(11, 9, 1, (0, 0, 0, 0), 5, 4, 3, 2)),
        (Pixels(11, 9), Convolution(4, 5, "same"), Stage(11, 9, 1, (2, 2, 2, 2), 5, 4, 5, 4)),
        (Pixels(1, 20, 2), Convolution(4), Stage(1, 20, 2, (3, 0, 4, 0), 3, 4, 3, 9)),
        (Pixels(5, 8), Convolution(4, 3, "same"), Stage(5, 8, 1, (2, 1, 3, 1), 3, 4, 4, 4)),
    ],
)
def test_geometry_of_a_stage(pixels, layer, expected):
    architecture = Architecture(pixels, (layer, MaxPool(), Relu(), Flatten(), FullyConnected(3)))

    assert architecture.stages == (expected,)


@pytest.mark.parametrize("side", [1, 7, 8, 15, 16, 28, 96])
@pytest.mark.parametrize("name", IMAGE_ARCHITECTURES)
def test_named_architectures_fit_every_size(name, side):
    assert image_architecture(name, Pixels(side, side, 3), 2).n_features > 0


@pytest.mark.parametrize(
    "architecture",
    [
        *(image_architecture(name, DIGITS, 10) for name in IMAGE_ARCHITECTURES),
        realmlp(Columns(0, (50, 3)), 2),
        table_architecture(Columns(2, (3, 12, 11)), 5, (7, 9), Tanh(), 0.5),
    ],
)
def test_an_architecture_survives_json(architecture):
    assert Architecture.from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture


def test_columns_of_many_categories_are_embedded():
    architecture = table_architecture(Columns(2, (11, 12)), 5, (7,))

    assert (architecture.indicator_columns, architecture.embedded_columns) == ((0,), (1,))
    assert architecture.n_features == 2 + 11 + 8


def test_without_dropout_all_else_stays():
    architecture = image_architecture("two-hidden", DIGITS, 10)

    assert architecture.without_dropout() == image_architecture("two-hidden", DIGITS, 10, dropout=0)
    assert {layer.dropout for layer in architecture.hidden} == {0.25}


GOT = "got Convolution MaxPool Relu FullyConnected"
IMAGES = "images need one to 16 times Convolution, BatchNorm (or not), MaxPool (or not), Relu, and then Flatten"
BEHIND = (
    "behind Flatten stand at most two times Dropout (or not), FullyConnected, Relu; then Dropout (or not) and a last"
    " FullyConnected"
)
TABLES = (
    "tables need Periodic, Embedding, Scale (each or not), one to four times FullyConnected, an activation, Dropout (or"
    " not), and a last FullyConnected"
)
OFTEN = "Convolution Relu " * 17
LAST, HIDDEN = FullyConnected(3), (FullyConnected(8), Relu())


@pytest.mark.parametrize(
    ("what", "layers", "message"),
    [
        (DIGITS, (*STAGE, LAST), f"{IMAGES}; {GOT}"),
        (DIGITS, (Flatten(), LAST), f"{IMAGES}; got Flatten FullyConnected"),
        (DIGITS, (), f"{IMAGES}; got no layer"),
        (DIGITS, ((Convolution(4), Relu()) * 17 + (Flatten(), LAST)), f"{IMAGES}; got {OFTEN}Flatten FullyConnected"),
        (DIGITS, (*STAGE, Flatten()), f"{BEHIND}; got Convolution MaxPool Relu Flatten"),
        (
            DIGITS,
            (*STAGE, Flatten(), *HIDDEN * 3, LAST),
            f"{BEHIND}; got Convolution MaxPool Relu Flatten {'FullyConnected Relu ' * 3}FullyConnected",
        ),
        (
            DIGITS,
            (*STAGE, Flatten(), FullyConnected(8), Tanh(), LAST),
            f"{BEHIND}; got Convolution MaxPool Relu Flatten FullyConnected Tanh FullyConnected",
        ),
        (
            DIGITS,
            (*STAGE, Flatten(), FullyConnected(3, ntk=True)),
            "`ntk` and `zero` are for tables; got them for images",
        ),
        (
            Pixels(8, 8),
            (Convolution(4, 5), MaxPool(), Relu(), Convolution(4), MaxPool(), Relu(), Flatten(), LAST),
            'stage 2 leaves nothing of a map of 2 x 2. Use padding="same", a smaller kernel, or one stage less',
        ),
        (Pixels(97, 28), (*STAGE, Flatten(), LAST), "Pixels: `height` must lie in [1, 96]; got 97. The nearest is 96"),
        (Pixels(28, 0), (*STAGE, Flatten(), LAST), "Pixels: `width` must lie in [1, 96]; got 0. The nearest is 1"),
        (
            Pixels(28, 28, 5),
            (*STAGE, Flatten(), LAST),
            "Pixels: `channels` must lie in [1, 4]; got 5. The nearest is 4",
        ),
        (
            DIGITS,
            (Convolution(2000), *STAGE[1:], Flatten(), LAST),
            "Convolution: `maps` must lie in [1, 1024]; got 2000. The nearest is 1024",
        ),
        (
            DIGITS,
            (Convolution(2.5), *STAGE[1:], Flatten(), LAST),
            "Convolution: `maps` must be a whole number; got 2.5",
        ),
        (
            DIGITS,
            (Convolution(4, 4), *STAGE[1:], Flatten(), LAST),
            "Convolution: `kernel` must be 3 or 5; got 4. The nearest is 3",
        ),
        (
            DIGITS,
            (Convolution(4, 7), *STAGE[1:], Flatten(), LAST),
            "Convolution: `kernel` must lie in [3, 5]; got 7. The nearest is 5",
        ),
        (
            DIGITS,
            (Convolution(4, 3, "full"), *STAGE[1:], Flatten(), LAST),
            'Convolution: `padding` must be "valid" or "same"; got \'full\'',
        ),
        (DIGITS, (*STAGE, Flatten(), Dropout(1.0), LAST), "Dropout: `rate` must lie in [0, 1); got 1.0"),
        (
            DIGITS,
            (*STAGE, Flatten(), FullyConnected(1)),
            "FullyConnected: `width` of the last layer must lie in [2, 1000]; got 1. The nearest is 2",
        ),
        (
            Columns(3),
            (FullyConnected(5000), Relu(), LAST),
            "FullyConnected: `width` must lie in [1, 4096]; got 5000. The nearest is 4096",
        ),
        (Columns(3), (LAST,), f"{TABLES}; got FullyConnected"),
        (Columns(3), (*HIDDEN * 5, LAST), f"{TABLES}; got {'FullyConnected Relu ' * 5}FullyConnected"),
        (Columns(3), (*HIDDEN, LAST, Dropout(0.1)), f"{TABLES}; got FullyConnected Relu FullyConnected Dropout"),
        (
            Columns(3),
            (Scale(), Periodic(), *HIDDEN, LAST),
            f"{TABLES}; got Scale Periodic FullyConnected Relu FullyConnected",
        ),
        (Columns(3), (*HIDDEN, FullyConnected(8), Selu(), LAST), "all activations must be the same; got Relu, Selu"),
        (Columns(3), (*HIDDEN, FullyConnected(3, ntk=True)), "`ntk` must be the same in every FullyConnected"),
        (Columns(0, (3,)), (Periodic(), *HIDDEN, LAST), "Periodic needs numbers; got categories only"),
        (Columns(0), (*HIDDEN, LAST), "Columns: there must be a number or a category; got neither"),
        (Columns(1, (2000,)), (*HIDDEN, LAST), "Columns: `codes` must lie in [2, 1002]; got 2000. The nearest is 1002"),
        (
            Columns(1, (30,)),
            (Embedding(width=100), *HIDDEN, LAST),
            "Embedding: `width` must lie in [1, 64]; got 100. The nearest is 64",
        ),
        ("28 x 28", (*HIDDEN, LAST), "`input` must be Pixels or Columns; got str"),
    ],
)
def test_what_no_engine_runs_is_refused(what, layers, message):
    with pytest.raises(OptionError, match=re.escape(f"[SC141] Architecture: {message}") + "$"):
        Architecture(what, layers)


def test_an_unknown_name_gives_the_nearest():
    names = "classic, two, two-hidden, fast-digits, deep, deep5"
    message = f"`architecture` must be one of {names}; got 'clasic'. Did you mean \"classic\""

    with pytest.raises(OptionError, match=re.escape(f"[SC141] Architecture: {message}")):
        image_architecture("clasic", DIGITS, 10)


@pytest.mark.parametrize("activation", [Relu(), Tanh(), Sigmoid(), Selu()])
def test_every_activation_stands_behind_hidden_layers_only(activation):
    architecture = table_architecture(Columns(4), 3, (8, 9), activation, 0.1)

    assert [layer.activation for layer in architecture.hidden] == [activation, activation, None]
    assert [layer.dropout for layer in architecture.hidden] == [0.0, 0.1, 0.1]
