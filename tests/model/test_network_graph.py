"""Networks in the graph: onnxruntime against float64 arithmetic on what the engine is given."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from scipy.special import expit

from asserts import assert_close
from made_models import CLASSES, STEPS, make_image_network, make_table_network, rows_of
from softclass.errors import InternalError, ModelFileError
from softclass.model.agreement import check_agreement
from softclass.model.file import open_model
from softclass.model.graph import build_graph
from softclass.model.layer_facts import ConvolutionFacts, DenseFacts, WavesFacts, check_layers
from softclass.model.layers import network_places, read_layers
from softclass.model.manifest import Manifest
from softclass.model.session import Session
from softclass.model.shapes import check_shapes
from softclass.model.wire import read_graph
from softclass.networks.architecture import Architecture, Dense
from softclass.networks.fitted_layers import FittedConvolution
from softclass.networks.known_architectures import image_architecture, realmlp, table_architecture
from softclass.networks.layers import (
    ACTIVATIONS,
    Columns,
    Convolution,
    Embedding,
    Flatten,
    FullyConnected,
    MaxPool,
    Periodic,
    Pixels,
    Relu,
    Scale,
    Sigmoid,
)

IMAGES = [
    image_architecture("classic", Pixels(28, 28), 3),
    image_architecture("two", Pixels(20, 17, 3), 3),
    image_architecture("two-hidden", Pixels(12, 12, 3), 3),
    Architecture(Pixels(1, 7), (Convolution(5), MaxPool(), Relu(), Flatten(), FullyConnected(3))),
    Architecture(Pixels(9, 31, 3), (Convolution(3, 5, "same"), MaxPool(), Relu(), Flatten(), FullyConnected(3))),
]
TABLES = {
    **{name: lambda columns, one=one: table_architecture(columns, 3, (9, 5), one) for name, one in ACTIVATIONS.items()},
    "embedding": lambda columns: Architecture(
        columns, (Embedding(4, above=2), Scale(), FullyConnected(6, ntk=True), Sigmoid(), FullyConnected(3, ntk=True))
    ),
    "waves": lambda columns: Architecture(
        columns,
        (Periodic(), Embedding(4, above=2), Scale(), FullyConnected(6, ntk=True), Relu(), FullyConnected(3, ntk=True)),
    ),
    "realmlp": lambda columns: realmlp(columns, 3),
}
AFTER = {
    "": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "sigmoid": expit,
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(np.minimum(z, 0))),
}


def dense_part(architecture, parameters, value):
    for number, layer in enumerate(architecture.hidden, start=1):
        weight = parameters[f"dense{number}.weight"].astype(float)
        factor = 1 / np.sqrt(layer.n_in) if layer.ntk else 1.0
        value = factor * value @ weight.T + parameters[f"dense{number}.bias"]
        value = AFTER["" if layer.activation is None else type(layer.activation).__name__.lower()](value)
    return value


def image_logits(architecture, parameters, pixels, preprocessing):
    value = (pixels - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    for number, stage in enumerate(architecture.stages, start=1):
        top, left, bottom, right = stage.pads
        value = np.pad(value, ((0, 0), (top, bottom), (left, right), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(value, (stage.kernel, stage.kernel), (1, 2))
        value = np.einsum("nyxcij,ijcm->nyxm", windows, parameters[f"stage{number}.weight"].astype(float))
        value = value + parameters[f"stage{number}.bias"]
        tall, wide = value.shape[1] // 2, value.shape[2] // 2
        four = value[:, : 2 * tall, : 2 * wide].reshape(len(value), tall, 2, wide, 2, -1)
        value = np.maximum(four.max(axis=(2, 4)), 0)
    return dense_part(architecture, parameters, value.reshape(len(value), -1))


def table_logits(architecture, parameters, numbers, codes):
    parts = [numbers]
    if architecture.has(Periodic):
        turns = 2 * np.pi * numbers[:, :, None] * parameters["periodic.frequency"] + parameters["periodic.phase"]
        sums = np.einsum("njk,jok->njo", np.cos(turns), parameters["periodic.weight"].astype(float))
        parts.append((sums + parameters["periodic.bias"]).reshape(len(numbers), -1))
    parts += [parameters[f"embedding{j + 1}.weight"][codes[:, j]] for j in architecture.embedded_columns]
    parts += [np.eye(architecture.input.codes[j])[codes[:, j]] for j in architecture.indicator_columns]
    value = np.concatenate(parts, axis=1).astype(float)
    if architecture.has(Scale):
        value = value * parameters["scale.weight"]
    return dense_part(architecture, parameters, value)


def engine_inputs(preprocessing, features):
    """What the engine is given of the features."""
    places = network_places(preprocessing)
    blocks = zip(places.indicators, places.codes, strict=True)
    codes = [features[:, start : start + count].argmax(axis=1) for start, count in blocks]
    return features[:, places.numbers].astype(float), np.stack(codes, axis=1)


@pytest.mark.parametrize("architecture", IMAGES, ids=range(len(IMAGES)))
def test_graph_of_an_image_network_gives_its_logits(architecture):
    made, parameters = make_image_network(architecture)
    pixels = np.random.default_rng(3).integers(0, 256, (33, *made.image.shape), dtype=np.uint8)
    pixels[0], pixels[1] = 0, 255

    found = Session(made.body).run({"image": pixels})

    exact = image_logits(architecture, parameters, pixels.astype(float), made.preprocessing) / made.temperature
    assert_close(exact, found.logits, rtol=0, atol=4e-6 * max(1.0, np.abs(exact).max()))
    powers = np.exp(exact - exact.max(axis=1, keepdims=True))
    assert_close(found.probabilities, powers / powers.sum(axis=1, keepdims=True), rtol=0, atol=1e-5)


@pytest.mark.parametrize("layout", ["columns", "matrix"])
@pytest.mark.parametrize("name", TABLES)
def test_graph_of_a_table_network_gives_its_logits(name, layout):
    made, architecture, parameters = make_table_network(TABLES[name], layout)
    columns = rows_of(STEPS, 200)
    for step in STEPS:  # random cells reach a million spreads
        if hasattr(step, "mean"):
            cells = columns[step.input]
            columns[step.input] = np.clip(cells, step.mean - 30 * step.scale, step.mean + 30 * step.scale)
    features = made.preprocessing.apply(columns)

    found = Session(made.body).run(made.feeds(columns))

    exact = table_logits(architecture, parameters, *engine_inputs(made.preprocessing, features)) / made.temperature
    assert_close(exact, found.logits, rtol=0, atol=2e-5 * max(1.0, np.abs(exact).max()))


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 64])
def test_bits_of_a_row_do_not_depend_on_the_rows_beside_it(rows):
    made, _ = make_image_network(IMAGES[1])
    pixels = np.random.default_rng(3).integers(0, 256, (64, *made.image.shape), dtype=np.uint8)
    session = Session(made.body)

    assert (
        session.run({"image": pixels[:rows]}).logits.tobytes() == session.run({"image": pixels}).logits[:rows].tobytes()
    )


def everything():
    yield from (make_image_network(one)[0] for one in IMAGES)
    yield from (make_table_network(one)[0] for one in TABLES.values())


def test_files_of_networks_are_read_back():
    for made in everything():
        graph = read_graph(made.body)
        check_agreement(graph, check_shapes(graph), made.manifest)
        assert Manifest.from_json(made.manifest.to_json()) == made.manifest or made.manifest.image is None
        opened = open_model(made.data)
        assert opened.manifest.layers == made.manifest.layers
        back = read_layers(made.body, made.preprocessing)
        assert [type(layer) for layer in back] == [type(layer) for layer in made.layers]
        for one, other in zip(back, made.layers, strict=True):
            for name, values in vars(other).items():
                if isinstance(values, np.ndarray) and values.dtype == float:
                    assert_close(getattr(one, name), values, rtol=1e-7, atol=0)
                else:
                    assert np.array_equal(getattr(one, name), values)


def test_shapes_are_those_that_onnx_infers():
    made, _ = make_image_network(IMAGES[2])
    inferred = onnx.shape_inference.infer_shapes(onnx.load_from_string(made.body), strict_mode=True, data_prop=True)
    found = check_shapes(read_graph(made.body))

    for value in inferred.graph.value_info:
        dims = tuple(-1 if d.dim_param else d.dim_value for d in value.type.tensor_type.shape.dim)
        assert found[value.name][1] == dims, value.name


@pytest.mark.parametrize(
    ("layers", "image"),
    [
        ([DenseFacts(5, 3)], None),
        ([DenseFacts(4, 2)], None),
        ([DenseFacts(4, 3, "relu")], None),
        ([DenseFacts(4, 6), DenseFacts(5, 3)], None),
        ([WavesFacts(8), DenseFacts(4, 3)], None),
        ([DenseFacts(4, 12), WavesFacts(8), DenseFacts(20, 3)], None),
        ([ConvolutionFacts(1, 2, 3, (0, 0, 0, 0)), DenseFacts(2, 3)], None),
        ([ConvolutionFacts(2, 2, 3, (0, 0, 0, 0)), DenseFacts(18, 3)], (8, 8, 1)),
        ([ConvolutionFacts(1, 2, 3, (0, 0, 0, 0)), DenseFacts(17, 3)], (8, 8, 1)),
        ([ConvolutionFacts(1, 2, 3, (0, 0, 0, 0))], (8, 8, 1)),
        ([ConvolutionFacts(1, 2, 5, (0, 0, 0, 0)), DenseFacts(0, 3)], (4, 4, 1)),
    ],
)
def test_layers_that_do_not_fit_are_refused(layers, image):
    with pytest.raises(ModelFileError, match="SC405"):
        check_layers(layers, 4 if image is None else int(np.prod(image)), 3, image)


def test_facts_that_name_another_activation_are_refused():
    made, _, _ = make_table_network(TABLES["relu"])
    other, _, _ = make_table_network(TABLES["tanh"])
    graph = read_graph(made.body)

    with pytest.raises(ModelFileError, match=r"SC406.*layer 0"):
        check_agreement(graph, check_shapes(graph), other.manifest)


def test_layers_that_do_not_fit_the_graph_are_refused():
    made, _ = make_image_network(IMAGES[0])
    convolution = made.layers[0]
    wrong = FittedConvolution(np.zeros((32, 2, 3, 3)), convolution.bias, convolution.pads)
    names = [label.name for label in CLASSES]

    with pytest.raises(InternalError, match="takes 2 maps"):
        build_graph(made.preprocessing, [wrong, made.layers[1]], names, image=made.image)
    infinite = Dense(np.full_like(made.layers[1].weight, np.inf), made.layers[1].bias)
    with pytest.raises(InternalError, match="finite"):
        build_graph(made.preprocessing, [convolution, infinite], names, image=made.image)


def test_columns_of_a_network_are_all_of_its_features():
    columns = Columns(3, (4, 20))
    architecture = table_architecture(columns, 3, (5,))
    assert architecture.n_features == 3 + 8 + 4
