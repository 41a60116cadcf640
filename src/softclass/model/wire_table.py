"""What the bytes of a model may hold: messages, fields, types, operators. All that does not stand here is refused.

Numbers are those of onnx.proto (messages, fields, tensor and attribute types). The operators are exactly those that
:mod:`softclass.model.graph` writes; a test compares both ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["int", "name", "text", "raw", "facts", "message"]
VARINT, LENGTH = 0, 2  # the wire types of protobuf that occur

IR_VERSION = 9
OPSETS = {"": 18, "ai.onnx.ml": 3}
PRODUCER = "softclass"
HINT = "softclass never writes this: get the file again from where it was trained"

MAX_NAME_BYTES = 4096
MAX_TEXT_BYTES = 2**20  # of a category or class name; a cell of a table cannot be longer
MAX_FACTS_BYTES = 16 * 2**20
MAX_FIELDS = 4_000_000
MAX_NODES = 10_000
MAX_INITIALIZERS = 20_000
MAX_RANK = 8

FLOAT, UINT8, INT64, STRING, BOOL, DOUBLE = 1, 2, 7, 8, 9, 11
ITEM_BYTES = {FLOAT: 4, UINT8: 1, INT64: 8, BOOL: 1, DOUBLE: 8}
TYPE_NAMES = {FLOAT: "float", UINT8: "uint8", INT64: "int64", STRING: "string", BOOL: "bool", DOUBLE: "double"}
INITIALIZER_TYPES = frozenset({FLOAT, INT64, STRING, DOUBLE})

ATTRIBUTE_INT, ATTRIBUTE_INTS, ATTRIBUTE_STRINGS = 2, 7, 8
ATTRIBUTE_FIELDS = {ATTRIBUTE_INT: "i", ATTRIBUTE_INTS: "ints", ATTRIBUTE_STRINGS: "strings"}


@dataclass(frozen=True)
class Field:
    """A field of a message: its name, what it holds, and how often it may stand there."""

    name: str
    kind: Kind
    repeated: bool = False
    required: bool = False
    message: str = ""

    @property
    def wire(self) -> int:
        """Wire type of protobuf."""
        return VARINT if self.kind == "int" else LENGTH


def _one(name: str, kind: Kind, *, required: bool = True) -> Field:
    return Field(name, kind, required=required)


def _many(name: str, kind: Kind) -> Field:
    return Field(name, kind, repeated=True)


def _messages(name: str, message: str) -> Field:
    return Field(name, "message", repeated=True, message=message)


def _message(name: str, message: str) -> Field:
    return Field(name, "message", required=True, message=message)


MESSAGES: dict[str, dict[int, Field]] = {
    "ModelProto": {
        1: _one("ir_version", "int"),
        2: _one("producer_name", "name"),
        3: _one("producer_version", "name"),
        7: _message("graph", "GraphProto"),
        8: _messages("opset_import", "OperatorSetIdProto"),
        14: _messages("metadata_props", "StringStringEntryProto"),
    },
    "GraphProto": {
        1: _messages("node", "NodeProto"),
        2: _one("name", "name"),
        5: _messages("initializer", "TensorProto"),
        11: _messages("input", "ValueInfoProto"),
        12: _messages("output", "ValueInfoProto"),
    },
    "NodeProto": {
        1: _many("input", "name"),
        2: _many("output", "name"),
        3: _one("name", "name"),
        4: _one("op_type", "name"),
        5: _messages("attribute", "AttributeProto"),
        7: _one("domain", "name", required=False),
    },
    "AttributeProto": {
        1: _one("name", "name"),
        3: _one("i", "int", required=False),
        8: _many("ints", "int"),
        9: _many("strings", "text"),
        20: _one("type", "int"),
    },
    "TensorProto": {
        1: _many("dims", "int"),
        2: _one("data_type", "int"),
        6: _many("string_data", "text"),
        8: _one("name", "name"),
        9: _one("raw_data", "raw", required=False),
    },
    "ValueInfoProto": {1: _one("name", "name"), 2: _message("type", "TypeProto")},
    "TypeProto": {1: _message("tensor_type", "TypeProto.Tensor")},
    "TypeProto.Tensor": {1: _one("elem_type", "int"), 2: _message("shape", "TensorShapeProto")},
    "TensorShapeProto": {1: _messages("dim", "TensorShapeProto.Dimension")},
    "TensorShapeProto.Dimension": {
        1: _one("dim_value", "int", required=False),
        2: _one("dim_param", "name", required=False),
    },
    "OperatorSetIdProto": {1: _one("domain", "name", required=False), 2: _one("version", "int")},
    "StringStringEntryProto": {1: _one("key", "name"), 2: _one("value", "facts")},
}

# The integers that an attribute may have, the lists of integers, or the type of a list that may hold anything.
Allowed = tuple[int, ...] | tuple[tuple[int, ...], ...] | int
ATTRIBUTES = dict[str, Allowed]

# Operator -> attribute -> what it may be.
OPERATORS: dict[str, dict[str, ATTRIBUTES]] = {
    "": {
        "Add": {},
        "ArgMax": {"axis": (1,), "keepdims": (0,)},
        "Cast": {"to": (FLOAT,)},
        "Clip": {},
        "Concat": {"axis": (1,)},
        "Conv": {"kernel_shape": ((3, 3), (5, 5)), "pads": ATTRIBUTE_INTS},
        "Cos": {},
        "Div": {},
        "Flatten": {"axis": (1,)},
        "Floor": {},
        "Gather": {"axis": (0, 1)},
        "Gemm": {"transB": (1,)},
        "IsNaN": {},
        "MaxPool": {"kernel_shape": ((2, 2),), "strides": ((2, 2),)},
        "Mul": {},
        "OneHot": {"axis": (-1,)},
        "Relu": {},
        "Selu": {},
        "Sigmoid": {},
        "Sin": {},
        "Softmax": {"axis": (-1,)},
        "Sqrt": {},
        "Sub": {},
        "Tanh": {},
        "Transpose": {"perm": ((0, 3, 1, 2),)},
        "Where": {},
    },
    "ai.onnx.ml": {
        "LabelEncoder": {
            "default_int64": (1,),
            "keys_strings": ATTRIBUTE_STRINGS,
            "values_int64s": ATTRIBUTE_INTS,
        }
    },
}
