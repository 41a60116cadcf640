from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from asserts import assert_bit_equal, assert_close, assert_ulp
from made_models import (
    CLASSES,
    STEPS,
    make,
    make_image_network,
    make_images,
    make_small,
    make_table,
    make_table_network,
    rows_of,
)
from softclass.data.image_set import ImageSpec
from softclass.data.pixels import PixelPreprocessing
from softclass.data.preprocessing import CategoryStep, DatetimeStep, NumberStep, Preprocessing
from softclass.errors import InternalError
from softclass.functions.softmax import softmax
from softclass.model.graph import FEATURE_LIMIT, build_feature_graph, build_graph
from softclass.model.session import Session
from softclass.model.wire_table import ATTRIBUTE_INTS, IR_VERSION, OPERATORS, OPSETS
from softclass.networks.architecture import Architecture, Dense
from softclass.networks.known_architectures import image_architecture, realmlp, table_architecture
from softclass.networks.layers import ACTIVATIONS, Convolution, Flatten, FullyConnected, MaxPool, Pixels, Relu

LAYOUTS = ("columns", "matrix")
EXACT_STEPS = tuple(step for step in STEPS if not isinstance(step, DatetimeStep))


def run_alone(body, feeds):
    """The graph in onnxruntime with nothing of ours round it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(body, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def features_of_graph(preprocessing, inputs, image=None):
    feeds = {"image": inputs} if image is not None else preprocessing.feeds(inputs)
    return run_alone(build_feature_graph(preprocessing, image), feeds)[0]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", range(5))
def test_features_of_the_graph_are_those_of_training_bit_for_bit(layout, seed):
    preprocessing = Preprocessing(EXACT_STEPS, layout)
    columns = rows_of(EXACT_STEPS, 200, seed)

    assert_bit_equal(preprocessing.apply(columns), features_of_graph(preprocessing, columns))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.kind}-{step.input}")
def test_features_of_one_column_alone(step):
    preprocessing = Preprocessing((step,))
    columns = rows_of((step,), 300)

    # Sine and cosine come from two libraries: half a unit in float64, so at most one in float32.
    assert_ulp(preprocessing.apply(columns), features_of_graph(preprocessing, columns), ulps=1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_smoothly_bounded_numbers_of_the_graph_are_those_of_training_bit_for_bit(layout):
    preprocessing = Preprocessing(EXACT_STEPS, layout, smooth=True)
    columns = rows_of(EXACT_STEPS, 300, seed=3)
    cells = next(cells for name, cells in columns.items() if cells.dtype != object)
    cells[:6] = [1e308, -1e308, 1e200, 0.0, np.nan, -1e-320]

    features = preprocessing.apply(columns)

    assert_bit_equal(features, features_of_graph(preprocessing, columns))
    assert np.abs(features).max() <= 3.0
    assert np.isfinite(features).all()


def test_dates_before_1970_and_far_away_have_their_cycles():
    preprocessing = Preprocessing((STEPS[3],))
    columns = {"seen": np.array([-1.0, -1e9, 0.0, 4e11, np.nan])}

    # 4e11 seconds in turns of a day leave 1e-10 of a turn: both sides round alike, the waves to one unit.
    assert_ulp(preprocessing.apply(columns), features_of_graph(preprocessing, columns), ulps=1)


def test_numbers_alone_pass_no_operation_that_does_nothing():
    step = NumberStep("width", 3.0, 2.5, 0.5, False, 0)
    preprocessing = Preprocessing((step, replace(step, input="height")), smooth=True)
    body = build_graph(preprocessing, [Dense(np.zeros((2, 2)), np.zeros(2))], ["a", "b"])

    operators = [node.op_type for node in onnx.load_from_string(body).graph.node]

    assert (operators.count("Concat"), operators.count("Clip"), operators.count("Cast")) == (1, 1, 1)


@pytest.mark.parametrize("scale", [1e-310, 5e-324, 1e307])
def test_extreme_scales_are_divided_by_and_not_multiplied_with_their_inverse(scale):
    preprocessing = Preprocessing((NumberStep("x", 0.0, 0.0, scale, False, 0),))
    columns = {"x": np.array([0.0, scale, -2 * scale, 7 * scale])}

    assert_bit_equal(preprocessing.apply(columns), features_of_graph(preprocessing, columns))


def test_absurd_cells_give_probabilities_and_not_nan():
    model = make_table()
    columns = rows_of(STEPS, 2)
    columns["mass"] = np.array([1.7e308, -1.7e308])
    columns["bill length (mm)"] = np.array([-1.7e308, 1.7e308])

    found = Session(model.body, threads=1).run(model.feeds(columns)).probabilities

    assert_close(np.ones(2), found.sum(axis=1), rtol=0, atol=1e-6)


def test_features_are_bounded_far_beyond_training():
    preprocessing = Preprocessing((NumberStep("x", 0.0, 0.0, 1.0, False, 0),))

    found = features_of_graph(preprocessing, {"x": np.array([1e300, -1e300, 1e29])})

    assert_bit_equal(np.array([[FEATURE_LIMIT], [-FEATURE_LIMIT], [1e29]], dtype=np.float32), found)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixel_features_are_those_of_training_bit_for_bit(channels):
    model = make_images(channels)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 6, 5, channels), dtype=np.uint8)

    assert_bit_equal(model.preprocessing.apply(pixels), features_of_graph(model.preprocessing, pixels, model.image))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_logits_are_those_of_float64_arithmetic(layout):
    model = make_table(layout)
    columns = rows_of(STEPS, 300)
    columns["mass"] = np.full(300, 4201.75)  # its scale is tiny: random cells would make logits of 1e10

    found = Session(model.body, threads=1).run(model.feeds(columns)).logits

    expected = model.logits(columns)
    scale = np.abs(model.preprocessing.apply(columns)).max(axis=1, keepdims=True).clip(1)
    assert_close(expected / scale, found / scale, rtol=0, atol=1e-5)  # float32 products, each 1e-7 of the largest


def test_image_logits_are_those_of_float64_arithmetic():
    model = make_images()
    pixels = np.random.default_rng(1).integers(0, 256, (100, 6, 5, 3), dtype=np.uint8)

    assert_close(model.logits(pixels), Session(model.body).run({"image": pixels}).logits, rtol=0, atol=1e-5)


def test_layers_follow_one_another():
    random = np.random.default_rng(2)
    preprocessing = Preprocessing((STEPS[0], STEPS[4]))
    layers = [
        Dense(random.normal(size=(5, 3)), random.normal(size=5)),
        Dense(random.normal(size=(2, 5)), random.normal(size=2)),
    ]
    columns = {"bill length (mm)": np.array([40.0, np.nan]), "mass": np.array([4201.751, 4201.75])}
    hidden = preprocessing.apply(columns) @ layers[0].weight.T + layers[0].bias

    found = Session(build_graph(preprocessing, layers, ["a", "b"])).run(preprocessing.feeds(columns)).logits

    assert_close(hidden @ layers[1].weight.T + layers[1].bias, found, rtol=0, atol=1e-5)


def test_logits_times_temperature_are_those_of_the_network():
    cold, warm = make_table(), make(Preprocessing(STEPS), 24, temperature=1.0)
    feeds = cold.feeds(rows_of(STEPS, 50))

    divided, whole = Session(cold.body).run(feeds).logits, Session(warm.body).run(feeds).logits

    assert_bit_equal(whole / np.float32(1.3), divided)


def test_probabilities_are_the_softmax_of_the_logits():
    model = make_table()

    found = Session(model.body).run(model.feeds(rows_of(STEPS, 100)))

    assert_close(softmax(found.logits.astype(np.float64)), found.probabilities, rtol=1e-5, atol=1e-7)  # float32 exp


def test_label_is_the_first_class_on_a_tie():
    preprocessing = Preprocessing((NumberStep("x", 0.0, 0.0, 1.0, False, 0),))
    dense = Dense(np.array([[0.0], [1.0], [1.0]]), np.zeros(3))

    found = Session(build_graph(preprocessing, [dense], ["a", "b", "c"])).run({"x": np.array([2.0, 0.0])})

    assert found.labels.tolist() == ["b", "a"]


def test_unseen_category_missing_cell_and_the_text_none_are_told_apart():
    preprocessing = Preprocessing((STEPS[2],))
    cells = np.array(["", "Dream", "dream", "NA", None], dtype=object)

    found = features_of_graph(preprocessing, {"岛屿": cells})

    # A None in an object array reaches the graph as the text "None", another category: callers write "".
    assert found.argmax(axis=1).tolist() == [0, 3, 1, 4, 1]


def test_graph_alone_takes_raw_columns_by_their_own_names():
    model = make_table()
    columns = rows_of(STEPS, 20)
    feeds = {name: np.asarray(cells).reshape(-1, 1) for name, cells in reversed(columns.items())}

    logits, probabilities, label = run_alone(model.body, feeds)

    found = Session(model.data).run(model.feeds(columns))
    assert_bit_equal(found.logits, logits)
    assert_bit_equal(found.probabilities, probabilities)
    assert label.tolist() == found.labels.tolist()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_zero_rows_are_legal_in_the_graph(layout):
    model = make_table(layout)

    found = run_alone(model.body, model.feeds(rows_of(STEPS, 0)))

    assert [array.shape for array in found] == [(0, 3), (0, 3), (0,)]


@pytest.mark.parametrize("name", ["a b", "特征1", "x[0]/y", "column/logits", "numbers", '"quoted"', "1"])
def test_input_names_are_the_column_names_verbatim(name):
    preprocessing = Preprocessing((NumberStep(name, 0.0, 0.0, 1.0, False, 0),))
    body = build_graph(preprocessing, [Dense(np.ones((2, 1)), np.zeros(2))], ["a", "b"])

    assert [value.name for value in onnx.load_from_string(body).graph.input] == [name]


def test_matrix_layout_has_one_input_of_numbers_and_one_of_texts():
    inputs = onnx.load_from_string(make_table("matrix").body).graph.input

    shapes = {value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim] for value in inputs}
    assert shapes == {"numbers": ["N", 5], "texts": ["N", 2]}


@pytest.mark.parametrize(
    "made", [make_table, lambda: make_table("matrix"), make_images], ids=["table", "matrix", "images"]
)
def test_model_says_who_wrote_it_and_for_whom(made):
    model = onnx.load_from_string(made().body)

    opsets = {opset.domain: opset.version for opset in model.opset_import}
    assert (model.producer_name, model.ir_version, opsets) == ("softclass", IR_VERSION, OPSETS)
    assert {node.domain for node in model.graph.node} <= set(OPSETS)
    assert not {value.name for value in model.graph.initializer if not value.name.startswith("softclass/")}


def test_operators_are_those_of_the_closed_list_both_ways():
    written: dict = {}
    listed = {(domain, name): known for domain, known_of in OPERATORS.items() for name, known in known_of.items()}

    def value(node, attribute):
        if isinstance(listed[node.domain, node.op_type][attribute.name], int):
            return attribute.type
        return tuple(attribute.ints) if attribute.type == ATTRIBUTE_INTS else attribute.i

    five = Architecture(Pixels(9, 9), (Convolution(3, 5, "same"), MaxPool(), Relu(), Flatten(), FullyConnected(3)))
    networks = [make_image_network(one)[0] for one in (image_architecture("two", Pixels(20, 20), 3), five)]
    networks += [
        make_table_network(lambda columns, one=one: table_architecture(columns, 3, (4,), one))[0]
        for one in ACTIVATIONS.values()
    ]
    networks.append(make_table_network(lambda columns: realmlp(columns, 3))[0])
    networks.append(make(smooth := Preprocessing(STEPS, smooth=True), smooth.n_features))
    for model in (make_table(), make_table("matrix"), make_images(), *networks):
        for node in onnx.load_from_string(model.body).graph.node:
            written.setdefault((node.domain, node.op_type), []).append({a.name: value(node, a) for a in node.attribute})

    assert sorted(written) == sorted(listed)
    assert {key: _values(nodes) for key, nodes in written.items()} == {
        key: {name: {allowed} if isinstance(allowed, int) else set(allowed) for name, allowed in known.items()}
        for key, known in listed.items()
    }


def _values(nodes):
    return {name: {node[name] for node in nodes} for name in nodes[0]}


BUILD = """
import sys
sys.path.insert(0, "tests")
from made_models import make_table, make_images
import hashlib
print(hashlib.sha256(make_table().data + make_images().data).hexdigest())
"""


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_bytes_do_not_depend_on_the_hash_seed(seed):
    import hashlib

    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", BUILD],
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path), "LC_ALL": "C"},
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.strip() == hashlib.sha256(make_table().data + make_images().data).hexdigest()


def test_graph_holds_nothing_of_the_machine():
    body = make_table().body

    assert not [text for text in (b"/work", b"/tmp", b"/home", b"root", str(Path.home()).encode()) if text in body]


def test_pixels_without_image_size_are_a_bug():
    message = "[SC100] build_graph: pixels need `image`"
    with pytest.raises(InternalError, match=f"^{re.escape(message)}$"):
        build_graph(PixelPreprocessing((0.0,), (1.0,)), [], ["a", "b"])


def test_layers_that_do_not_fit_are_refused_by_the_checker():
    preprocessing = Preprocessing((NumberStep("x", 0.0, 0.0, 1.0, False, 0),))
    with pytest.raises(InternalError, match=r"^\[SC100\] build_graph: the graph is not valid ONNX; "):
        build_graph(preprocessing, [Dense(np.ones((3, 1)), np.zeros(3))], ["a", "b"])


def test_wide_table_has_few_nodes():
    steps = tuple(NumberStep(f"x{i}", 0.0, 0.0, 1.0, i % 2 == 0, 0) for i in range(500))
    body = build_graph(Preprocessing(steps), [Dense(np.ones((2, 750)), np.zeros(2))], ["a", "b"])

    assert len(onnx.load_from_string(body).graph.node) < 20


def test_image_graph_takes_uint8_in_the_order_height_width_channel():
    (value,) = onnx.load_from_string(make_images().body).graph.input

    assert value.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim] == ["N", 6, 5, 3]


def test_onnx_reference_evaluator_agrees():
    from onnx.reference import ReferenceEvaluator

    model = make_images()
    pixels = np.random.default_rng(3).integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)

    found = ReferenceEvaluator(onnx.load_from_string(model.data)).run(["probabilities"], {"image": pixels})[0]

    assert_close(found, Session(model.data).run({"image": pixels}).probabilities, rtol=1e-5, atol=1e-7)  # float32 sums


def test_class_names_come_back_as_they_are():
    assert onnx.load_from_string(make_small().body).graph.initializer[-1].string_data[2].decode() == CLASSES[2].name


def test_categories_with_odd_texts_are_kept_apart():
    odd = ("a", "A", " a", "a ", "\tb", "line\nbreak", "é", "e\u0301", "\u202etxt", "x" * 5000)
    preprocessing = Preprocessing((CategoryStep("c", odd, 0, 0),))
    cells = np.array([*odd, ""], dtype=object)

    assert features_of_graph(preprocessing, {"c": cells}).argmax(axis=1).tolist() == [*range(2, 12), 0]


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones((2, 3)), "layer 0 takes 3 values; it gets 4"),
        (np.full((2, 4), np.nan), "layer 0 must be finite in float32; it is not"),
        (np.full((2, 4), 1e39), "layer 0 must be finite in float32; it is not"),
    ],
    ids=["width", "nan", "overflow"],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_layers_that_cannot_be_are_a_bug(weight, message):
    with pytest.raises(InternalError, match=f"^{re.escape(f'[SC100] build_graph: {message}')}$"):
        build_graph(
            PixelPreprocessing((0.0,), (1.0,)), [Dense(weight, np.zeros(2))], ["a", "b"], image=ImageSpec(2, 2, 1)
        )
