from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from made_models import make_images, make_small, make_table
from softclass.errors import ModelFileError
from softclass.model.shapes import BATCH, check_shapes
from softclass.model.wire import read_graph
from softclass.model.wire_table import FLOAT, STRING

SUFFIX = " softclass never writes this: get the file again from where it was trained"


def refusal(model):
    with pytest.raises(ModelFileError) as caught:
        check_shapes(read_graph(model.SerializeToString(deterministic=True)))
    return str(caught.value)


def proto():
    return onnx.load_from_string(make_small().body)


def tensor(model, name, values, dtype):
    """Replace a constant."""
    found = next(one for one in model.graph.initializer if one.name == f"softclass/{name}")
    found.CopyFrom(numpy_helper.from_array(np.asarray(values, dtype=dtype), found.name))


def node(model, operator):
    return next(one for one in model.graph.node if one.op_type == operator)


def declared(model, name):
    return next(one for one in [*model.graph.input, *model.graph.output] if one.name == name).type.tensor_type


@pytest.mark.parametrize("made", [make_table, lambda: make_table("matrix"), make_images, make_small])
def test_shapes_are_those_that_onnx_infers(made):
    body = made().body
    inferred = onnx.shape_inference.infer_shapes(onnx.load_from_string(body), strict_mode=True, data_prop=True)
    expected = {
        value.name: (
            value.type.tensor_type.elem_type,
            tuple(BATCH if d.dim_param else d.dim_value for d in value.type.tensor_type.shape.dim),
        )
        for value in [*inferred.graph.value_info, *inferred.graph.output]
        if value.type.tensor_type.HasField("shape")
    }

    found = check_shapes(read_graph(body))

    # The inference of ONNX does not work out the depth of OneHot and what follows from it.
    known = {name: shape for name, shape in expected.items() if 0 not in shape[1] and None not in shape[1]}
    assert {name: found[name] for name in known if _certain(body, name)} == {
        name: known[name] for name in known if _certain(body, name)
    }


def _certain(body, name):
    """Not made from a OneHot, whose depth onnx names by an invented letter."""
    return "category" not in name and name != "softclass/features"


def test_outputs_have_the_declared_shapes():
    found = check_shapes(read_graph(make_small().body))

    assert [found[name] for name in ("logits", "probabilities", "label")] == [
        (FLOAT, (BATCH, 3)), (FLOAT, (BATCH, 3)), (STRING, (BATCH,)),
    ]  # fmt: skip


def test_memory_bomb_of_100_bytes_is_refused_before_a_runtime_sees_it():
    model = proto()
    tensor(model, "category/0/depth", 250_000_000, np.int64)

    assert refusal(model) == (
        "[SC404] one row must need at most 67,108,864 numbers at one place; at operator "
        '"OneHot" it needs 2.0 GB and 0 products.' + SUFFIX
    )


def test_wide_product_is_refused():
    model = onnx.load_from_string(make_images().body)
    declared(model, "image").shape.dim[1].dim_value = 2**24
    declared(model, "image").shape.dim[2].dim_value = 2**24

    assert "one row must need at most 67,108,864 numbers" in refusal(model)


def _no_rows(model):
    """The rows meet a constant of five rows."""
    tensor(model, "fill", np.zeros((5, 1)), np.float64)


def _output(model, change):
    change(model.graph.output)


CHANGES = {
    "rows against rows": (_no_rows, 'operator "Where" must be given shapes that fit'),
    "text as number": (
        lambda m: setattr(declared(m, "bill length (mm)"), "elem_type", TensorProto.STRING),
        'operator "Concat" must be given some inputs of double or float; got string (N, 1)',
    ),
    "input type": (
        lambda m: setattr(declared(m, "bill length (mm)"), "elem_type", TensorProto.FLOAT),
        'input "bill length (mm)" must be double, string or uint8; got type 1',
    ),
    "number as text": (
        lambda m: setattr(declared(m, "岛屿"), "elem_type", TensorProto.DOUBLE),
        'operator "LabelEncoder" must be given 1 inputs of string; got double (N, 1)',
    ),
    "three dimensions": (
        lambda m: declared(m, "bill length (mm)").shape.dim.add(dim_value=4),
        'operator "Concat" must be given one row of numbers for each row; got double (N, 1, 4)',
    ),
    "column beyond the last": (
        lambda m: tensor(m, "flagged", [1], np.int64), 'operator "Gather" must be given columns that exist',
    ),
    "column before the first": (
        lambda m: tensor(m, "flagged", [-1], np.int64), 'operator "Gather" must be given columns that exist',
    ),
    "column that is computed": (
        lambda m: node(m, "Gather").input.__setitem__(1, "softclass/category/0/code"),
        'each value must be made before it is used; "softclass/category/0/code" is not',
    ),
    "depth zero": (
        lambda m: tensor(m, "category/0/depth", 0, np.int64), 'operator "OneHot" must be given a positive depth',
    ),
    "depth with dimensions": (
        lambda m: tensor(m, "category/0/depth", [6], np.int64),
        'operator "OneHot" must be given a constant of int64 with 0 dimensions as input 2',
    ),
    "three values": (
        lambda m: tensor(m, "truth", [0, 1, 2], np.float32), 'operator "OneHot" must be given a positive depth',
    ),
    "codes": (
        lambda m: node(m, "LabelEncoder").attribute[1].strings.append(b"a"),
        'operator "LabelEncoder" must be given as many different texts as numbers',
    ),
    "weight": (
        lambda m: tensor(m, "layer/0/weight", np.zeros((3, 9)), np.float32),
        'operator "Gemm" must be given rows, a weight and a bias that fit',
    ),
    "bias": (
        lambda m: tensor(m, "layer/0/bias", np.zeros(2), np.float32),
        'operator "Gemm" must be given rows, a weight and a bias that fit',
    ),
    "no classes": (
        lambda m: [tensor(m, f"layer/0/{n}", np.zeros(d), np.float32) for n, d in (("weight", (0, 8)), ("bias", 0))],
        'operator "Gemm" must be given rows, a weight and a bias that fit',
    ),
    "bounds": (
        lambda m: tensor(m, "lowest", [0.0], np.float64), 'operator "Clip" must be given two bounds',
    ),
    "too many inputs": (
        lambda m: node(m, "Softmax").input.append("logits"), 'operator "Softmax" must be given 1 inputs',
    ),
    "double and float": (
        lambda m: tensor(m, "mean", [0.0], np.float32), 'operator "Sub" must be given 2 inputs of double or float',
    ),
    "declared width": (
        lambda m: setattr(declared(m, "logits").shape.dim[1], "dim_value", 4),
        'output "logits" must have the shape that the graph gives it; it declares another',
    ),
    "declared type": (
        lambda m: setattr(declared(m, "label"), "elem_type", TensorProto.INT64),
        'output "label" must have the shape that the graph gives it; it declares another',
    ),
    "order of outputs": (
        lambda m: m.graph.output.append(m.graph.output.pop(0)),
        'must be logits, probabilities, label in this order; got "probabilities", "label", "logits"',
    ),
    "a fourth output": (
        lambda m: m.graph.output.append(helper.make_tensor_value_info("softclass/x", TensorProto.DOUBLE, ["N", 1])),
        'must be logits, probabilities, label in this order; got "logits", "probabilities", "label", "softclass/x"',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_shapes_that_do_not_fit_are_refused(change, message):
    model = proto()
    change(model)

    found = refusal(model)

    assert found.startswith("[SC404] ")
    assert message in found


def test_output_that_is_an_input_is_no_output():
    model = proto()
    node(model, "Softmax").output[0] = "softclass/elsewhere"

    assert 'output "probabilities" must have the shape' in refusal(model)
