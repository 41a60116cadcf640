"""The strict reader of model bytes: a walk over protobuf that refuses whatever softclass does not write.

Runtimes are lenient: unknown fields pass, a second graph is merged into the first, external data are read from
wherever the model says. So this walk comes first. It imports neither onnx nor onnxruntime, opens nothing, and copies
no weights: they stay memory views into the one buffer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from softclass.errors import ModelFileError, shown
from softclass.model.wire_table import (
    ATTRIBUTE_FIELDS,
    ATTRIBUTE_INT,
    ATTRIBUTE_INTS,
    DOUBLE,
    FLOAT,
    HINT,
    INITIALIZER_TYPES,
    IR_VERSION,
    ITEM_BYTES,
    LENGTH,
    MAX_FACTS_BYTES,
    MAX_FIELDS,
    MAX_INITIALIZERS,
    MAX_NAME_BYTES,
    MAX_NODES,
    MAX_RANK,
    MAX_TEXT_BYTES,
    MESSAGES,
    OPERATORS,
    OPSETS,
    PRODUCER,
    STRING,
    TYPE_NAMES,
    Allowed,
    Field,
)

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+]{0,30}")
_LIMITS = {"name": MAX_NAME_BYTES, "text": MAX_TEXT_BYTES, "facts": MAX_FACTS_BYTES, "raw": 2**31}
_CHECKED_AT_ONCE = 2**20  # items; bounds the memory of the search for NaN


@dataclass(frozen=True, eq=False)
class Tensor:
    """An initialiser: its type, its shape, and its bytes or its strings."""

    name: str
    kind: int
    dims: tuple[int, ...]
    raw: memoryview
    strings: tuple[str, ...] = ()

    def numbers(self) -> np.ndarray[Any, Any]:
        """Return the values as an array that shares the bytes of the file."""
        dtype = {FLOAT: "<f4", DOUBLE: "<f8"}.get(self.kind, "<i8")
        return np.frombuffer(self.raw, dtype=dtype).reshape(self.dims)


@dataclass(frozen=True)
class Value:
    """An input or output: its name, type and shape; a dimension is a number, or the text "N"."""

    name: str
    kind: int
    dims: tuple[int | str, ...]


@dataclass(frozen=True, eq=False)
class Node:
    """One operation."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Graph:
    """What a model holds, read and checked.

    Attributes
    ----------
    producer_version : str
        The softclass that wrote it.
    inputs, outputs : tuple of Value
        In their order.
    tensors : dict of str to Tensor
        The initialisers.
    nodes : tuple of Node
        In an order in which each value is made before it is used.
    facts : bytes or None
        Text of ``metadata_props["softclass"]``.
    """

    producer_version: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    tensors: dict[str, Tensor]
    nodes: tuple[Node, ...]
    facts: bytes | None


def forbidden(message: str) -> ModelFileError:
    """Return the error of a graph that holds what no softclass model has."""
    return ModelFileError("SC404", message, hint=HINT)


def read_graph(data: bytes, stop: int | None = None) -> Graph:
    """Walk over the bytes of a model and return what it holds; shapes are checked in :mod:`softclass.model.shapes`.

    Parameters
    ----------
    data : bytes
        A serialised ModelProto, perhaps with a seal behind it.
    stop : int, optional
        Where the ModelProto ends; by default at the end of `data`.

    Returns
    -------
    Graph
        Its tensors are views into `data`.

    Raises
    ------
    ModelFileError
        SC404 at the first byte or name that does not belong there; SC403 if the file needs a newer softclass.

    Examples
    --------
    >>> read_graph(b"\\x08\\x09\\x08\\x09")
    Traceback (most recent call last):
    ...
    softclass.errors.ModelFileError: [SC404] the graph must hold only known fields in their order; ModelProto has field
    1 twice or out of order at byte 2. softclass never writes this: get the file again from where it was trained
    """
    model = _Reader(data).message(0, len(data) if stop is None else stop, "ModelProto")
    _check_versions(model)
    graph = model["graph"]
    if len(graph["node"]) > MAX_NODES or len(graph["initializer"]) > MAX_INITIALIZERS:
        raise forbidden(
            f"a graph has at most {MAX_NODES:,} nodes and {MAX_INITIALIZERS:,} constants; this one has more"
        )
    tensors = [_tensor(found) for found in graph["initializer"]]
    inputs = tuple(_value(found) for found in graph["input"])
    nodes = tuple(_node(found) for found in graph["node"])
    result = Graph(
        model["producer_version"],
        inputs,
        tuple(_value(found) for found in graph["output"]),
        {tensor.name: tensor for tensor in tensors},
        nodes,
        _facts(model),
    )
    _check_names(result, [value.name for value in inputs] + [tensor.name for tensor in tensors])
    return result


def length_field(number: int, content: bytes) -> bytes:
    """
    Return a length-delimited protobuf field.

    Examples
    --------
    >>> length_field(1, b"ab")
    b'\\n\\x02ab'
    """
    return _varint_bytes(number << 3 | LENGTH) + _varint_bytes(len(content)) + content


def _varint_bytes(value: int) -> bytes:
    found = bytearray()
    while value >= 128:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def with_outputs(body: bytes, names: Sequence[str]) -> bytes:
    """
    Return a copy of a model whose graph also gives the values of some names.

    Parameters
    ----------
    body : bytes
        A checked model without its seal.
    names : sequence of str
        Values that the graph computes. Their types are left to the runtime.

    Examples
    --------
    >>> with_outputs(bytes.fromhex("08093a00"), ["a"]).hex()  # an empty graph in field 7
    '08093a0562030a0161'
    """
    graph_field = next(number for number, field in MESSAGES["ModelProto"].items() if field.name == "graph")
    output_field = next(number for number, field in MESSAGES["GraphProto"].items() if field.name == "output")
    reader, at = _Reader(body), 0
    while True:
        start = at
        key, at = reader.varint(at, len(body))
        value, at = reader.varint(at, len(body))
        if key >> 3 == graph_field:
            break
        at += value if key & 7 == LENGTH else 0
    more = b"".join(length_field(output_field, length_field(1, name.encode())) for name in names)
    return body[:start] + length_field(graph_field, body[at : at + value] + more) + body[at + value :]


class _Reader:
    """Walks over messages; counts the fields of all of them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.view = memoryview(data)
        self.fields = 0

    def message(self, start: int, stop: int, name: str) -> dict[str, Any]:
        """Return the fields of the message that lies between two offsets."""
        data, table = self.data, MESSAGES[name]
        found: dict[str, Any] = {field.name: [] for field in table.values() if field.repeated}
        last, at = 0, start
        while at < stop:
            offset = at
            key = data[at]
            at += 1
            if key >= 128:
                key, at = self.varint(offset, stop)
            number = key >> 3
            field = table.get(number)
            if field is None or field.wire != key & 7:
                raise _structure(f"{name} has no field {number} of wire type {key & 7}, found", offset)
            if number < last or (number == last and not field.repeated):
                raise _structure(f"{name} has field {number} twice or out of order", offset)
            last = number
            self.fields += 1
            if self.fields > MAX_FIELDS:
                raise _structure(f"more than {MAX_FIELDS:,} fields", offset)
            number = data[at] if at < stop else 128
            if number < 128:
                at += 1
            else:
                number, at = self.varint(at, stop)
            value: Any = number - 2**64 if number >= 2**63 else number
            if field.kind != "int":
                end = at + number
                if end > stop:
                    raise _structure(f"{name}.{field.name} is longer than what holds it", offset)
                value = self.content(at, end, field, name)
                at = end
            if field.repeated:
                found[field.name].append(value)
            else:
                found[field.name] = value
        for field in table.values():
            if field.required and field.name not in found:
                raise _structure(f"{name}.{field.name} is missing, in the message that begins", start)
        return found

    def content(self, start: int, stop: int, field: Field, name: str) -> Any:
        """Return what a field of bytes holds."""
        if field.kind == "message":
            return self.message(start, stop, field.message)
        if stop - start > _LIMITS[field.kind]:
            raise _structure(f"{name}.{field.name} has {stop - start:,} bytes, allowed {_LIMITS[field.kind]:,},", start)
        if field.kind == "raw":
            return self.view[start:stop]
        content = self.data[start:stop]
        if field.kind == "facts":
            return content
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise _structure(f"{name}.{field.name} is not UTF-8", start) from None
        if field.kind == "name" and _CONTROL.search(text):
            raise _structure(f"{name}.{field.name} holds a control character", start)
        return text

    def varint(self, at: int, stop: int) -> tuple[int, int]:
        """Return a varint, which must be as short as it can be, and the offset behind it."""
        start, value = at, 0
        for shift in range(0, 70, 7):
            if at >= stop:
                raise _structure("a number is cut off", start)
            byte = self.data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                if (byte == 0 and shift) or value >= 2**64:
                    break
                return value, at
        raise _structure("a number is longer than it needs to be", start)


def _structure(what: str, offset: int) -> ModelFileError:
    return forbidden(f"the graph must hold only known fields in their order; {what} at byte {offset:,}")


def _check_versions(model: dict[str, Any]) -> None:
    """Refuse what another tool wrote, and tell a newer softclass from an impossible one."""
    if model["producer_name"] != PRODUCER:
        raise ModelFileError(
            "SC401",
            f'the model must be written by softclass; its producer is "{shown(model["producer_name"])}"',
            hint="Train a model with softclass; other ONNX files cannot be turned into one",
        )
    opsets = [(found.get("domain", ""), found["version"]) for found in model["opset_import"]]
    if sorted(domain for domain, _ in opsets) != sorted(OPSETS):
        names = ", ".join(f'"{shown(domain)}"' for domain, _ in opsets)
        raise forbidden(f'the graph must use the operator domains "" and "ai.onnx.ml", once each; got {names}')
    versions = [("IR version", model["ir_version"], IR_VERSION)]
    versions += [(f'operators of "{domain}", version', version, OPSETS[domain]) for domain, version in opsets]
    for what, got, known in versions:
        if got > known:
            raise newer(f"{what} {got}; this softclass knows {known}", model["producer_version"])
        if got < known:
            raise forbidden(f"the graph must have {what} {known}; got {got}")


def newer(what: str, writer: str) -> ModelFileError:
    """Return the error of a file that a later softclass wrote."""
    # The version comes from the file and the hint will be copied into a shell: nothing but a version may stand in it.
    known = _VERSION.fullmatch(writer) is not None
    wanted = f"softclass >= {writer}" if known else "a newer softclass"
    command = f'pip install --upgrade "softclass>={writer}"' if known else "pip install --upgrade softclass"
    return ModelFileError("SC403", f"the file needs {wanted}; it has {what}", hint=f"Upgrade: {command}")


def _tensor(found: dict[str, Any]) -> Tensor:
    """Check the size, the type and the values of an initialiser."""
    name, kind, dims = found["name"], found["data_type"], tuple(found["dims"])
    if kind not in INITIALIZER_TYPES:
        raise forbidden(f'constant "{shown(name)}" must be float, double, int64 or string; its type is {kind}')
    if len(dims) > MAX_RANK or any(dim < 0 for dim in dims):
        raise forbidden(f'constant "{shown(name)}" must have at most {MAX_RANK} dimensions, none negative; got {dims}')
    count = 1
    for dim in dims:
        count *= dim
    strings = tuple(found["string_data"])
    raw = found.get("raw_data", memoryview(b""))
    if kind == STRING:
        agrees = len(strings) == count and "raw_data" not in found
    else:
        agrees = len(raw) == count * ITEM_BYTES[kind] and not strings
    if not agrees:
        raise forbidden(f'constant "{shown(name)}" must hold as much as its shape {dims} says; it holds another amount')
    tensor = Tensor(name, kind, dims, raw, strings)
    if kind in (FLOAT, DOUBLE) and not _all_finite(tensor):
        raise forbidden(f'constant "{shown(name)}" must be finite; it holds NaN or infinity')
    return tensor


def _all_finite(tensor: Tensor) -> bool:
    numbers = tensor.numbers().reshape(-1)
    starts = range(0, len(numbers), _CHECKED_AT_ONCE)
    return all(bool(np.isfinite(numbers[start : start + _CHECKED_AT_ONCE]).all()) for start in starts)


def _value(found: dict[str, Any]) -> Value:
    """Check the type and the shape of an input or output."""
    tensor = found["type"]["tensor_type"]
    dims: list[int | str] = []
    for dim in tensor["shape"]["dim"]:
        if len(dim) != 1:
            raise forbidden(f'"{shown(found["name"])}" must have dimensions that are a number or a name each')
        dims += dim.values()
    fixed = [dim for dim in dims[1:] if isinstance(dim, int) and 0 < dim < 2**31]
    if tensor["elem_type"] not in TYPE_NAMES or not dims or dims[0] != "N" or len(fixed) != len(dims) - 1:
        raise forbidden(f'"{shown(found["name"])}" must have the shape N, then fixed sizes; got {shown(dims)}')
    if len(dims) > MAX_RANK:
        raise forbidden(f'"{shown(found["name"])}" must have at most {MAX_RANK} dimensions; got {len(dims)}')
    return Value(found["name"], tensor["elem_type"], tuple(dims))


def _node(found: dict[str, Any]) -> Node:
    """Check that an operation and its attributes are among those that softclass writes."""
    operator, domain = found["op_type"], found.get("domain", "")
    if domain not in OPERATORS or operator not in OPERATORS[domain]:
        place = f' of domain "{shown(domain)}"' if domain else ""
        raise forbidden(f'operator "{shown(operator)}"{place} must be one that softclass writes; it is not')
    if len(found["output"]) != 1:
        raise forbidden(f'operator "{operator}" must have one output; it has {len(found["output"])}')
    known = OPERATORS[domain][operator]
    attributes: dict[str, Any] = {}
    names = [attribute["name"] for attribute in found["attribute"]]
    if sorted(names) != sorted(known):
        wanted, got = ", ".join(known) or "none", shown(", ".join(names) or "none")
        raise forbidden(f'operator "{operator}" must have the attributes {wanted}, once each; got {got}')
    for attribute in found["attribute"]:
        name = attribute["name"]
        attributes[name] = _attribute(attribute, known[name], f'attribute "{name}" of operator "{operator}"')
    return Node(operator, tuple(found["input"]), found["output"][0], attributes)


def _attribute(found: dict[str, Any], known: Allowed, what: str) -> Any:
    """Return the value of an attribute, which must sit in the field of its type and nowhere else."""
    kind = known if isinstance(known, int) else ATTRIBUTE_INTS if isinstance(known[0], tuple) else ATTRIBUTE_INT
    filled = [field for field in ATTRIBUTE_FIELDS.values() if found.get(field) not in (None, [])]
    if found["type"] != kind or filled != [ATTRIBUTE_FIELDS[kind]]:
        raise forbidden(f"{what} must hold one value of its own type; got type {found['type']}")
    value = found[ATTRIBUTE_FIELDS[kind]]
    if kind == ATTRIBUTE_INTS:
        value = tuple(value)
    if isinstance(known, tuple) and value not in known:
        raise forbidden(f"{what} must be {' or '.join(map(str, known))}; got {value}")
    return value


def _facts(model: dict[str, Any]) -> bytes | None:
    """Return the text of the one metadata entry that there may be."""
    entries = model["metadata_props"]
    if not entries:
        return None
    keys = [entry["key"] for entry in entries]
    if keys != [PRODUCER]:
        got = ", ".join(f'"{shown(key)}"' for key in keys[:5])
        raise ModelFileError("SC405", f'the metadata must have the one key "softclass"; got {got}', hint=HINT)
    content: bytes = entries[0]["value"]
    return content


def _check_names(graph: Graph, given: list[str]) -> None:
    """Each name is given once, before it is used; no constant is left over."""
    defined: set[str] = set()
    for name in given:
        if name in defined:
            raise forbidden(f'each name must be given once; "{shown(name)}" is given twice')
        defined.add(name)
    used: set[str] = set()
    for node in graph.nodes:
        for name in node.inputs:
            if name not in defined:
                raise forbidden(f'each value must be made before it is used; "{shown(name)}" is not')
        if node.output in defined:
            raise forbidden(f'each name must be given once; "{shown(node.output)}" is given twice')
        used.update(node.inputs)
        defined.add(node.output)
    unused = set(graph.tensors) - used
    if unused:
        raise forbidden(f'each constant must be used; "{shown(min(unused))}" is not')
