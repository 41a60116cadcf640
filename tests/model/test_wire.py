from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from made_models import make_images, make_small, make_table
from softclass.errors import ModelFileError
from softclass.model import wire
from softclass.model.wire import read_graph
from softclass.model.wire_table import MESSAGES

SUFFIX = " softclass never writes this: get the file again from where it was trained"


def proto():
    return onnx.load_from_string(make_small().body)


def changed(change):
    model = proto()
    change(model)
    return model.SerializeToString(deterministic=True)


def refusal(data):
    with pytest.raises(ModelFileError) as caught:
        read_graph(data)
    return str(caught.value)


def field(number, content):
    """A length-delimited field."""
    length = len(content)
    assert length < 128
    return bytes([number << 3 | 2, length]) + content


@pytest.mark.parametrize("made", [make_table, lambda: make_table("matrix"), make_images, make_small])
def test_what_the_builder_writes_is_read_as_onnx_reads_it(made):
    body = made().body
    expected = onnx.load_from_string(body)

    graph = read_graph(body)

    assert [value.name for value in graph.inputs] == [value.name for value in expected.graph.input]
    assert [(node.operator, node.output) for node in graph.nodes] == [
        (node.op_type, node.output[0]) for node in expected.graph.node
    ]
    assert {name: tensor.raw.tobytes() for name, tensor in graph.tensors.items()} == {
        tensor.name: tensor.raw_data for tensor in expected.graph.initializer
    }


def test_field_numbers_are_those_of_onnx():
    descriptors = {name: onnx.onnx_ml_pb2.DESCRIPTOR.message_types_by_name[name.split(".")[0]] for name in MESSAGES}
    for name in [name for name in MESSAGES if "." in name]:
        descriptors[name] = descriptors[name].nested_types_by_name[name.split(".")[1]]

    found = {
        name: {f.number: f.name for f in descriptors[name].fields if f.number in MESSAGES[name]} for name in MESSAGES
    }

    assert found == {name: {n: f.name for n, f in fields.items()} for name, fields in MESSAGES.items()}


def test_number_of_the_seal_is_free_in_onnx_and_in_protobuf():
    numbers = set(onnx.ModelProto.DESCRIPTOR.fields_by_number)

    assert 21315 not in numbers | set(range(19000, 20000))


STRUCTURE = "[SC404] the graph must hold only known fields in their order; "


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x08\x09\x08\x09", "ModelProto has field 1 twice or out of order at byte 2."),
        (b"\x12\x00\x08\x09", "ModelProto has field 1 twice or out of order at byte 2."),
        (b"\x20\x01", "ModelProto has no field 4 of wire type 0, found at byte 0."),
        (b"\x0a\x01a", "ModelProto has no field 1 of wire type 2, found at byte 0."),
        (b"\x0b\x0c", "ModelProto has no field 1 of wire type 3, found at byte 0."),
        (b"\x0d\x00\x00\x00\x00", "ModelProto has no field 1 of wire type 5, found at byte 0."),
        (b"\x08\x89\x00", "a number is longer than it needs to be at byte 1."),
        (b"\x88\x00\x09", "a number is longer than it needs to be at byte 0."),
        (b"\x08" + b"\xff" * 10 + b"\x01", "a number is longer than it needs to be at byte 1."),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "a number is longer than it needs to be at byte 1."),
        (b"\x08\x89", "a number is cut off at byte 1."),
        (b"\x08", "a number is cut off at byte 1."),
        (b"\x12\x05ab", "ModelProto.producer_name is longer than what holds it at byte 0."),
        (b"\x12\x02\xff\xfe", "ModelProto.producer_name is not UTF-8 at byte 2."),
        (b"\x12\x02a\x00", "ModelProto.producer_name holds a control character at byte 2."),
        (b"\x12\x81\x20" + b"a" * 4097, "ModelProto.producer_name has 4,097 bytes, allowed 4,096, at byte 3."),
        (b"", "ModelProto.ir_version is missing, in the message that begins at byte 0."),
        (b"\x9a\xb4\x0a\x00", "ModelProto has no field 21315 of wire type 2, found at byte 0."),
    ],
)  # fmt: skip
def test_bytes_out_of_place_are_refused_at_their_offset(data, message):
    assert refusal(data) == STRUCTURE + message + SUFFIX


def test_too_many_fields_are_counted(monkeypatch):
    monkeypatch.setattr(wire, "MAX_FIELDS", 50)

    assert "more than 50 fields at byte" in refusal(make_small().body)


def test_two_graphs_are_not_merged():
    body = make_small().body

    assert "ModelProto has field 7 twice or out of order" in refusal(body + field(7, b""))


def _external(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    tensor.ClearField("raw_data")


def _subgraph(model):
    body = helper.make_graph([], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=body, else_branch=body))


def _sparse(model):
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "s")
    model.graph.sparse_initializer.add(values=tensor, dims=[1])


def _rename(model, old, new):
    for node in model.graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = new if name == old else name


def _initializer(model, name):
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def _raw(model, name, values):
    _initializer(model, name).raw_data = np.asarray(values).tobytes()


def _node(model, operator):
    return next(node for node in model.graph.node if node.op_type == operator)


FORBIDDEN = {
    "external data": (_external, "TensorProto has no field 13 of wire type 2"),
    "subgraph": (_subgraph, "AttributeProto has no field 6 of wire type 2"),
    "sparse tensor": (_sparse, "GraphProto has no field 15 of wire type 2"),
    "function": (lambda m: m.functions.add(name="f"), "ModelProto has no field 25 of wire type 2"),
    "training": (lambda m: m.training_info.add(), "ModelProto has no field 20 of wire type 2"),
    "domain": (lambda m: setattr(m, "domain", "a"), "ModelProto has no field 4 of wire type 2"),
    "doc string": (lambda m: setattr(m.graph, "doc_string", "a"), "GraphProto has no field 10 of wire type 2"),
    "value info": (lambda m: m.graph.value_info.add(name="a"), "GraphProto has no field 13 of wire type 2"),
    "typed data": (lambda m: m.graph.initializer[0].float_data.append(1), "TensorProto has no field 4 of wire type 2"),
    "segment": (lambda m: setattr(m.graph.initializer[0].segment, "begin", 1), "TensorProto has no field 3 of wire"),
    "overload": (lambda m: setattr(m.graph.node[0], "overload", "a"), "NodeProto has no field 8 of wire type 2"),
    "reference": (
        lambda m: setattr(m.graph.node[0].attribute[0], "ref_attr_name", "a"), "AttributeProto has no field 21",
    ),
    "operator": (
        lambda m: setattr(_node(m, "IsNaN"), "op_type", "Loop"),
        'operator "Loop" must be one that softclass writes; it is not',
    ),
    "operator of another domain": (
        lambda m: setattr(_node(m, "IsNaN"), "domain", "com.microsoft"),
        'operator "IsNaN" of domain "com.microsoft" must be one that softclass writes; it is not',
    ),
    "operator with an escape sequence": (
        lambda m: setattr(_node(m, "IsNaN"), "op_type", "\u202eNaN"), 'operator "\\u202eNaN" must be one',
    ),
    "attribute too many": (
        lambda m: _node(m, "IsNaN").attribute.append(helper.make_attribute("axis", 1)),
        'operator "IsNaN" must have the attributes none, once each; got axis',
    ),
    "attribute twice": (
        lambda m: _node(m, "Softmax").attribute.append(helper.make_attribute("axis", -1)),
        'operator "Softmax" must have the attributes axis, once each; got axis, axis',
    ),
    "attribute value": (
        lambda m: setattr(_node(m, "Softmax").attribute[0], "i", 0),
        'attribute "axis" of operator "Softmax" must be -1; got 0',
    ),
    "attribute type": (
        lambda m: setattr(_node(m, "Softmax").attribute[0], "type", 7),
        'attribute "axis" of operator "Softmax" must hold one value of its own type; got type 7',
    ),
    "attribute with two values": (
        lambda m: _node(m, "Softmax").attribute[0].ints.append(1),
        'attribute "axis" of operator "Softmax" must hold one value of its own type; got type 2',
    ),
    "two outputs": (
        lambda m: _node(m, "IsNaN").output.append("more"), 'operator "IsNaN" must have one output; it has 2',
    ),
    "opset too old": (
        lambda m: setattr(m.opset_import[0], "version", 17), 'must have operators of "", version 18; got 17',
    ),
    "domain twice": (
        lambda m: m.opset_import.add(domain="", version=18),
        'must use the operator domains "" and "ai.onnx.ml", once each; got "", "ai.onnx.ml", ""',
    ),
    "IR version too old": (lambda m: setattr(m, "ir_version", 8), "the graph must have IR version 9; got 8"),
    "negative dimension": (
        lambda m: m.graph.initializer[0].dims.__setitem__(0, -1),
        'constant "softclass/fill" must have at most 8 dimensions, none negative; got (-1,)',
    ),
    "rank": (lambda m: m.graph.initializer[0].dims.extend([1] * 8), "must have at most 8 dimensions, none negative"),
    "product beyond 64 bits": (
        lambda m: m.graph.initializer[0].dims.extend([2**62, 2**62]), "must hold as much as its shape",
    ),
    "too few bytes": (
        lambda m: _raw(m, "softclass/fill", b""), 'constant "softclass/fill" must hold as much as its shape',
    ),
    "type of a constant": (
        lambda m: setattr(m.graph.initializer[0], "data_type", TensorProto.FLOAT16),
        'constant "softclass/fill" must be float, double, int64 or string; its type is 10',
    ),
    "strings beside numbers": (
        lambda m: m.graph.initializer[0].string_data.append(b"a"), "must hold as much as its shape",
    ),
    "not a number": (
        lambda m: _raw(m, "softclass/fill", [np.nan]),
        'constant "softclass/fill" must be finite; it holds NaN or infinity',
    ),
    "infinite weight": (
        lambda m: _raw(m, "softclass/layer/0/weight", np.full((3, 8), -np.inf, np.float32)),
        'constant "softclass/layer/0/weight" must be finite; it holds NaN or infinity',
    ),
    "constant twice": (
        lambda m: m.graph.initializer.append(m.graph.initializer[0]),
        'each name must be given once; "softclass/fill" is given twice',
    ),
    "constant named like an input": (
        lambda m: setattr(m.graph.initializer[0], "name", "岛屿"),
        'each name must be given once; "岛屿" is given twice',
    ),
    "node named like a constant": (
        lambda m: _node(m, "IsNaN").output.__setitem__(0, "softclass/fill"),
        'each name must be given once; "softclass/fill" is given twice',
    ),
    "used before it is made": (
        lambda m: m.graph.node.insert(0, m.graph.node.pop(1)),
        'each value must be made before it is used; "softclass/numbers" is not',
    ),
    "optional input": (
        lambda m: _node(m, "Clip").input.__setitem__(1, ""), 'each value must be made before it is used; "" is not',
    ),
    "constant that nobody uses": (
        lambda m: m.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "spare")),
        'each constant must be used; "spare" is not',
    ),
    "input without shape": (
        lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"), "TypeProto.Tensor.shape is missing",
    ),
    "input of a fixed number of rows": (
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", 5),
        '"bill length (mm)" must have the shape N, then fixed sizes; got [5, 1]',
    ),
    "input of no size": (
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_param", "M"),
        "must have the shape N, then fixed sizes",
    ),
    "input of a negative size": (
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", -1),
        "must have the shape N, then fixed sizes",
    ),
    "input of another kind": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 99),
        "must have the shape N, then fixed sizes",
    ),
    "sequence as input": (
        lambda m: m.graph.input[0].type.sequence_type.elem_type.SetInParent(),
        "TypeProto has no field 4 of wire type 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_softclass_does_not_write_is_refused(change, message):
    found = refusal(changed(change))

    assert found.startswith("[SC404] ")
    assert found.endswith(SUFFIX)
    assert message in found


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda m: setattr(m.opset_import[0], "version", 19), 'operators of "", version 19; this softclass knows 18'),
        (lambda m: setattr(m, "ir_version", 10), "IR version 10; this softclass knows 9"),
    ],
    ids=["opset", "IR version"],
)
def test_later_versions_ask_for_a_newer_softclass(change, what):
    assert refusal(changed(lambda m: (change(m), setattr(m, "producer_version", "0.9.0")))) == (
        f'[SC403] the file needs softclass >= 0.9.0; it has {what}. Upgrade: pip install --upgrade "softclass>=0.9.0"'
    )


@pytest.mark.parametrize("writer", ["$(reboot)", '1"; reboot; "', "", "1" * 50, "x"])
def test_command_in_a_hint_holds_nothing_from_the_file_but_a_version(writer):
    def change(model):
        model.ir_version = 10
        model.producer_version = writer

    assert refusal(changed(change)) == (
        "[SC403] the file needs a newer softclass; it has IR version 10; this softclass knows 9. "
        "Upgrade: pip install --upgrade softclass"
    )


def test_models_of_other_tools_are_named():
    found = refusal(changed(lambda m: setattr(m, "producer_name", "skl2onnx")))

    assert found == (
        '[SC401] the model must be written by softclass; its producer is "skl2onnx". '
        "Train a model with softclass; other ONNX files cannot be turned into one"
    )


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "C:\\x", "https://example.org/x"])
def test_names_are_text_and_never_paths(name):
    def rename(model):
        model.graph.input[0].name = name
        _rename(model, "bill length (mm)", name)

    assert read_graph(changed(rename)).inputs[0].name == name


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "a\x1b[2J", "a\x7f", "a\x85", "n" * 4097])
def test_names_hold_no_control_characters_and_are_not_endless(name):
    def rename(model):
        model.graph.input[0].name = name
        _rename(model, "bill length (mm)", name)

    assert refusal(changed(rename)).startswith(STRUCTURE + "NodeProto.input h")


def test_a_second_key_of_metadata_is_refused():
    def add(model):
        model.metadata_props.add(key="softclass", value="{}")
        model.metadata_props.add(key="ort_config", value="{}")

    assert refusal(changed(add)) == (
        '[SC405] the metadata must have the one key "softclass"; got "softclass", "ort_config".' + SUFFIX
    )


def test_weights_are_not_copied():
    body = make_small().body + b""
    big = helper.make_tensor("big", TensorProto.FLOAT, [2**21], np.ones(2**21, np.float32).tobytes(), raw=True)
    large = changed(lambda m: (m.graph.initializer.append(big), m.graph.node[-1].input.append("big")))
    read_graph(body)

    tracemalloc.start()
    graph = read_graph(large)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 3 * 2**20  # the tensor has 8 MiB; the search for NaN takes 1 MiB at once
    assert graph.tensors["big"].numbers()[-1] == 1


def test_reader_imports_neither_onnx_nor_the_runtime():
    code = (
        "import softclass.model.file, sys; print({'onnx', 'onnxruntime', 'google.protobuf', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "set()"


def test_message_is_whole():
    assert re.fullmatch(r"\[SC404\] .*\. softclass never writes this: .*", refusal(b"\x20\x01"))
